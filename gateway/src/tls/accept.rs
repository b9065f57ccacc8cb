//! Accepts a connection of a client, with or without TLS. Knows no certificates and no requests.

use std::{io, net::SocketAddr, time::Duration};

use actix_http::Protocol;
use actix_rt::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::{server::ServerTls, stream::Stream};

/// Maximum time for a TLS handshake: 5 s. It takes two round trips, so that a client that needs longer is not a slow
/// one.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns the stream of a connection, its protocol (by ALPN: HTTP/2 or HTTP/1.1), and the address of its client.
///
/// # Errors
/// The handshake failed or took too long: no common version, or a required client certificate is missing.
pub(crate) async fn accept(
    stream: TcpStream,
    tls: Option<&ServerTls>,
) -> io::Result<(Stream, Protocol, Option<SocketAddr>)> {
    let peer = stream.peer_addr().ok();
    // The head of an answer and its body are often written apart: with Nagle's algorithm the body would wait, for up to
    // 40 ms, until the client has acknowledged the head.
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok((Stream::Plain(stream), Protocol::Http1, peer)) };
    // Boxed, because its future is larger than everything that an idle connection needs afterwards.
    let handshake = Box::pin(timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(tls.current()).accept(stream)));
    let stream = handshake.await.map_err(io::Error::from).flatten();
    let stream = stream.inspect_err(|error| tls.failures.count(error))?;
    let protocol = if stream.get_ref().1.alpn_protocol() == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 };
    Ok((Stream::tls(stream), protocol, peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn nothing_waits_for_an_acknowledgement() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, protocol, peer) = accept(client, None).await.unwrap();
        assert!(matches!(stream, Stream::Plain(tcp) if tcp.nodelay().unwrap()));
        assert_eq!((protocol, peer), (Protocol::Http1, listener.local_addr().ok()));
    }
}
