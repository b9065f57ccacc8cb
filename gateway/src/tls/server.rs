//! TLS as a server: certificates by server name, protocol versions, client certificates. Knows no sockets.

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
    file_backed::{FileBacked, FileContents, FileSettings},
    handshake_failures::HandshakeFailures,
    pem,
};

/// Remaining validity below which a certificate is reported: 14 days. Let's Encrypt certificates are renewed 30 days
/// before they expire, so that one with less has missed its renewal.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The TLS settings of the public listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    /// The first one is the default, for clients that name no server or one that no certificate covers.
    pub(crate) certificates: Vec<CertificateFiles>,
    pub(crate) min_version: MinVersion,
    /// If set, clients must present a certificate of this authority.
    pub(crate) client_ca: Option<PathBuf>,
}

/// The files of a certificate chain and of its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// The oldest version of TLS that is accepted. Versions before 1.2 are deprecated (RFC 8996).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MinVersion {
    Tls12,
    Tls13,
}

/// TLS for new connections of clients. Its configuration is reloaded when its files change. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct ServerTls {
    config: FileBacked<TlsSettings>,
    pub(super) failures: HandshakeFailures,
}

impl ServerTls {
    /// Reads the files, and counts failed handshakes in `failures`.
    ///
    /// # Errors
    /// Names the file and the reason.
    pub(crate) fn load(settings: &TlsSettings, failures: HandshakeFailures, now: SystemTime) -> Result<Self, String> {
        Ok(Self { config: FileBacked::load(settings, now)?, failures })
    }

    /// Returns the configuration for the next connection.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.config.current()
    }

    /// Polls the files for as long as a handle exists. Needs the runtime of actix.
    pub(crate) fn watch(&self) {
        self.config.watch();
    }
}

impl FileSettings for TlsSettings {
    type Value = ServerConfig;

    const WHAT: &'static str = "TLS certificates";

    fn paths(&self) -> Vec<&Path> {
        let pairs = self.certificates.iter().flat_map(|files| [files.cert.as_path(), files.key.as_path()]);
        pairs.chain(self.client_ca.as_deref()).collect()
    }

    fn build(&self, contents: &FileContents, now: SystemTime) -> Result<ServerConfig, String> {
        let provider = Arc::new(ring::default_provider());
        let certified = self.certificates.iter().map(|files| certified(files, contents, &provider, now));
        let resolver = Arc::new(CertificateByName(certified.collect::<Result<_, _>>()?));
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
    contents: &FileContents,
    provider: &CryptoProvider,
    now: SystemTime,
) -> Result<Arc<CertifiedKey>, String> {
    let chain = pem::certificates(&files.cert, contents.of(&files.cert))?;
    if let Some(own) = chain.first() {
        check_validity(&files.cert, own, now)?;
    }
    let key = pem::private_key(&files.key, contents.of(&files.key))?;
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        format!("the key in {} does not fit the certificate in {}: {error}", files.key.display(), files.cert.display())
    });
    certified.map(Arc::new)
}

/// Refuses an expired certificate, and warns of one that expires soon.
fn check_validity(path: &Path, certificate: &CertificateDer<'_>, now: SystemTime) -> Result<(), String> {
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

/// Selects the certificate by the server name in the handshake (SNI, RFC 6066, section 3).
#[derive(Debug)]
struct CertificateByName(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for CertificateByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| self.0.iter().find(|certified| covers(certified, &name)));
        named.or(self.0.first()).cloned()
    }
}

fn covers(certified: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let own = certified.end_entity_cert().and_then(ParsedCertificate::try_from);
    own.is_ok_and(|own| verify_server_name(&own, name).is_ok())
}
