//! The address of the client of a connection. Knows no requests.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use actix_http::header::HeaderValue;

/// The other end of a connection. The value for `X-Forwarded-For` is formatted once for a connection, not for each of
/// its requests.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// An IPv4 address as such, also on an IPv6 socket.
    pub(crate) ip: IpAddr,
    /// `ip` as a header value.
    pub(crate) field: HeaderValue,
}

impl Peer {
    /// A peer with this address. Without an address it is 0.0.0.0, which no network of trusted proxies contains.
    pub(crate) fn new(address: Option<SocketAddr>) -> Self {
        let ip = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip().to_canonical());
        Self { ip, field: HeaderValue::try_from(ip.to_string()).unwrap_or(HeaderValue::from_static("unknown")) }
    }
}
