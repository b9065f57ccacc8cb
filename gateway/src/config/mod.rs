//! The configuration: one YAML file, parsed to a tree with places, decoded to what the parts need, with every mistake
//! reported at once. Each part of the gateway has its own settings type; this is their product.

mod bounds;
pub mod cases;
mod conditions;
mod cors;
mod decode;
mod headers;
mod hooks;
mod keys;
pub mod mistake;
pub mod observe;
mod reference;
mod resilience;
mod routes;
mod schema;
mod shape;
mod tls;
mod tls_keys;
mod token_keys;
mod tokens;
mod upstream_keys;
mod upstreams;
mod values;
mod yaml;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use actix_http::{
    header::{HeaderName, HeaderValue},
    uri::Authority,
};
use chassis::config::{Lookup, Secret};
use ipnet::IpNet;

use crate::{
    auth::policy::Policy,
    hooks::{Hooks, RouteHooks},
    limit::Rate,
    proxy::{cors::Cors, edit::Edits},
    routing::{
        condition::Conditions,
        path::PathOptions,
        pattern::Pattern,
        table::{Methods, Table},
    },
    tls::{client::UpstreamTlsSettings, server::TlsSettings},
    upstream::{balance::Balance, breaker::BreakerSettings, health::HealthSettings, retry::RetrySettings},
};
use cases::Case;
use mistake::{Mistake, Mistakes};
pub use reference::reference;
pub use schema::schema;

/// The gateway as configured. Every value in it is usable: what could not be was a mistake.
#[derive(Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    /// How clients speak TLS to the public listener; without it they speak plain HTTP.
    pub tls: Option<TlsSettings>,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Headers that tell the upstreams who calls, and the claims they carry.
    pub identity_headers: Vec<(HeaderName, String)>,
    pub tokens: Option<TokenSettings>,
    /// Prefixes that stand for another prefix, the longest first.
    pub aliases: Vec<(String, String)>,
    pub builtin: BuiltinPaths,
    pub limits: ServerLimits,
    pub upstreams: Vec<UpstreamSettings>,
    pub routes: Vec<RouteSettings>,
    /// What is shown of requests.
    pub observe: observe::ObserveSettings,
    /// Which route, or which page of ours, a path belongs to.
    pub table: Table<Destination>,
    /// The hooks that the file could name, so that it can be read anew.
    pub hooks: Hooks,
    /// What must be true of the routes.
    pub tests: Vec<Case>,
}

/// Where a path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The route at this index.
    Route(usize),
    Builtin(Builtin),
}

/// What the gateway answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    Docs,
    OpenApi,
    Jwks,
    Live,
    Ready,
}

/// Where the pages of the gateway are; `None` is off.
#[derive(Clone, Debug, Default)]
pub struct BuiltinPaths {
    pub docs: Option<String>,
    pub openapi: Option<String>,
    pub jwks: Option<String>,
    pub health: Option<String>,
}

impl BuiltinPaths {
    /// Each page and the paths that it has.
    pub fn pages(&self) -> Vec<(Pattern, Builtin)> {
        let below = |path: &Option<String>, rest: &str| path.as_ref().map(|path| format!("{path}/{rest}"));
        let pages = [
            (self.docs.clone(), Builtin::Docs),
            (below(&self.docs, "{file...}"), Builtin::Docs),
            (self.openapi.clone(), Builtin::OpenApi),
            (self.jwks.clone(), Builtin::Jwks),
            (below(&self.health, "live"), Builtin::Live),
            (below(&self.health, "ready"), Builtin::Ready),
        ];
        pages.into_iter().filter_map(|(path, page)| Some((path?.parse().ok()?, page))).collect()
    }
}

/// Whose tokens are believed. At least one issuer is named.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenSettings {
    /// The gateway itself.
    pub own: Option<OwnTokens>,
    pub foreign: Vec<ForeignIssuer>,
}

/// How the gateway issues tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnTokens {
    pub issuer: String,
    pub audience: String,
    pub ttl: Duration,
    pub keys: KeySource,
    /// How long a new key is published before it signs.
    pub publish_for: Duration,
}

/// An issuer elsewhere, whose tokens are good here.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignIssuer {
    pub issuer: String,
    pub audience: String,
    pub jwks: JwksSource,
    pub typ: TypRule,
    /// The certificate authority of its server, where that is none that the world knows.
    pub ca: Option<PathBuf>,
    /// How often its keys are fetched anew.
    pub refresh: Duration,
}

/// Where the public keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    Url(String),
    File(PathBuf),
}

/// Which `typ` a token must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypRule {
    /// `at+jwt` (RFC 9068): an ID token is never taken for an access token.
    AccessToken,
    /// `JWT` as well, as many issuers write.
    Jwt,
    /// Whatever it says, or nothing.
    Any,
}

/// Where the signing key comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum KeySource {
    /// Ed25519, every `*.pem` in this folder; the first is made on the first start.
    Folder(PathBuf),
    /// HS256.
    Secret(Secret),
}

/// What all clients together, and each connection, may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// More connections than this wait until others end.
    pub connections: usize,
    /// The request line and the headers of a request.
    pub head_bytes_max: usize,
    /// A client that needs longer for a head is cut off.
    pub head_timeout: Duration,
    /// A client that reads nothing of its answer for longer is cut off.
    pub write_timeout: Duration,
}

/// A service behind the gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamSettings {
    pub name: String,
    /// Its addresses; requests are spread over them.
    pub targets: Vec<TargetSettings>,
    pub balance: Balance,
    /// How its targets are asked for their health; `None` is not at all.
    pub health: Option<HealthSettings>,
    /// When a target is taken out for its failures; `None` is never.
    pub breaker: Option<BreakerSettings>,
    /// No more than this share of the targets is taken out for failures, in percent, as long as one is well.
    pub ejected_percent_max: u8,
    /// How TLS is spoken with its targets; all of them speak it, or none.
    pub tls: Option<UpstreamTlsSettings>,
    /// The audience and key of the assertions that it asks for.
    pub assertion: Option<(String, Secret)>,
    /// Where it serves its OpenAPI document.
    pub openapi: Option<String>,
    /// More requests than this at once are refused.
    pub in_flight_max: usize,
    pub connect_timeout: Duration,
}

/// One target of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSettings {
    pub address: TargetAddress,
    /// Its share of the requests, from 1.
    pub weight: u32,
}

/// `http://host:port` of one target, or `https://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetAddress {
    /// `host:port`, as in a URI.
    pub authority: Authority,
    /// Whether TLS is spoken there.
    pub tls: bool,
    /// The `Host` of requests, made once.
    pub host: HeaderValue,
}

impl TargetAddress {
    /// A target at this address. Its `Host` leaves out the port that goes without saying (RFC 9110, section 4.2.3).
    ///
    /// # Errors
    /// The address cannot stand in a header.
    pub fn new(authority: Authority, tls: bool) -> Result<Self, String> {
        let port = if tls { values::HTTPS_PORT } else { values::HTTP_PORT };
        let text = authority.as_str();
        let host = HeaderValue::from_str(text.strip_suffix(port).unwrap_or(text)).map_err(|error| error.to_string())?;
        Ok(Self { authority, tls, host })
    }
}

/// One route.
#[derive(Debug)]
pub struct RouteSettings {
    /// As it is written: `GET,POST /api/users`. Names the route in metrics and logs.
    pub name: String,
    pub methods: Methods,
    pub pattern: Pattern,
    pub conditions: Conditions,
    /// The index of the upstream.
    pub upstream: usize,
    pub policy: Policy,
    /// All of them are kept.
    pub limits: Vec<Rate>,
    pub hooks: RouteHooks,
    pub rewrite: Option<Pattern>,
    pub body_bytes_max: u64,
    /// The slowest that a request body may come, in bytes for each second of waiting; `None` is any.
    pub body_rate_min: Option<u64>,
    pub timeouts: Timeouts,
    pub retry: RetrySettings,
    pub forward_authorization: bool,
    pub request_edits: Edits,
    pub response_edits: Edits,
    /// Which web pages of other origins may call this.
    pub cors: Option<Cors>,
    /// Requests for a WebSocket are relayed.
    pub websocket: bool,
    /// What slashes in its paths mean.
    pub path: PathOptions,
}

/// How long the parts of an exchange with an upstream may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the response head.
    pub head: Duration,
    /// Between two chunks of a body, in both directions.
    pub idle: Duration,
    /// From the request to the last byte of its answer; `None` is as long as something comes.
    pub total: Option<Duration>,
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
    pub fn load_with(source: &str, lookup: Lookup<'_>, hooks: &Hooks) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        let config = yaml::parse(source, lookup, &mut mistakes)
            .and_then(|root| decode::config(&root, lookup, hooks, &mut mistakes));
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            Some(_) | None => Err(mistakes.into_sorted(source)),
        }
    }
}
