//! How the gateway speaks TLS to others. Their certificates are always verified: there is no way to turn that off.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};

use super::{
    pem,
    renewed::{Contents, FileBacked, Files},
};

/// The certificate with which the gateway shows who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientIdentity {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// How an upstream is spoken to. Whether its certificate is verified cannot be chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UpstreamTlsSettings {
    /// File of the authority that vouches for it, where that is none that the world knows.
    pub(crate) ca: Option<PathBuf>,
    pub(crate) identity: Option<ClientIdentity>,
    /// The name in its certificate, where that is not the host of the target.
    pub(crate) server_name: Option<ServerName<'static>>,
}

/// What the next connection is made with.
pub(crate) type ClientTls = FileBacked<UpstreamTlsSettings>;

impl Files for UpstreamTlsSettings {
    type Made = ClientConfig;

    const WHAT: &'static str = "the TLS files of an upstream";

    fn paths(&self) -> Vec<&Path> {
        let identity = self.identity.iter().flat_map(|identity| [identity.cert.as_path(), identity.key.as_path()]);
        self.ca.as_deref().into_iter().chain(identity).collect()
    }

    fn make(&self, contents: &Contents, _now: SystemTime) -> Result<ClientConfig, String> {
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
        // awc would take part in HTTP/2; the framing guard does not.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// A configuration that believes the authorities in the file `ca`, or without one those that browsers believe.
///
/// # Errors
/// Names the file and the reason.
pub(crate) fn config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let settings = UpstreamTlsSettings { ca: ca.map(Path::to_owned), ..UpstreamTlsSettings::default() };
    Ok(ClientTls::load(&settings, SystemTime::now())?.current())
}
