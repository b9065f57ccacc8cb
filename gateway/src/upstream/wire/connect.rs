//! Connects to a target: resolves its name, opens the connection, speaks TLS where it does, guards what is inside.
//! Knows no requests.

use std::{io, time::SystemTime};

use actix_rt::net::TcpStream;
use actix_service::{Service, fn_service};
use actix_tls::connect::{ConnectError, ConnectInfo, Connection, Connector, Resolver};
use awc::http::Uri;
use rustls::pki_types::ServerName;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::guard::Guarded;
use crate::tls::{
    client::{ClientTls, UpstreamTlsSettings},
    stream::Stream,
};

/// How the targets of an upstream are spoken to in TLS.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamTls {
    files: ClientTls,
    /// The name that their certificates must have; else the host of each.
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

    /// Reads the files anew from now on when they change: new connections are made with what is in them then.
    pub(crate) fn watch(&self) {
        self.files.watch();
    }

    async fn connect(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, ConnectError> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            // In a URI an IPv6 address stands in brackets; in a certificate it does not.
            None => ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
                .map_err(|error| ConnectError::Io(io::Error::new(io::ErrorKind::InvalidInput, error)))?,
        };
        TlsConnector::from(self.files.current()).connect(name, stream).await.map_err(ConnectError::Io)
    }
}

/// Opens guarded connections; awc keeps them in its pool and ends the attempt, the handshake included, when its time is
/// over. TLS is inside, not around, so that the guard reads plain text; for awc every target is `http://`.
pub(crate) fn connector(
    tls: Option<UpstreamTls>,
) -> impl Service<ConnectInfo<Uri>, Response = Connection<Uri, Guarded<Stream>>, Error = ConnectError> + Clone + 'static
{
    let tcp = Connector::new(Resolver::default()).service();
    fn_service(move |target: ConnectInfo<Uri>| {
        let connecting = tcp.call(target);
        let tls = tls.clone();
        async move {
            let (stream, target) = connecting.await?.into_parts();
            // A request and its body are written apart: without this the second waits for an acknowledgement of the first.
            stream.set_nodelay(true).map_err(ConnectError::Io)?;
            let stream = match &tls {
                None => Stream::Plain(stream),
                Some(tls) => Stream::tls(tls.connect(target.host().unwrap_or_default(), stream).await?),
            };
            Ok(Connection::new(target, Guarded::new(stream)))
        }
    })
}
