//! Asks the upstream for a WebSocket (RFC 6455), and answers the client as the upstream did: 101, after which bytes are
//! relayed both ways ([`relay`](super::relay)), or its refusal, passed on whole.

use actix_http::{
    ConnectionType, Response, StatusCode,
    body::BoxBody,
    header::{self, CONTENT_LENGTH, HeaderMap, HeaderValue},
};
use chassis::problem::Problem;

use super::{
    super::{answer::headers::returning, exchange::Exchange},
    Sending,
    attempts::send_upgrade,
    relay::Relay,
};
use crate::{telemetry::access_log::Phase, upstream::wire::tunnel::Opened};

/// Opens the WebSocket. The answer carries the [`Relay`] to whoever has the connection of the client
/// ([`serve::upgrade`](super::super::serve::upgrade)).
pub(crate) async fn open(sending: Sending<'_>, exchange: &mut Exchange) -> Result<Response<BoxBody>, Problem> {
    let route = &sending.route.settings;
    let (opened, permit) = send_upgrade(sending, exchange).await?;
    exchange.phase_done(Phase::Send);
    match opened {
        Opened::Refused { status, mut headers, body } => {
            returning(&mut headers, status, &route.response_edits);
            headers.remove(CONTENT_LENGTH);
            Ok(response(status, headers, BoxBody::new(body)))
        }
        Opened::Switched { mut headers, tunnel } => {
            let protocol = headers.get(header::UPGRADE).cloned();
            returning(&mut headers, StatusCode::SWITCHING_PROTOCOLS, &route.response_edits);
            headers.insert(header::UPGRADE, protocol.unwrap_or(HeaderValue::from_static("websocket")));
            let mut response = response(StatusCode::SWITCHING_PROTOCOLS, headers, BoxBody::new(()));
            response.head_mut().set_connection_type(ConnectionType::Upgrade);
            response.extensions_mut().insert(Relay { tunnel, idle: route.timeouts.idle, permit });
            Ok(response)
        }
    }
}

fn response(status: StatusCode, headers: HeaderMap, body: BoxBody) -> Response<BoxBody> {
    let mut response = Response::with_body(status, body);
    *response.headers_mut() = headers;
    response
}
