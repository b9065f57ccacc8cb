//! Reads certificates and keys from PEM files, with messages that say which file and what is wrong with it.

use std::{fs, path::Path};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// A chain of three certificates has about 6 KiB; the bundle of a whole system 250 KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The bytes of a file.
///
/// # Errors
/// Names the file and the reason.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let describe = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    if fs::metadata(path).map_err(describe)?.len() > FILE_BYTES_MAX {
        return Err(format!("{} is too large for a PEM file", path.display()));
    }
    fs::read(path).map_err(describe)
}

/// The certificates in a file, in its order.
///
/// # Errors
/// Names the file and the reason; none at all is one.
pub(crate) fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| format!("{} is no PEM file: {error}", path.display()))?;
    if certificates.is_empty() {
        return Err(format!("{} holds no certificate (BEGIN CERTIFICATE)", path.display()));
    }
    Ok(certificates)
}

/// The private key in a file: PKCS #8, PKCS #1 or SEC 1.
///
/// # Errors
/// Names the file; never shows what is in it.
pub(crate) fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| format!("{} holds no private key (BEGIN PRIVATE KEY)", path.display()))
}

/// The authorities in a file.
///
/// # Errors
/// Names the file and the reason.
pub(crate) fn authorities(path: &Path, pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, pem)? {
        roots
            .add(certificate)
            .map_err(|error| format!("{} holds a certificate that is no authority: {error}", path.display()))?;
    }
    Ok(roots)
}
