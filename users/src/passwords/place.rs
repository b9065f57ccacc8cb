//! Where a request comes from, as far as clients can be told apart by their addresses.

use std::net::IpAddr;

/// The address of a client. Networks with IPv6 give each client a prefix of 64 bits, within which it can choose as many
/// addresses as it likes (RFC 4291, section 2.5.4): they are one place. So are requests without an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place(u128);

impl From<Option<IpAddr>> for Place {
    fn from(address: Option<IpAddr>) -> Self {
        Self(match address.map(|address| address.to_canonical()) {
            None => 0,
            Some(IpAddr::V4(address)) => address.to_ipv6_mapped().to_bits(),
            Some(IpAddr::V6(address)) => address.to_bits() & (u128::MAX << 64),
        })
    }
}
