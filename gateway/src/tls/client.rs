//! TLS as a client: to upstreams, and to the servers of other issuers. Certificates are always verified; there is no
//! option to turn that off. Knows no HTTP.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};

use super::{
    file_backed::{FileBacked, FileContents, FileSettings},
    pem,
};

/// The client certificate of the gateway, for upstreams that require one (mutual TLS).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientIdentity {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// The TLS settings of an upstream. Verification of its certificate cannot be turned off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UpstreamTlsSettings {
    /// The file with its certificate authority; without one, the public authorities are trusted.
    pub(crate) ca: Option<PathBuf>,
    pub(crate) identity: Option<ClientIdentity>,
    /// The name in its certificate, if that differs from the host of the target.
    pub(crate) server_name: Option<ServerName<'static>>,
}

/// The TLS configuration for new connections to one upstream, reloaded when its files change.
pub(crate) type ClientTls = FileBacked<UpstreamTlsSettings>;

impl FileSettings for UpstreamTlsSettings {
    type Value = ClientConfig;

    const WHAT: &'static str = "TLS files of an upstream";

    fn paths(&self) -> Vec<&Path> {
        let identity = self.identity.iter().flat_map(|identity| [identity.cert.as_path(), identity.key.as_path()]);
        self.ca.as_deref().into_iter().chain(identity).collect()
    }

    fn build(&self, contents: &FileContents, _now: SystemTime) -> Result<ClientConfig, String> {
        let roots = match &self.ca {
            Some(path) => pem::authorities(path, contents.of(path))?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(ClientIdentity { cert, key }) => {
                let chain = pem::certificates(cert, contents.of(cert))?;
                let private = pem::private_key(key, contents.of(key))?;
                builder
                    .with_client_auth_cert(chain, private)
                    .map_err(|error| format!("{} and {} do not fit: {error}", cert.display(), key.display()))?
            }
        };
        // awc can speak HTTP/2, but the framing guard cannot.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Returns a configuration that trusts the authorities in the file `ca`, or without one the public authorities.
///
/// # Errors
/// Names the file and the reason.
pub(crate) fn config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let settings = UpstreamTlsSettings { ca: ca.map(Path::to_owned), ..UpstreamTlsSettings::default() };
    Ok(ClientTls::load(&settings, SystemTime::now())?.current())
}
