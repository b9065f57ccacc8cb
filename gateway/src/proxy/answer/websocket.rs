//! Makes the answer to a request for a WebSocket (RFC 6455) from that of the upstream: 101 with the [`Relay`] of the bytes
//! that follow it, or the upstream's refusal, passed on whole. Relays nothing itself.

use actix_http::{
    ConnectionType, Response, StatusCode,
    body::BoxBody,
    header::{CONTENT_LENGTH, HeaderMap, HeaderValue, UPGRADE},
};

use super::{super::relay::Relay, addresses::Addresses, headers::returning};
use crate::{
    route::RouteSettings,
    upstream::{handle::Permit, wire::tunnel::UpgradeAnswer},
};

/// Makes the answer. After 101, whoever has the connection of the client takes the [`Relay`] out of the answer
/// ([`serve::upgrade`](super::super::serve::upgrade)).
pub(crate) fn websocket(
    route: &RouteSettings,
    answer: UpgradeAnswer,
    permit: Permit,
    addresses: Option<&Addresses<'_>>,
) -> Response<BoxBody> {
    match answer {
        UpgradeAnswer::Refused { status, mut headers, body } => {
            returning(&mut headers, status, addresses, &route.response_edits);
            headers.remove(CONTENT_LENGTH);
            response(status, headers, BoxBody::new(body))
        }
        UpgradeAnswer::Switched { mut headers, tunnel } => {
            let protocol = headers.get(UPGRADE).cloned();
            returning(&mut headers, StatusCode::SWITCHING_PROTOCOLS, addresses, &route.response_edits);
            headers.insert(UPGRADE, protocol.unwrap_or(HeaderValue::from_static("websocket")));
            let mut response = response(StatusCode::SWITCHING_PROTOCOLS, headers, BoxBody::new(()));
            response.head_mut().set_connection_type(ConnectionType::Upgrade);
            response.extensions_mut().insert(Relay { tunnel, idle: route.timeouts.idle, permit });
            response
        }
    }
}

fn response(status: StatusCode, headers: HeaderMap, body: BoxBody) -> Response<BoxBody> {
    let mut response = Response::with_body(status, body);
    *response.headers_mut() = headers;
    response
}
