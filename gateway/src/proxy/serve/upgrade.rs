//! Serves a request that actix-http hands over together with its connection: one that asks for another protocol.

use std::rc::Rc;

use actix_codec::{Framed, FramedParts};
use actix_http::{ConnectionType, Method, Request, h1::Codec};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::super::{
    forward,
    relay::{Relay, copy},
};
use crate::{connection::write::respond, runtime::worker::Worker};

/// Serves the request and ends its connection. After 101, bytes are relayed until either end closes.
pub(crate) async fn serve<Io>(worker: Rc<Worker>, request: Request, framed: Framed<Io, Codec>)
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let FramedParts { mut io, read_buf, write_buf, .. } = framed.into_parts();
    let is_head = request.head().method == Method::HEAD;
    let mut response = forward::handle(worker, request).await;
    let relay = response.extensions_mut().remove::<Relay>();
    if relay.is_none() {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    // From here on a failure concerns the connection alone, so that nobody is left to answer.
    let outcome = async {
        io.write_all(&write_buf).await?;
        // Held to the end: the exchange ends when the body of its answer is dropped.
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
