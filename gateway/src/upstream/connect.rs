//! Connects to a target: resolves its name, opens the connection, speaks TLS where it does, guards what is inside.
//! Knows no requests.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix_rt::net::{ActixStream, Ready, TcpStream};
use actix_service::{Service, fn_service};
use actix_tls::connect::{ConnectError, ConnectInfo, Connection, Connector, Resolver};
use awc::http::Uri;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::guard::Guarded;
use crate::tls::{client, client::UpstreamTlsSettings};

/// How the targets of an upstream are spoken to in TLS.
#[derive(Clone, Debug)]
pub struct UpstreamTls {
    config: Arc<ClientConfig>,
    /// The name that their certificates must have; else the host of each.
    server_name: Option<ServerName<'static>>,
}

impl UpstreamTls {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file and the reason.
    pub fn load(settings: &UpstreamTlsSettings) -> Result<Self, String> {
        let config = client::config(settings.ca.as_deref(), settings.identity.as_ref())?;
        Ok(Self { config, server_name: settings.server_name.clone() })
    }

    async fn connect(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, ConnectError> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            // In a URI an IPv6 address stands in brackets; in a certificate it does not.
            None => ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
                .map_err(|error| ConnectError::Io(io::Error::new(io::ErrorKind::InvalidInput, error)))?,
        };
        TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await.map_err(ConnectError::Io)
    }
}

/// Opens guarded connections; awc keeps them in its pool and ends the attempt, the handshake included, when its time is
/// over. TLS is inside, not around, so that the guard reads plain text; for awc every target is `http://`.
pub fn connector(
    tls: Option<UpstreamTls>,
) -> impl Service<ConnectInfo<Uri>, Response = Connection<Uri, Guarded<Transport>>, Error = ConnectError> + Clone + 'static
{
    let tcp = Connector::new(Resolver::default()).service();
    fn_service(move |target: ConnectInfo<Uri>| {
        let connecting = tcp.call(target);
        let tls = tls.clone();
        async move {
            let (stream, target) = connecting.await?.into_parts();
            // A request and its body are written apart: without this the second waits for an acknowledgement of the first.
            stream.set_nodelay(true).map_err(ConnectError::Io)?;
            let transport = match &tls {
                None => Transport::Plain(stream),
                Some(tls) => {
                    let host = target.host().unwrap_or_default();
                    Transport::Tls(Box::new(tls.connect(host, stream).await?))
                }
            };
            Ok(Connection::new(target, Guarded::new(transport)))
        }
    })
}

/// What the bytes to a target go through.
#[derive(Debug)]
pub enum Transport {
    Plain(TcpStream),
    /// Boxed, since it is thirty times as large.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl ActixStream for Transport {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(self.tcp(), cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(self.tcp(), cx)
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
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
