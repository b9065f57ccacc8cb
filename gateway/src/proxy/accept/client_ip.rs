//! The address of the client, which a trusted proxy may name.

use std::net::{IpAddr, SocketAddr};

use actix_http::header::{HeaderMap, HeaderValue, X_FORWARDED_FOR};
use ipnet::IpNet;

/// The address of the client: the peer, or where the peer is a proxy that is trusted, what that proxy says.
///
/// The list is read from its end, for as long as its entries are trusted proxies: what stands before the first
/// untrusted one may be made up. So may what stands before an entry that is not an address: nobody knows who wrote it.
pub(crate) fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|network| network.contains(ip));
    let mut client = peer.to_canonical();
    if !is_trusted(&client) {
        return client;
    }
    let values: Vec<&[u8]> = headers.get_all(X_FORWARDED_FOR).map(HeaderValue::as_bytes).collect();
    for entry in values.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b',')) {
        let Some(ip) = address(entry) else { break };
        client = ip.to_canonical();
        if !is_trusted(&client) {
            break;
        }
    }
    client
}

/// Reads an entry: an address, which may have a port, and brackets if it is one of IPv6.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).filter(|text| text.contains(':'));
    let ip = bare.unwrap_or(text).parse().ok();
    ip.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let cases: [(&str, &[&str], &str); 22] = [
            ("192.0.2.9", &["1.1.1.1"], "192.0.2.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6, 1.1.1.1, 10.0.0.2"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6", "1.1.1.1", "10.0.0.2"], "1.1.1.1"),
            ("::ffff:10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["::ffff:1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            // With ports.
            ("10.0.0.1", &["1.1.1.1:5678"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6, 1.1.1.1:5678, 10.0.0.2:80"], "1.1.1.1"),
            ("10.0.0.1", &["[2001:db8::1]:5678"], "2001:db8::1"),
            ("10.0.0.1", &["6.6.6.6, [2001:db8::1]:5678,[fd00::1]:80"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            // What cannot be read ends the walk.
            ("10.0.0.1", &["6.6.6.6, garbage, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["6.6.6.6", "caf\u{e9}"], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6", "caf\u{e9}, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["6.6.6.6, "], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6", ""], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6, 1.1.1.1:99999"], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6, [1.1.1.1]"], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6, 2001:db8::1]:80"], "10.0.0.1"),
        ];
        for (peer, fields, expected) in cases {
            let value = |field: &&str| (X_FORWARDED_FOR, HeaderValue::from_bytes(field.as_bytes()).unwrap());
            let headers = HeaderMap::from_iter(fields.iter().map(value));
            let client = client_ip(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(client.to_string(), expected, "{peer} {fields:?}");
        }
    }
}
