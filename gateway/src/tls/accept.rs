//! Takes a connection of a client in, with or without TLS, as one type. Knows no certificates and no requests.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_http::Protocol;
use actix_rt::net::TcpStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::server::ServerTls;

/// A handshake is two round trips; a client that needs longer has other plans.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the protocol is spoken on.
pub enum ClientStream {
    Plain(TcpStream),
    /// Boxed, since it is thirty times as large.
    Tls(Box<TlsStream<TcpStream>>),
}

/// The stream of a connection, what is spoken on it (by ALPN: HTTP/2 or HTTP/1.1), and whom it comes from.
///
/// # Errors
/// The client speaks no TLS that we do, not in time, or has no certificate where one is asked for.
pub async fn accept(
    stream: TcpStream,
    tls: Option<&ServerTls>,
) -> io::Result<(ClientStream, Protocol, Option<SocketAddr>)> {
    let peer = stream.peer_addr().ok();
    let Some(tls) = tls else { return Ok((ClientStream::Plain(stream), Protocol::Http1, peer)) };
    stream.set_nodelay(true)?;
    let handshake = TlsAcceptor::from(tls.current()).accept(stream);
    let stream = timeout(HANDSHAKE_TIMEOUT, handshake).await.map_err(io::Error::from)?;
    let stream = stream.inspect_err(|error| log::debug!(cause = error.to_string(); "a TLS handshake failed"))?;
    let protocol = if stream.get_ref().1.alpn_protocol() == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 };
    Ok((ClientStream::Tls(Box::new(stream)), protocol, peer))
}

impl ClientStream {
    /// Where the client is.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        let tcp = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        tcp.peer_addr().ok()
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
