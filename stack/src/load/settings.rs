//! Which requests are sent, where, and as whom.

use std::{path::PathBuf, sync::Arc, time::Duration};

use awc::http::Uri;
use chassis::config::{Lookup, Mistakes, Secret, StartError, parse_duration};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

const USERNAME: &str = "SMOKE_USERNAME";
const PASSWORD: &str = "SMOKE_PASSWORD";

/// Maximum number of customers: each has a connection, and the gateway one more for each request.
const USERS_MAX: i64 = 1000;
/// Maximum number of requests per second, of which one thread is capable.
const RATE_MAX: i64 = 10_000;

/// The command line as typed.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where the gateway is, such as http://127.0.0.1:8001
    pub url: String,
    /// How long to send requests
    #[arg(long, default_value = "30s", value_parser = parse_duration)]
    pub duration: Duration,
    /// Number of requests per second, of all customers together
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=RATE_MAX))]
    pub rate: u32,
    /// Number of customers at the same time
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=USERS_MAX))]
    pub users: u32,
    /// PEM file of the authority that signed the certificate of the gateway [default: the public authorities]
    #[arg(long)]
    pub ca: Option<PathBuf>,
}

/// What to do.
pub struct Settings {
    /// Without a slash at its end.
    pub(super) url: String,
    pub(super) duration: Duration,
    pub(super) rate: u32,
    pub(super) users: u32,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) account: Account,
}

/// The account that all customers share.
pub(super) struct Account {
    pub(super) username: Secret,
    pub(super) password: Secret,
}

impl Settings {
    /// Reads the account from the environment, which `lookup` does, and checks the rest.
    ///
    /// # Errors
    /// Every mistake.
    pub fn from_args(args: &Args, lookup: Lookup<'_>) -> Result<Self, StartError> {
        let mut mistakes = Mistakes::default();
        let url = mistakes.take("URL", parse_url(&args.url));
        let tls = mistakes.take("--ca", tls(args));
        let username = mistakes.required_secret(USERNAME, lookup);
        let password = mistakes.required_secret(PASSWORD, lookup);
        let account = username.zip(password).map(|(username, password)| Account { username, password });
        let &Args { duration, rate, users, .. } = args;
        let settings = url.zip(tls).zip(account);
        mistakes.finish(settings.map(|((url, tls), account)| Self {
            url,
            duration,
            rate,
            users,
            tls: Arc::new(tls),
            account,
        }))
    }
}

fn parse_url(raw: &str) -> Result<String, String> {
    let invalid = || format!("`{raw}` is not a URL like http://127.0.0.1:8001");
    let uri: Uri = raw.parse().map_err(|_| invalid())?;
    match (uri.scheme_str(), uri.authority(), uri.query()) {
        (Some("http" | "https"), Some(_), None) => Ok(raw.trim_end_matches('/').to_owned()),
        _ => Err(invalid()),
    }
}

fn tls(args: &Args) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(file) = &args.ca {
        roots = RootCertStore::empty();
        let unusable = |error: &dyn std::fmt::Display| format!("cannot use {}: {error}", file.display());
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(&error))? {
            let certificate = certificate.map_err(|error| unusable(&error))?;
            roots.add(certificate).map_err(|error| unusable(&error))?;
        }
        if roots.is_empty() {
            return Err(unusable(&"it holds no certificate (BEGIN CERTIFICATE)"));
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
