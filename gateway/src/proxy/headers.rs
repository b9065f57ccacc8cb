//! The headers of a request and of an answer on their way through (RFC 9110, section 7.6). Knows no bodies.

use std::net::IpAddr;

use actix_http::{
    StatusCode,
    header::{
        self, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue,
        MAX_FORWARDS, TRANSFER_ENCODING, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO,
    },
};
use chassis::{
    identity::{ASSERTION, IdentityHeaders},
    trace::{REQUEST_ID, RequestContext, TRACEPARENT},
};
use ipnet::IpNet;

use super::edit::Edits;
use crate::{
    auth::verifier::Caller,
    connection::Peer,
    upstream::framing::{HIDDEN_CODING, HIDDEN_LENGTH, HIDDEN_UPGRADE},
};

/// Fields that speak about one connection, not about the message (section 7.6.1).
pub(crate) const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHORIZATION,
];

/// The fields of a client that the gateway or awc writes anew: those of the target, the framing, what we expect.
const WRITTEN_ANEW: [HeaderName; 3] = [HOST, CONTENT_LENGTH, EXPECT];

/// What a proxy before us says of the client.
const FORWARDING: [HeaderName; 4] = [FORWARDED, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO];

/// What is between an upstream and us.
const OURS_ALONE: [HeaderName; 4] = [
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static(HIDDEN_LENGTH),
    HeaderName::from_static(HIDDEN_CODING),
    HeaderName::from_static(HIDDEN_UPGRADE),
];

/// What is not passed on, in either direction: the hop-by-hop fields and those that `Connection` names.
struct HopByHop(Vec<HeaderName>);

impl HopByHop {
    fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(CONNECTION).filter_map(|value| value.to_str().ok());
        Self(values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect())
    }

    fn contains(&self, name: &HeaderName) -> bool {
        HOP_BY_HOP.contains(name) || self.0.contains(name)
    }
}

/// One hop less (RFC 9110, section 7.6.2). What is no number is none of ours to judge.
pub fn count_down(headers: &mut HeaderMap) {
    let left = headers.get(MAX_FORWARDS).and_then(|left| left.to_str().ok()).and_then(|left| left.parse::<u64>().ok());
    if let Some(left) = left {
        headers.insert(MAX_FORWARDS, HeaderValue::from(left.saturating_sub(1)));
    }
}

/// The address of the client: the peer, or where the peer is a proxy that is trusted, what that proxy says.
///
/// The list is read from its end, for as long as its entries are trusted proxies: what stands before the first
/// untrusted one may be made up.
pub fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
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

/// Who the request is from, as the upstream shall see it.
pub struct Provenance<'a> {
    pub context: &'a RequestContext,
    pub peer: &'a Peer,
    pub trusted_proxies: &'a [IpNet],
    pub identity: &'a IdentityHeaders,
    /// Header and claim of each identity header.
    pub identity_claims: &'a [(HeaderName, String)],
    pub caller: Option<&'a Caller>,
    pub assertion: Option<HeaderValue>,
    pub keep_authorization: bool,
    /// Whether the client speaks TLS to us.
    pub tls: bool,
    /// Changes that the route asks for.
    pub edits: &'a Edits,
}

/// Turns the headers of a request into those that go to the upstream.
pub fn outgoing(mut headers: HeaderMap, from: &Provenance<'_>) -> HeaderMap {
    let host = headers.get(HOST).cloned();
    let trusted = from.trusted_proxies.iter().any(|network| network.contains(&from.peer.ip));
    let hop_by_hop = HopByHop::of(&headers);
    headers.retain(|name, _| {
        let dropped = hop_by_hop.contains(name)
            || WRITTEN_ANEW.contains(name)
            || (name == AUTHORIZATION && !from.keep_authorization)
            || (FORWARDING.contains(name) && !trusted)
            || from.identity.contains(name.as_str());
        !dropped
    });
    from.edits.apply(&mut headers);
    // After the changes of the route, which may not touch these.
    forwarded(&mut headers, from, host);
    identity(&mut headers, from);
    headers.insert(REQUEST_ID, from.context.request_id_header().clone());
    headers.insert(TRACEPARENT, from.context.traceparent_header().clone());
    headers
}

fn forwarded(headers: &mut HeaderMap, from: &Provenance<'_>, host: Option<HeaderValue>) {
    headers.append(X_FORWARDED_FOR, from.peer.field.clone());
    if !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(if from.tls { "https" } else { "http" }));
    }
    if let Some(host) = host
        && !headers.contains_key(X_FORWARDED_HOST)
    {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

/// Set or removed, never passed through.
fn identity(headers: &mut HeaderMap, from: &Provenance<'_>) {
    if let Some(caller) = from.caller {
        for (name, claim) in from.identity_claims {
            let value = caller.text(claim).and_then(|text| HeaderValue::from_str(text).ok());
            if let Some(value) = value {
                headers.insert(name.clone(), value);
            }
        }
    }
    if let Some(assertion) = &from.assertion {
        headers.insert(ASSERTION, assertion.clone());
    }
}

/// Turns the headers of an answer into those that go to the client. Its framing is written anew; only 304 says in a
/// field how long the body would be that it does not have (RFC 9110, section 8.6).
pub fn returning(headers: &mut HeaderMap, status: StatusCode, edits: &Edits) {
    let hop_by_hop = HopByHop::of(headers);
    let mut length = None;
    headers.retain(|name, value| {
        if *name == HIDDEN_LENGTH {
            length = Some(value.clone());
        }
        !(hop_by_hop.contains(name) || OURS_ALONE.contains(name))
    });
    if let Some(length) = length
        && status == StatusCode::NOT_MODIFIED
    {
        headers.insert(CONTENT_LENGTH, length);
    }
    edits.apply(headers);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn what_speaks_about_one_connection_is_not_passed_on() {
        let mut headers = map(&[
            ("connection", "close, X-Secret"),
            ("connection", "other"),
            ("x-secret", "1"),
            ("other", "2"),
            ("keep-alive", "3"),
            ("te", "trailers"),
            ("kept", "a"),
            ("kept", "b"),
        ]);
        let hop_by_hop = HopByHop::of(&headers);
        headers.retain(|name, _| !hop_by_hop.contains(name));
        let kept: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(kept, [("kept", "a"), ("kept", "b")]);
    }

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
            let headers = map(&[("x-forwarded-for", field)]);
            assert_eq!(client_ip(peer.parse().unwrap(), &headers, &trusted).to_string(), expected, "{peer} {field}");
        }
    }
}
