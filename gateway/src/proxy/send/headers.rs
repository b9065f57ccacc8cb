//! The headers of a request on their way to the upstream (RFC 9110, section 7.6). Identity headers are set or removed, never
//! passed through. Knows no bodies.

use actix_http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, MAX_FORWARDS,
    X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO,
};
use chassis::{
    identity::{ASSERTION, IdentityHeaders},
    trace::{REQUEST_ID, RequestContext, TRACEPARENT},
};
use ipnet::IpNet;

use crate::{
    auth::{caller::Caller, identity_claim::IdentityClaim},
    connection::Peer,
    rules::{
        edits::Edits,
        fields::HopByHop,
        forwarding::{self, ForwardingField},
    },
};

/// What the path of the request lacks at its beginning. Not standardised; Traefik and Spring use it in this way.
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// The fields that the gateway or awc writes itself: the target, the framing, and expectations, which end here.
const WRITTEN_ANEW: [HeaderName; 3] = [HOST, CONTENT_LENGTH, EXPECT];

/// Decrements `Max-Forwards` (RFC 9110, section 7.6.2). What is not a number is passed on unchanged.
pub(super) fn decrement_max_forwards(headers: &mut HeaderMap) {
    let left = headers.get(MAX_FORWARDS).and_then(|left| left.to_str().ok()).and_then(|left| left.parse::<u64>().ok());
    if let Some(left) = left {
        headers.insert(MAX_FORWARDS, HeaderValue::from(left.saturating_sub(1)));
    }
}

/// What the headers of one request are made of.
pub(super) struct ForwardContext<'a> {
    pub(super) context: &'a RequestContext,
    pub(super) peer: &'a Peer,
    pub(super) trusted_proxies: &'a [IpNet],
    pub(super) identity: &'a IdentityHeaders,
    /// Header and claim of each identity header.
    pub(super) identity_claims: &'a [(HeaderName, IdentityClaim)],
    pub(super) caller: Option<&'a Caller>,
    pub(super) assertion: Option<HeaderValue>,
    pub(super) keep_authorization: bool,
    /// Whether a hook reads the answer.
    pub(super) is_post_processed: bool,
    /// Whether the client speaks TLS to the gateway.
    pub(super) tls: bool,
    /// The edits of the route.
    pub(super) edits: &'a Edits,
    /// What the path lacks at its beginning, because the route removes it.
    pub(super) stripped_prefix: Option<&'a str>,
}

/// Turns the headers of a request into those that go to the upstream.
pub(super) fn outgoing(mut headers: HeaderMap, from: &ForwardContext<'_>) -> HeaderMap {
    let host = headers.get(HOST).cloned();
    let trusted = from.trusted_proxies.iter().any(|network| network.contains(&from.peer.ip));
    let hop_by_hop = HopByHop::of(&headers);
    headers.retain(|name, _| {
        let dropped = hop_by_hop.contains(name)
            || WRITTEN_ANEW.contains(name)
            || (name == AUTHORIZATION && !from.keep_authorization)
            || forwarding::kind(name.as_str()).is_some_and(|kind| !trusted || kind == ForwardingField::Never)
            || from.identity.contains(name.as_str());
        !dropped
    });
    from.edits.apply(&mut headers);
    // After the edits of the route, which must not change these.
    if from.is_post_processed {
        // Hooks read answers, and decompress nothing.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
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
    if let Some(prefix) = from.stripped_prefix {
        forwarded_prefix(headers, prefix);
    }
}

/// Tells the upstream under which prefix clients know it, which may begin with that of a trusted proxy.
fn forwarded_prefix(headers: &mut HeaderMap, prefix: &str) {
    let outer = headers.get(X_FORWARDED_PREFIX).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if let Ok(value) = HeaderValue::try_from(format!("{}{prefix}", outer.trim_end_matches('/'))) {
        headers.insert(X_FORWARDED_PREFIX, value);
    }
}

/// Sets the identity headers; those of the client have been removed.
fn identity(headers: &mut HeaderMap, from: &ForwardContext<'_>) {
    if let Some(caller) = from.caller {
        for (name, claim) in from.identity_claims {
            let value = claim.text(&caller.claims).and_then(|text| HeaderValue::from_str(&text).ok());
            if let Some(value) = value {
                headers.insert(name.clone(), value);
            }
        }
    }
    if let Some(assertion) = &from.assertion {
        headers.insert(ASSERTION, assertion.clone());
    }
}
