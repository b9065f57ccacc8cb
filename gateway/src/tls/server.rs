//! How clients speak TLS to the gateway: certificates, which are read anew when their files change. Knows no sockets.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
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
use zeroize::Zeroizing;

use super::pem;

/// How often the files are looked at; a handful of files of a few KiB.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A certificate that will expire so soon should have been renewed: Let's Encrypt's are renewed 30 days before.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What the public listener shows and asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The first is for clients that name no server, or one that no certificate is for.
    pub certificates: Vec<CertificateFiles>,
    pub min_version: MinVersion,
    /// Clients must have a certificate of this authority.
    pub client_ca: Option<PathBuf>,
}

/// A certificate, with its chain, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// The oldest TLS that is spoken. Older ones than these are broken (RFC 8996).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinVersion {
    Tls12,
    Tls13,
}

/// The handle. Clones are the same.
#[derive(Clone, Debug)]
pub struct ServerTls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: TlsSettings,
    current: RwLock<Arc<ServerConfig>>,
    /// What the last look saw, so that a mistake is told once for each change.
    seen: Mutex<Result<Contents, String>>,
}

/// The bytes of all files.
#[derive(Clone, PartialEq)]
struct Contents {
    certificates: Vec<(Vec<u8>, Zeroizing<Vec<u8>>)>,
    client_ca: Option<Vec<u8>>,
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file and the reason.
    pub fn load(settings: &TlsSettings, now: SystemTime) -> Result<Self, String> {
        let contents = read(settings)?;
        let config = config(settings, &contents, now)?;
        let (current, seen) = (RwLock::new(Arc::new(config)), Mutex::new(Ok(contents)));
        Ok(Self(Arc::new(Inner { settings: settings.clone(), current, seen })))
    }

    /// What the next connection is accepted with.
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the files, as [`watch`](Self::watch) does every second; whether they have changed.
    ///
    /// # Errors
    /// What is wrong with them, once for each change; the certificates stay as they were.
    pub fn look(&self, now: SystemTime) -> Result<bool, String> {
        let contents = read(&self.0.settings);
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == contents {
            return Ok(false);
        }
        seen.clone_from(&contents);
        let config = config(&self.0.settings, &contents?, now)?;
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        Ok(true)
    }

    /// Watches the files for as long as a handle exists. Needs the runtime of actix.
    pub fn watch(&self) {
        let inner = Arc::downgrade(&self.0);
        actix_rt::spawn(async move {
            loop {
                actix_rt::time::sleep(LOOK_EVERY).await;
                let inner = Weak::clone(&inner);
                // Files may lie on a disk that hangs.
                if !actix_rt::task::spawn_blocking(move || look(&inner)).await.unwrap_or(true) {
                    return;
                }
            }
        });
    }
}

/// Whether there is still something to watch.
fn look(inner: &Weak<Inner>) -> bool {
    let Some(inner) = inner.upgrade() else { return false };
    match ServerTls(inner).look(SystemTime::now()) {
        Ok(true) => log::info!("the TLS certificates have been renewed"),
        Ok(false) => {}
        Err(error) => log::error!(cause = error.as_str(); "the TLS certificates stay as they were"),
    }
    true
}

fn read(settings: &TlsSettings) -> Result<Contents, String> {
    let pair = |files: &CertificateFiles| Ok((pem::read(&files.cert)?, Zeroizing::new(pem::read(&files.key)?)));
    let certificates = settings.certificates.iter().map(pair).collect::<Result<_, String>>()?;
    let client_ca = settings.client_ca.as_deref().map(pem::read).transpose()?;
    Ok(Contents { certificates, client_ca })
}

fn config(settings: &TlsSettings, contents: &Contents, now: SystemTime) -> Result<ServerConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let certificates = settings.certificates.iter().zip(&contents.certificates);
    let certified = certificates.map(|(files, (cert, key))| certified(files, cert, key, &provider, now));
    let resolver = Arc::new(ByServerName(certified.collect::<Result<_, _>>()?));
    let versions: &[&rustls::SupportedProtocolVersion] = match settings.min_version {
        MinVersion::Tls12 => &[&TLS13, &TLS12],
        MinVersion::Tls13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(versions).map_err(|error| error.to_string())?;
    let builder = match settings.client_ca.as_deref().zip(contents.client_ca.as_deref()) {
        None => builder.with_no_client_auth(),
        Some((path, pem)) => {
            let roots: Arc<RootCertStore> = Arc::new(pem::authorities(path, pem)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| format!("{}: {error}", path.display()))?)
        }
    };
    let mut config = builder.with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certified(
    files: &CertificateFiles,
    cert: &[u8],
    key: &[u8],
    provider: &CryptoProvider,
    now: SystemTime,
) -> Result<Arc<CertifiedKey>, String> {
    let chain = pem::certificates(&files.cert, cert)?;
    if let Some(own) = chain.first() {
        check_time(&files.cert, own, now)?;
    }
    let key = pem::private_key(&files.key, key)?;
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
