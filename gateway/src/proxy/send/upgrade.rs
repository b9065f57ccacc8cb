//! Requests that ask for another protocol (RFC 9110, section 7.8): WebSockets on routes that allow them. Bytes are
//! relayed both ways only after the upstream has said 101; its refusal is passed on whole, and the connection closed.

use actix_http::{
    ConnectionType, Response, StatusCode,
    body::BoxBody,
    header::{self, CONTENT_LENGTH, HeaderValue},
};
use chassis::problem::Problem;

use super::{
    super::answer::headers::returning,
    attempts::{Sender, send_upgrade},
    relay::Relay,
};
use crate::{
    proxy::exchange::Exchange,
    route::RouteSettings,
    runtime::worker::Worker,
    upstream::{
        handle::{Permit, Upstream},
        wire::{client::Outgoing, tunnel::Opened},
    },
};

/// Asks the upstream for the WebSocket.
pub(crate) async fn open(
    worker: &Worker,
    route: &RouteSettings,
    upstream: &Upstream,
    outgoing: Outgoing,
    from: Sender<'_>,
    mut permit: Permit,
    exchange: &mut Exchange,
) -> Result<Response<BoxBody>, Problem> {
    let opened = send_upgrade(worker, route, upstream, outgoing, from, &mut permit, exchange).await?;
    exchange.mark();
    match opened {
        Opened::Refused { status, mut headers, body } => {
            returning(&mut headers, status, &route.response_edits);
            headers.remove(CONTENT_LENGTH);
            let mut response = Response::with_body(status, BoxBody::new(body));
            *response.headers_mut() = headers;
            Ok(response)
        }
        Opened::Switched { mut headers, tunnel } => {
            let protocol = headers.get(header::UPGRADE).cloned();
            returning(&mut headers, StatusCode::SWITCHING_PROTOCOLS, &route.response_edits);
            let mut response = Response::with_body(StatusCode::SWITCHING_PROTOCOLS, BoxBody::new(()));
            headers.insert(header::UPGRADE, protocol.unwrap_or(HeaderValue::from_static("websocket")));
            *response.headers_mut() = headers;
            response.head_mut().set_connection_type(ConnectionType::Upgrade);
            response.extensions_mut().insert(Relay { tunnel, idle: route.timeouts.idle, permit });
            Ok(response)
        }
    }
}
