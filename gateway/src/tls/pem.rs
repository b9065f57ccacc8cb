//! Reads certificates and keys from PEM files. Errors name the file and say what is wrong with it.

use std::path::Path;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::files::read::read_bounded;

/// Maximum size of a file: 1 MiB. A chain of three certificates has about 6 KiB, the bundle of a whole system 250 KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads a file.
///
/// # Errors
/// Names the file and the reason.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    read_bounded(path, FILE_BYTES_MAX, "a PEM file")
}

/// Returns the certificates in a file, in their order.
///
/// # Errors
/// Names the file and the reason: it has no certificate, or an invalid one.
pub(super) fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| format!("{} is not a PEM file: {error}", path.display()))?;
    if certificates.is_empty() {
        return Err(format!("{} holds no certificate (BEGIN CERTIFICATE)", path.display()));
    }
    Ok(certificates)
}

/// Returns the private key in a file: PKCS #8, PKCS #1 or SEC 1.
///
/// # Errors
/// Names the file, and never its contents.
pub(super) fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| format!("{} holds no private key (BEGIN PRIVATE KEY)", path.display()))
}

/// Returns the certificate authorities in a file.
///
/// # Errors
/// Names the file and the reason.
pub(super) fn authorities(path: &Path, pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, pem)? {
        roots
            .add(certificate)
            .map_err(|error| format!("{} holds a certificate that is not an authority: {error}", path.display()))?;
    }
    Ok(roots)
}
