//! TLS to servers of others, PostgreSQL and NATS. Their certificates are always verified, and the names in them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Which certificate authorities are trusted for the certificate of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TrustedRoots {
    /// Those that browsers trust.
    Public,
    /// Those in this file.
    File(PathBuf),
}

/// The settings of TLS that trust these authorities.
///
/// # Errors
/// Names the file and the reason.
pub(crate) fn config(trusted: &TrustedRoots) -> Result<ClientConfig, String> {
    let roots = match trusted {
        TrustedRoots::Public => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        TrustedRoots::File(path) => authorities(path)?,
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let cannot = |why: &dyn std::fmt::Display| format!("cannot use the certificates in {}: {why}", path.display());
    let pem = fs::read(path).map_err(|error| cannot(&error))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| cannot(&error))?;
        roots.add(certificate).map_err(|error| cannot(&error))?;
    }
    if roots.is_empty() { Err(cannot(&"there is none (BEGIN CERTIFICATE)")) } else { Ok(roots) }
}
