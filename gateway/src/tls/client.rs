//! How the gateway speaks TLS to others. Their certificates are always verified: there is no way to turn that off.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};

use super::pem;

/// The certificate with which the gateway shows who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// How an upstream is spoken to. Whether its certificate is verified cannot be chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTlsSettings {
    /// File of the authority that vouches for it, where that is none that the world knows.
    pub ca: Option<PathBuf>,
    pub identity: Option<ClientIdentity>,
    /// The name in its certificate, where that is not the host of the target.
    pub server_name: Option<ServerName<'static>>,
}

/// A configuration that believes the authorities in the file `ca`, or without one those that browsers believe.
///
/// # Errors
/// Names the file and the reason.
pub fn config(ca: Option<&Path>, identity: Option<&ClientIdentity>) -> Result<Arc<ClientConfig>, String> {
    let roots = match ca {
        Some(path) => pem::authorities(path, &pem::read(path)?)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(ClientIdentity { cert, key }) => {
            let chain = pem::certificates(cert, &pem::read(cert)?)?;
            let private = pem::private_key(key, &pem::read(key)?)?;
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|error| format!("{} and {} do not fit: {error}", cert.display(), key.display()))?
        }
    };
    // awc would take part in HTTP/2; the framing guard does not.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
