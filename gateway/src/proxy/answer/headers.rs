//! The headers of an answer on its way to the client (RFC 9110, section 7.6).

use actix_http::{
    StatusCode,
    header::{self, CONTENT_LENGTH, HeaderMap, HeaderName},
};

use super::addresses::Addresses;
use crate::{
    rules::{edits::Edits, fields::HopByHop},
    upstream::wire::framing::{HIDDEN_CODING, HIDDEN_FORGERY, HIDDEN_LENGTH, HIDDEN_UPGRADE},
};

/// The fields that are between an upstream and the gateway.
const INTERNAL: [HeaderName; 5] = [
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static(HIDDEN_LENGTH),
    HeaderName::from_static(HIDDEN_CODING),
    HeaderName::from_static(HIDDEN_UPGRADE),
    HeaderName::from_static(HIDDEN_FORGERY),
];

/// Turns the headers of an answer into those that go to the client. actix-http writes the framing; only a 304 has the length
/// of its missing body as a field (RFC 9110, section 8.6).
pub(crate) fn returning(headers: &mut HeaderMap, status: StatusCode, addresses: Option<&Addresses<'_>>, edits: &Edits) {
    let hop_by_hop = HopByHop::of(headers);
    let mut length = None;
    headers.retain(|name, value| {
        if *name == HIDDEN_LENGTH {
            length = Some(value.clone());
        }
        !(hop_by_hop.contains(name) || INTERNAL.contains(name))
    });
    if let Some(length) = length
        && status == StatusCode::NOT_MODIFIED
    {
        headers.insert(CONTENT_LENGTH, length);
    }
    if let Some(addresses) = addresses {
        addresses.turn(headers);
    }
    edits.apply(headers);
}
