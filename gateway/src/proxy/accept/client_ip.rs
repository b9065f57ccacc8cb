//! The address of the client, which a trusted proxy may name.

use std::net::IpAddr;

use actix_http::header::{HeaderMap, X_FORWARDED_FOR};
use ipnet::IpNet;

/// The address of the client: the peer, or where the peer is a proxy that is trusted, what that proxy says.
///
/// The list is read from its end, for as long as its entries are trusted proxies: what stands before the first
/// untrusted one may be made up.
pub(crate) fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|network| network.contains(ip));
    let mut client = peer.to_canonical();
    if !is_trusted(&client) {
        return client;
    }
    let values: Vec<&str> = headers.get_all(X_FORWARDED_FOR).filter_map(|value| value.to_str().ok()).collect();
    for entry in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        let Ok(ip) = entry.trim().parse::<IpAddr>() else { break };
        client = ip.to_canonical();
        if !is_trusted(&client) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use actix_http::header::HeaderValue;

    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        for (peer, field, expected) in [
            ("192.0.2.9", "1.1.1.1", "192.0.2.9"),
            ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
            ("10.0.0.1", "6.6.6.6, garbage, 10.0.0.2", "10.0.0.2"),
            ("::ffff:10.0.0.1", "1.1.1.1", "1.1.1.1"),
        ] {
            let headers = HeaderMap::from_iter([(X_FORWARDED_FOR, HeaderValue::from_static(field))]);
            assert_eq!(client_ip(peer.parse().unwrap(), &headers, &trusted).to_string(), expected, "{peer} {field}");
        }
    }
}
