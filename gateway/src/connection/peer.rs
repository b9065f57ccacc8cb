//! Whom a connection comes from. Knows no requests.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use actix_http::header::HeaderValue;

/// The other end of a connection, with its address as `X-Forwarded-For` has it: written once for a connection, not for
/// each of its requests.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// An IPv4 address as such, even where the socket is one of IPv6.
    pub(crate) ip: IpAddr,
    pub(crate) field: HeaderValue,
}

impl Peer {
    /// The peer at an address. One without an address is none that could be trusted.
    pub(crate) fn at(address: Option<SocketAddr>) -> Self {
        let ip = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip().to_canonical());
        Self { ip, field: HeaderValue::try_from(ip.to_string()).unwrap_or(HeaderValue::from_static("unknown")) }
    }
}
