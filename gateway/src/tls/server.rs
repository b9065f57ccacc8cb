//! TLS as a server: certificates by server name, protocol versions, client certificates. Knows no sockets.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Unit,
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
use x509_cert::{der::Decode, time::Time};

use super::{
    file_backed::{FileBacked, FileContents, FileSettings},
    handshake_failures::HandshakeFailures,
    pem,
};

/// Remaining validity below which a certificate is reported: 14 days. Let's Encrypt certificates are renewed 30 days
/// before they expire, so that one with less has missed its renewal. The alert `CertificateExpiresSoon` uses the same.
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
        Arc::clone(&self.config.current().config)
    }

    /// Polls the files for as long as a handle exists. Needs the runtime of actix.
    pub(crate) fn watch(&self) {
        self.config.watch();
    }
}

/// Reports until when the certificates that are in use are valid.
impl Collector for ServerTls {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "When a certificate that clients get expires, in Unix time, by file";
        let name = "gateway_tls_certificate_not_after";
        let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
        for (file, until) in &self.config.current().expiries {
            let seconds = until.to_unix_duration().as_secs_f64();
            ConstGauge::new(seconds).encode(family.encode_family(&[("file", file.as_str())])?)?;
        }
        Ok(())
    }
}

/// What is built from the files.
#[derive(Debug)]
pub(crate) struct Loaded {
    config: Arc<ServerConfig>,
    /// Each file with a certificate, and until when that is valid.
    expiries: Vec<(String, Time)>,
}

impl FileSettings for TlsSettings {
    type Value = Loaded;

    const WHAT: &'static str = "TLS certificates";

    fn paths(&self) -> Vec<&Path> {
        let pairs = self.certificates.iter().flat_map(|files| [files.cert.as_path(), files.key.as_path()]);
        pairs.chain(self.client_ca.as_deref()).collect()
    }

    fn build(&self, contents: &FileContents, now: SystemTime) -> Result<Loaded, String> {
        let provider = Arc::new(ring::default_provider());
        let (mut expiries, mut all) = (Vec::new(), Vec::new());
        for files in &self.certificates {
            let (until, certified) = certified(files, contents, &provider, now)?;
            expiries.push((files.cert.display().to_string(), until));
            all.push(certified);
        }
        let resolver = Arc::new(CertificateByName(all));
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
        Ok(Loaded { config: Arc::new(config), expiries })
    }
}

/// Returns a certificate with its key, and until when it is valid.
fn certified(
    files: &CertificateFiles,
    contents: &FileContents,
    provider: &CryptoProvider,
    now: SystemTime,
) -> Result<(Time, Arc<CertifiedKey>), String> {
    let chain = pem::certificates(&files.cert, contents.of(&files.cert))?;
    // The first one is its own; those after it are of authorities (RFC 8446, section 4.4.2).
    let own = chain.first().ok_or_else(|| format!("{} holds no certificate", files.cert.display()))?;
    let until = valid_until(&files.cert, own, now)?;
    let key = pem::private_key(&files.key, contents.of(&files.key))?;
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        format!("the key in {} does not fit the certificate in {}: {error}", files.key.display(), files.cert.display())
    });
    Ok((until, Arc::new(certified?)))
}

/// Returns until when a certificate is valid. Refuses an expired one, and warns of one that expires soon.
fn valid_until(path: &Path, certificate: &CertificateDer<'_>, now: SystemTime) -> Result<Time, String> {
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
    Ok(until)
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
