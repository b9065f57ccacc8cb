//! Connects to a target: resolves its name, opens the connection, does the TLS handshake, and puts the framing guard in
//! front. Knows no requests.

use std::{io, time::SystemTime};

use actix_rt::net::TcpStream;
use actix_service::{Service, fn_service};
use actix_tls::connect::{ConnectError, ConnectInfo, Connection, Connector, Resolver};
use awc::http::Uri;
use rustls::pki_types::ServerName;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::guard::GuardedStream;
use crate::tls::{
    client::{ClientTls, UpstreamTlsSettings},
    stream::Stream,
};

/// TLS to the targets of an upstream.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamTls {
    files: ClientTls,
    /// The name that their certificates must have; if it is `None`, the host of each target.
    server_name: Option<ServerName<'static>>,
}

impl UpstreamTls {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file and the reason.
    pub(crate) fn load(settings: &UpstreamTlsSettings) -> Result<Self, String> {
        let files = ClientTls::load(settings, SystemTime::now())?;
        Ok(Self { files, server_name: settings.server_name.clone() })
    }

    /// Reloads the files when they change. New connections use what is in them then.
    pub(crate) fn watch(&self) {
        self.files.watch();
    }

    async fn connect(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, ConnectError> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            // An IPv6 address has brackets in a URI, but not in a certificate.
            None => ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
                .map_err(|error| ConnectError::Io(io::Error::new(io::ErrorKind::InvalidInput, error)))?,
        };
        TlsConnector::from(self.files.current()).connect(name, stream).await.map_err(ConnectError::Io)
    }
}

/// Returns a connector of guarded connections for awc, which keeps them in its pool and limits the time of connecting,
/// the handshake included. TLS is below the guard, which reads plain text; for awc every target is `http://`.
pub(crate) fn connector(
    tls: Option<UpstreamTls>,
) -> impl Service<ConnectInfo<Uri>, Response = Connection<Uri, GuardedStream<Stream>>, Error = ConnectError> + Clone + 'static
{
    let tcp = Connector::new(Resolver::default()).service();
    fn_service(move |target: ConnectInfo<Uri>| {
        let connecting = tcp.call(target);
        let tls = tls.clone();
        async move {
            let (stream, target) = connecting.await?.into_parts();
            // The head and the body of a request are written apart: with Nagle's algorithm the body would wait until
            // the upstream has acknowledged the head.
            stream.set_nodelay(true).map_err(ConnectError::Io)?;
            let stream = match &tls {
                None => Stream::Plain(stream),
                Some(tls) => Stream::tls(tls.connect(target.host().unwrap_or_default(), stream).await?),
            };
            Ok(Connection::new(target, GuardedStream::new(stream)))
        }
    })
}
