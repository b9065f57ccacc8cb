//! A connection of a client from its first byte to its end. It is in the hands of the server (actix-http) only while there
//! is something to do: idle ones wait here, where they take one KiB and not twenty. Here also ends what takes too long,
//! and what the server refuses with a bare status is said as a problem.

mod peer;
mod phase;
pub(crate) mod settings;
mod watched;
pub(crate) mod write;

use std::{net::SocketAddr, rc::Rc};

use actix_http::{ConnectionType, Protocol, error::DispatchError, header::HeaderMap};
use actix_rt::net::TcpStream;
use actix_service::Service;
use chassis::{
    problem::{Code, Problem},
    server::{DISCONNECT_TIMEOUT, KEEP_ALIVE},
    trace::RequestContext,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, sink},
    time::timeout,
};

use crate::tls::{accept::accept, server::ServerTls, stream::Stream};
use phase::End;
use settings::ServerLimits;
use watched::{Look, Served};

pub(crate) use self::peer::Peer;
pub(crate) use self::watched::{ActiveRequest, ClientStream};

/// What a client that was refused may still send, so that it gets to read why before the connection is reset.
const UNREAD_BYTES_MAX: u64 = 1024 * 1024;

/// The connections of one worker.
pub(crate) struct Connections<H> {
    /// The server: HTTP of both versions on one stream.
    http: H,
    /// Counts an answer that is written here and never reaches `http`.
    on_refusal: Rc<dyn Fn(Code)>,
    tls: Option<ServerTls>,
    limits: ServerLimits,
    served: Served,
}

impl<H> Connections<H>
where
    H: Service<(ClientStream, Protocol, Option<SocketAddr>), Response = (), Error = DispatchError>,
{
    /// Serves connections with `http`, which is always ready.
    pub(crate) fn new(http: H, on_refusal: Rc<dyn Fn(Code)>, tls: Option<ServerTls>, limits: ServerLimits) -> Self {
        Self { http, on_refusal, tls, limits, served: Served::default() }
    }

    /// Serves one to its end.
    ///
    /// # Errors
    /// It was not ended in peace.
    pub(crate) async fn serve(&self, stream: TcpStream) -> Result<(), DispatchError> {
        let (stream, protocol, peer) = accept(stream, self.tls.as_ref()).await.map_err(DispatchError::Io)?;
        // With TLS the first bytes may have come together with the end of the handshake.
        let waits = matches!(stream, Stream::Plain(_));
        let look = Look::within(self.limits.head_timeout, KEEP_ALIVE);
        let connection =
            ClientStream::new(stream, Peer::at(peer), look, self.limits.write_timeout, self.served.clone());
        if waits && timeout(self.limits.head_timeout, connection.readable()).await.is_err() {
            return Ok(());
        }
        let mut patience = self.limits.head_timeout;
        loop {
            if protocol != Protocol::Http2 {
                connection.watch();
            }
            let in_hand = self.served.one();
            // Boxed, as all that comes after it, so that a connection that waits does not have the size of one that is served.
            let served = Box::pin(self.http.call((connection.clone(), protocol, peer))).await;
            drop(in_hand);
            let Some((end, progress)) = connection.over() else { return served };
            let status = match end {
                End::Parked => {
                    served?;
                    if progress.is_used() {
                        patience = KEEP_ALIVE;
                    }
                    match timeout(patience, connection.readable()).await {
                        Ok(()) => continue,
                        Err(_) => return Box::pin(self.close(connection)).await,
                    }
                }
                End::TooSlow => 408,
                End::Refused(status) => status,
            };
            if progress.may_answer() {
                Box::pin(self.refuse(connection, status)).await?;
            }
            return Ok(());
        }
    }

    /// Says why a request could not even be read.
    async fn refuse(&self, mut connection: ClientStream, status: u16) -> Result<(), DispatchError> {
        let problem = match status {
            408 => Problem::new(Code::RequestTimeout, "the head of the request came too slowly"),
            431 => Problem::new(Code::HeadTooLarge, "the head of the request is larger than any server reads"),
            _ => Problem::new(Code::BadRequest, "this is no request of HTTP/1.1"),
        };
        (self.on_refusal)(problem.code());
        let context = RequestContext::from_headers(&HeaderMap::new());
        let mut response = problem.for_request(&context, "").to_response();
        response.head_mut().set_connection_type(ConnectionType::Close);
        connection.let_pass();
        write::respond(&mut connection, response, false).await?;
        self.close(connection).await
    }

    /// Says that nothing will follow, and reads on for a moment: to close while something is unread resets the connection,
    /// and takes from the client what it has not yet read (RFC 9112, section 9.6).
    async fn close(&self, mut connection: ClientStream) -> Result<(), DispatchError> {
        connection.let_pass();
        let closing = async {
            connection.shutdown().await?;
            copy(&mut connection.take(UNREAD_BYTES_MAX), &mut sink()).await
        };
        let _ = timeout(DISCONNECT_TIMEOUT, closing).await;
        Ok(())
    }
}
