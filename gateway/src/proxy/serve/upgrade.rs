//! Serves a request that the server hands over together with its connection: WebSockets.

use std::rc::Rc;

use actix_codec::{Framed, FramedParts};
use actix_http::{ConnectionType, Method, Request, h1::Codec};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::{
    connection::write::respond,
    proxy::send::relay::{Relay, copy},
    runtime::worker::Worker,
};

/// Serves a request that the server hands over together with its connection, which ends afterwards.
pub(crate) async fn serve<Io>(worker: Rc<Worker>, request: Request, framed: Framed<Io, Codec>)
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let FramedParts { mut io, read_buf, write_buf, .. } = framed.into_parts();
    let is_head = request.head().method == Method::HEAD;
    let mut response = crate::proxy::forward::handle(worker, request).await;
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
