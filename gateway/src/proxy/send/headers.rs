//! The headers of a request and of an answer on their way through (RFC 9110, section 7.6). Knows no bodies.

use actix_http::header::{
    AUTHORIZATION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, MAX_FORWARDS,
    X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO,
};
use chassis::{
    identity::{ASSERTION, IdentityHeaders},
    trace::{REQUEST_ID, RequestContext, TRACEPARENT},
};
use ipnet::IpNet;

use crate::{
    auth::caller::Caller,
    connection::Peer,
    rules::{edits::Edits, fields::HopByHop},
};

/// The fields of a client that the gateway or awc writes anew: those of the target, the framing, what we expect.
const WRITTEN_ANEW: [HeaderName; 3] = [HOST, CONTENT_LENGTH, EXPECT];

/// What a proxy before us says of the client.
const FORWARDING: [HeaderName; 4] = [FORWARDED, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO];

/// One hop less (RFC 9110, section 7.6.2). What is no number is none of ours to judge.
pub(crate) fn count_down(headers: &mut HeaderMap) {
    let left = headers.get(MAX_FORWARDS).and_then(|left| left.to_str().ok()).and_then(|left| left.parse::<u64>().ok());
    if let Some(left) = left {
        headers.insert(MAX_FORWARDS, HeaderValue::from(left.saturating_sub(1)));
    }
}

/// Who the request is from, as the upstream shall see it.
pub(crate) struct ForwardContext<'a> {
    pub(crate) context: &'a RequestContext,
    pub(crate) peer: &'a Peer,
    pub(crate) trusted_proxies: &'a [IpNet],
    pub(crate) identity: &'a IdentityHeaders,
    /// Header and claim of each identity header.
    pub(crate) identity_claims: &'a [(HeaderName, String)],
    pub(crate) caller: Option<&'a Caller>,
    pub(crate) assertion: Option<HeaderValue>,
    pub(crate) keep_authorization: bool,
    /// Whether the client speaks TLS to us.
    pub(crate) tls: bool,
    /// Changes that the route asks for.
    pub(crate) edits: &'a Edits,
}

/// Turns the headers of a request into those that go to the upstream.
pub(crate) fn outgoing(mut headers: HeaderMap, from: &ForwardContext<'_>) -> HeaderMap {
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

fn forwarded(headers: &mut HeaderMap, from: &ForwardContext<'_>, host: Option<HeaderValue>) {
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
fn identity(headers: &mut HeaderMap, from: &ForwardContext<'_>) {
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
