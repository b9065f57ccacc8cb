//! The configuration as a whole, and how it is loaded: from a file or from text, with every mistake rendered.

use std::{net::SocketAddr, path::Path, sync::Arc};

use actix_http::header::HeaderName;
use chassis::config::{Lookup, StartError};
use ipnet::IpNet;

use super::{
    decode::{cases::Case, file},
    yaml::{
        mistake::{self, Mistake, Mistakes},
        tree,
    },
};
use crate::{
    auth::settings::TokenSettings,
    connection::settings::ServerLimits,
    hooks::Hooks,
    route::{BuiltinPaths, Destination, RouteSettings},
    routing::table::Table,
    telemetry::settings::ObserveSettings,
    tls::server::TlsSettings,
    upstream::settings::UpstreamSettings,
};

/// Reads the YAML at `path`.
///
/// # Errors
/// Every mistake, with its line.
pub(crate) fn load(path: &Path, lookup: chassis::config::Lookup<'_>) -> Result<Config, StartError> {
    load_with(path, lookup, &Hooks::default())
}

/// Reads the YAML at `path`, which may name these hooks.
///
/// # Errors
/// Every mistake, with its line.
pub(crate) fn load_with(path: &Path, lookup: chassis::config::Lookup<'_>, hooks: &Hooks) -> Result<Config, StartError> {
    load_text_with(&path.display().to_string(), &read(path)?, lookup, hooks)
}

/// Reads the text of the YAML at `path`.
///
/// # Errors
/// Names the file and the reason.
pub(crate) fn read(path: &Path) -> Result<String, StartError> {
    std::fs::read_to_string(path).map_err(|error| {
        StartError::Config(vec![format!("cannot read the configuration {}: {error} (GATEWAY_CONFIG)", path.display())])
    })
}

/// Reads YAML that is at hand and may name these hooks.
///
/// # Errors
/// Every mistake, with its line.
pub(crate) fn load_text_with(
    name: &str,
    source: &str,
    lookup: chassis::config::Lookup<'_>,
    hooks: &Hooks,
) -> Result<Config, StartError> {
    Config::load_with(source, lookup, hooks).map_err(|mistakes| {
        StartError::Config(mistakes.iter().map(|mistake| mistake::render(mistake, name, source)).collect())
    })
}

/// The gateway as configured. Every value in it is usable: what could not be was a mistake.
#[derive(Debug)]
pub struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// How clients speak TLS to the public listener; without it they speak plain HTTP.
    pub(crate) tls: Option<TlsSettings>,
    /// Peers whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Headers that tell the upstreams who calls, and the claims they carry.
    pub(crate) identity_headers: Vec<(HeaderName, String)>,
    pub(crate) tokens: Option<TokenSettings>,
    /// Prefixes that stand for another prefix, the longest first.
    pub(crate) aliases: Vec<(String, String)>,
    pub(crate) builtin: BuiltinPaths,
    pub(crate) limits: ServerLimits,
    pub(crate) upstreams: Vec<UpstreamSettings>,
    pub(crate) routes: Vec<Arc<RouteSettings>>,
    /// What is shown of requests.
    pub(crate) observe: ObserveSettings,
    /// Which route, or which page of ours, a path belongs to.
    pub(crate) table: Table<Destination>,
    /// What must be true of the routes.
    pub(crate) tests: Vec<Case>,
}

impl Config {
    /// Reads a configuration. `lookup` gives the environment.
    ///
    /// # Errors
    /// Every mistake, by line.
    pub fn load(source: &str, lookup: Lookup<'_>) -> Result<Self, Vec<Mistake>> {
        Self::load_with(source, lookup, &Hooks::default())
    }

    /// Reads a configuration that may name these hooks.
    ///
    /// # Errors
    /// Every mistake, by line.
    pub(crate) fn load_with(source: &str, lookup: Lookup<'_>, hooks: &Hooks) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        let config = tree::parse(source, lookup, &mut mistakes)
            .and_then(|root| file::config(&root, lookup, hooks, &mut mistakes));
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            Some(_) | None => Err(mistakes.into_sorted(source)),
        }
    }
}
