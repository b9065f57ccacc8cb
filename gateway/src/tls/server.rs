//! How clients speak TLS to the gateway: certificates by server name, versions, client certificates. Knows no sockets.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    RootCertStore, ServerConfig,
    client::verify_server_name,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName},
    server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use x509_cert::der::Decode;

use super::{
    pem,
    renewed::{Contents, FileBacked, Files},
};

/// A certificate that will expire so soon should have been renewed: Let's Encrypt's are renewed 30 days before.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What the public listener shows and asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    /// The first is for clients that name no server, or one that no certificate is for.
    pub(crate) certificates: Vec<CertificateFiles>,
    pub(crate) min_version: MinVersion,
    /// Clients must have a certificate of this authority.
    pub(crate) client_ca: Option<PathBuf>,
}

/// A certificate, with its chain, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// The oldest TLS that is spoken. Older ones than these are broken (RFC 8996).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MinVersion {
    Tls12,
    Tls13,
}

/// What the next connection is accepted with.
pub(crate) type ServerTls = FileBacked<TlsSettings>;

impl Files for TlsSettings {
    type Made = ServerConfig;

    const WHAT: &'static str = "the TLS certificates";

    fn paths(&self) -> Vec<&Path> {
        let pairs = self.certificates.iter().flat_map(|files| [files.cert.as_path(), files.key.as_path()]);
        pairs.chain(self.client_ca.as_deref()).collect()
    }

    fn make(&self, contents: &Contents, now: SystemTime) -> Result<ServerConfig, String> {
        let provider = Arc::new(ring::default_provider());
        let certified = self.certificates.iter().map(|files| certified(files, contents, &provider, now));
        let resolver = Arc::new(ByServerName(certified.collect::<Result<_, _>>()?));
        let versions: &[&rustls::SupportedProtocolVersion] = match self.min_version {
            MinVersion::Tls12 => &[&TLS13, &TLS12],
            MinVersion::Tls13 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(versions).map_err(|error| error.to_string())?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots: Arc<RootCertStore> = Arc::new(pem::authorities(path, contents.of(path))?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| format!("{}: {error}", path.display()))?)
            }
        };
        let mut config = builder.with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn certified(
    files: &CertificateFiles,
    contents: &Contents,
    provider: &CryptoProvider,
    now: SystemTime,
) -> Result<Arc<CertifiedKey>, String> {
    let chain = pem::certificates(&files.cert, contents.of(&files.cert))?;
    if let Some(own) = chain.first() {
        check_time(&files.cert, own, now)?;
    }
    let key = pem::private_key(&files.key, contents.of(&files.key))?;
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        format!("the key in {} does not fit the certificate in {}: {error}", files.key.display(), files.cert.display())
    });
    certified.map(Arc::new)
}

/// An expired certificate is a mistake; one that soon will be is told.
fn check_time(path: &Path, certificate: &CertificateDer<'_>, now: SystemTime) -> Result<(), String> {
    let parsed = x509_cert::Certificate::from_der(certificate)
        .map_err(|error| format!("{} holds no X.509 certificate: {error}", path.display()))?;
    let until = parsed.tbs_certificate.validity.not_after;
    match until.to_system_time().duration_since(now) {
        Err(_) => return Err(format!("the certificate in {} expired on {until}; renew it", path.display())),
        Ok(left) if left < EXPIRES_SOON => {
            let (path, days) = (path.display().to_string(), left.as_secs() / (24 * 60 * 60));
            log::warn!(file = path.as_str(), days = days; "a TLS certificate expires soon");
        }
        Ok(_) => {}
    }
    Ok(())
}

/// Chooses the certificate for the server that a client names (RFC 6066, section 3).
#[derive(Debug)]
struct ByServerName(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByServerName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| self.0.iter().find(|certified| is_for(certified, &name)));
        named.or(self.0.first()).cloned()
    }
}

fn is_for(certified: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let own = certified.end_entity_cert().and_then(ParsedCertificate::try_from);
    own.is_ok_and(|own| verify_server_name(&own, name).is_ok())
}
