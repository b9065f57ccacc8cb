//! Requests that ask for another protocol (RFC 9110, section 7.8): WebSockets on routes that allow them. Bytes are
//! relayed both ways only after the upstream has said 101; its refusal is passed on whole, and the connection closed.

use std::{fmt, future::poll_fn, io, pin::Pin, rc::Rc, time::Duration};

use actix_codec::{Encoder, Framed, FramedParts};
use actix_http::{
    ConnectionType, Method, Request, RequestHead, Response, StatusCode, Version,
    body::{BodySize, BoxBody, MessageBody},
    h1::{Codec, Message},
    header::{self, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING},
};
use bytes::BytesMut;
use chassis::problem::{Code, Problem};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{
    Exchange, headers,
    relay::{Relay, copy},
    send::{Sender, send_upgrade},
};
use crate::{
    config::RouteSettings,
    upstream::{Permit, Upstream, client::Outgoing, tunnel::Opened},
    worker::Worker,
};

/// A client that does not take its answer is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether a request asks for a WebSocket (RFC 6455, section 4.1). HTTP/1.0 cannot (RFC 9110, section 7.8).
pub(super) fn asks_for_websocket(head: &RequestHead) -> bool {
    head.method == Method::GET
        && head.version == Version::HTTP_11
        && names(&head.headers, &header::UPGRADE, "websocket")
        && names(&head.headers, &header::CONNECTION, "upgrade")
        && !has_body(&head.headers)
}

fn names(headers: &HeaderMap, field: &header::HeaderName, option: &str) -> bool {
    let values = headers.get_all(field).filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case(option))
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// Refuses what the parser of the server reads wrongly: with `Upgrade: websocket` it overlooks the length of a body, so
/// that the body would be taken for what follows.
pub(super) fn refuse_hidden_body(head: &RequestHead) -> Result<(), Problem> {
    let mut upgrades = head.headers.get_all(header::UPGRADE).map(|value| value.as_bytes().trim_ascii());
    let overlooked = upgrades.any(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
    if overlooked && !head.headers.contains_key(TRANSFER_ENCODING) && has_body(&head.headers) {
        return Err(Problem::new(Code::BadRequest, "a request that asks for a WebSocket has no body"));
    }
    Ok(())
}

/// Asks the upstream for the WebSocket.
pub(super) async fn open(
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
            headers::returning(&mut headers, status, &route.response_edits);
            headers.remove(CONTENT_LENGTH);
            let mut response = Response::with_body(status, BoxBody::new(body));
            *response.headers_mut() = headers;
            Ok(response)
        }
        Opened::Switched { mut headers, tunnel } => {
            let protocol = headers.get(header::UPGRADE).cloned();
            headers::returning(&mut headers, StatusCode::SWITCHING_PROTOCOLS, &route.response_edits);
            let mut response = Response::with_body(StatusCode::SWITCHING_PROTOCOLS, BoxBody::new(()));
            headers.insert(header::UPGRADE, protocol.unwrap_or(HeaderValue::from_static("websocket")));
            *response.headers_mut() = headers;
            response.head_mut().set_connection_type(ConnectionType::Upgrade);
            response.extensions_mut().insert(Relay { tunnel, idle: route.timeouts.idle, permit });
            Ok(response)
        }
    }
}

/// Serves a request that the server hands over together with its connection, which ends afterwards.
pub async fn serve<Io>(worker: Rc<Worker>, request: Request, framed: Framed<Io, Codec>)
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let FramedParts { mut io, read_buf, write_buf, .. } = framed.into_parts();
    let is_head = request.head().method == Method::HEAD;
    let mut response = super::handle(worker, request).await;
    let relay = response.extensions_mut().remove::<Relay>();
    if relay.is_none() {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    // What goes wrong from here on is between the two ends: there is nobody left to tell.
    let outcome = async {
        io.write_all(&write_buf).await?;
        // Held to the end: the exchange is counted when its body is dropped.
        let _exchange = respond(&mut io, response, is_head).await?;
        if let Some(relay) = relay {
            copy(&mut io, &read_buf, relay).await?;
        }
        io.shutdown().await
    };
    if let Err(error) = outcome.await {
        log::debug!("an upgraded connection ended: {error}");
    }
}

/// Writes an answer with a codec of its own: that of the server would label a stream as chunked and not chunk it.
///
/// # Errors
/// The connection or the body breaks.
pub async fn respond<Io, B>(io: &mut Io, response: Response<B>, is_head: bool) -> io::Result<Pin<Box<B>>>
where
    Io: AsyncWrite + Unpin,
    B: MessageBody,
    B::Error: fmt::Display,
{
    let mut body = None;
    let response = response.map_body(|_, taken| body = Some(Box::pin(taken)));
    let mut body = body.ok_or_else(|| io::Error::other("an answer without a body"))?;
    let mut codec = Codec::default();
    let mut bytes = BytesMut::new();
    let size = body.size();
    codec.encode(Message::Item((response, size)), &mut bytes)?;
    write(io, &mut bytes).await?;
    if is_head || matches!(size, BodySize::None | BodySize::Sized(0)) {
        return Ok(body);
    }
    while let Some(chunk) = poll_fn(|cx| body.as_mut().poll_next(cx)).await {
        codec.encode(Message::Chunk(Some(chunk.map_err(|error| io::Error::other(error.to_string()))?)), &mut bytes)?;
        write(io, &mut bytes).await?;
    }
    codec.encode(Message::Chunk(None), &mut bytes)?;
    write(io, &mut bytes).await?;
    Ok(body)
}

async fn write<Io: AsyncWrite + Unpin>(io: &mut Io, bytes: &mut BytesMut) -> io::Result<()> {
    timeout(WRITE_TIMEOUT, io.write_all(&bytes.split())).await?
}
