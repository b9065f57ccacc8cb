//! Serves the connections of one worker: gives each to the server while there is something to do, and waits for it in
//! between.

use std::{future::Future, net::SocketAddr, rc::Rc};

use actix_http::{
    ConnectionType, Protocol, Request, Response, body::MessageBody, error::DispatchError, header::HeaderMap,
};
use actix_rt::net::TcpStream;
use actix_service::Service;
use chassis::{
    problem::{Code, Problem},
    server::DISCONNECT_TIMEOUT,
    trace::RequestContext,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, sink},
    time::timeout,
};

use super::{
    client_stream::{ClientStream, ServedCount, TickSchedule},
    http2::serve::Http2,
    peer::Peer,
    phase::DetachReason,
    settings::ServerLimits,
    write,
};
use crate::tls::{accept::accept, server::ServerTls, stream::Stream};

/// Maximum number of bytes that are read and dropped after a refusal: 1 MiB. Closing a connection with unread bytes
/// resets it, and the client might never read the refusal.
const UNREAD_BYTES_MAX: u64 = 1024 * 1024;

/// The connections of one worker.
pub(crate) struct Connections<H, F> {
    /// The server for HTTP/1.1.
    http1: H,
    http2: Http2<F>,
    /// Counts an answer that is written here, without `http1`.
    on_refusal: Rc<dyn Fn(Code)>,
    tls: Option<ServerTls>,
    limits: ServerLimits,
    served: ServedCount,
}

impl<H, F, Answering, B> Connections<H, F>
where
    H: Service<(ClientStream, Option<SocketAddr>), Response = (), Error = DispatchError>,
    F: Fn(Request) -> Answering,
    Answering: Future<Output = Response<B>>,
    B: MessageBody,
{
    /// Serves connections with `http1`, which must always be ready, or with `http2`, as their clients want.
    pub(crate) fn new(
        http1: H,
        http2: Http2<F>,
        on_refusal: Rc<dyn Fn(Code)>,
        tls: Option<ServerTls>,
        limits: ServerLimits,
    ) -> Self {
        Self { http1, http2, on_refusal, tls, limits, served: ServedCount::default() }
    }

    /// Serves a connection to its end.
    ///
    /// # Errors
    /// The handshake failed, or the connection broke.
    pub(crate) async fn serve(&self, stream: TcpStream) -> Result<(), DispatchError> {
        let (stream, protocol, peer) = accept(stream, self.tls.as_ref()).await.map_err(DispatchError::Io)?;
        // With TLS the first bytes may have arrived, and been decrypted, together with the end of the handshake.
        let can_wait = matches!(stream, Stream::Plain(_));
        let schedule = TickSchedule::new(self.limits.head_timeout, self.limits.keep_alive);
        let connection =
            ClientStream::new(stream, Peer::new(peer), schedule, self.limits.write_pace, self.served.clone());
        if can_wait && timeout(self.limits.head_timeout, connection.readable()).await.is_err() {
            return Ok(());
        }
        if protocol == Protocol::Http2 {
            let served = Box::pin(self.http2.serve(connection.clone())).await;
            // After an error, too: the client is to read GOAWAY, which says what was wrong.
            Box::pin(self.close(connection)).await?;
            return served.map_err(DispatchError::Io);
        }
        let mut idle_timeout = self.limits.head_timeout;
        loop {
            connection.start_watching();
            let being_served = self.served.enter();
            // Boxed, like everything after it, so that a connection that waits does not have the size of one that is
            // served.
            let served = Box::pin(self.http1.call((connection.clone(), peer))).await;
            drop(being_served);
            let Some((reason, progress)) = connection.detached() else { return served };
            let status = match reason {
                DetachReason::Idle => {
                    served?;
                    if progress.had_request() {
                        idle_timeout = self.limits.keep_alive;
                    }
                    match timeout(idle_timeout, connection.readable()).await {
                        Ok(()) => continue,
                        Err(_) => return Box::pin(self.close(connection)).await,
                    }
                }
                DetachReason::HeadTimeout => 408,
                DetachReason::Refused(status) => status,
            };
            if progress.may_answer() {
                Box::pin(self.refuse(connection, status)).await?;
            }
            return Ok(());
        }
    }

    /// Answers a request that could not be read.
    async fn refuse(&self, mut connection: ClientStream, status: u16) -> Result<(), DispatchError> {
        let problem = match status {
            408 => Problem::new(Code::RequestTimeout, "the head of the request was sent too slowly"),
            431 => Problem::new(Code::HeadTooLarge, "the head of the request is too large"),
            _ => Problem::new(Code::BadRequest, "this is not a valid HTTP/1.1 request"),
        };
        (self.on_refusal)(problem.code());
        let context = RequestContext::from_headers(&HeaderMap::new());
        let mut response = problem.for_request(&context, "").to_response();
        response.head_mut().set_connection_type(ConnectionType::Close);
        connection.stop_watching();
        write::respond(&mut connection, response, false).await?;
        self.close(connection).await
    }

    /// Closes the sending half and goes on reading for a moment. Closing while there are unread bytes would reset the
    /// connection, and the client could lose what it has not read yet (RFC 9112, section 9.6).
    async fn close(&self, mut connection: ClientStream) -> Result<(), DispatchError> {
        connection.stop_watching();
        let closing = async {
            connection.shutdown().await?;
            copy(&mut connection.take(UNREAD_BYTES_MAX), &mut sink()).await
        };
        let _ = timeout(DISCONNECT_TIMEOUT, closing).await;
        Ok(())
    }
}
