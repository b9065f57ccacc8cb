//! One route: its settings, and the same together with its live parts. Knows no YAML and no requests.

use std::time::Duration;

use crate::{
    auth::policy::Policy,
    hooks::RouteHooks,
    limit::rate::Rate,
    routing::{condition::Conditions, entry::Methods, path::PathOptions, pattern::Pattern},
    rules::{cors::Cors, edits::Edits},
    upstream::decide::retry::RetrySettings,
};

/// Where a path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// The route at this index.
    Route(usize),
    Builtin(Builtin),
}

/// What the gateway answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Builtin {
    Docs,
    OpenApi,
    Jwks,
    Live,
    Ready,
}

/// Where the pages of the gateway are; `None` is off.
#[derive(Clone, Debug, Default)]
pub(crate) struct BuiltinPaths {
    pub(crate) docs: Option<String>,
    pub(crate) openapi: Option<String>,
    pub(crate) jwks: Option<String>,
    pub(crate) health: Option<String>,
}

impl BuiltinPaths {
    /// Each page and the paths that it has.
    pub(crate) fn pages(&self) -> Vec<(Pattern, Builtin)> {
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

/// One route.
#[derive(Debug)]
pub(crate) struct RouteSettings {
    /// As it is written: `GET,POST /api/users`. Names the route in metrics and logs.
    pub(crate) name: String,
    pub(crate) methods: Methods,
    pub(crate) pattern: Pattern,
    pub(crate) conditions: Conditions,
    /// The index of the upstream.
    pub(crate) upstream: usize,
    pub(crate) policy: Policy,
    /// All of them are kept.
    pub(crate) limits: Vec<Rate>,
    pub(crate) hooks: RouteHooks,
    pub(crate) rewrite: Option<Pattern>,
    pub(crate) body_bytes_max: u64,
    /// The slowest that a request body may come, in bytes for each second of waiting; `None` is any.
    pub(crate) body_rate_min: Option<u64>,
    pub(crate) timeouts: Timeouts,
    pub(crate) retry: RetrySettings,
    pub(crate) forward_authorization: bool,
    pub(crate) request_edits: Edits,
    pub(crate) response_edits: Edits,
    /// Which web pages of other origins may call this.
    pub(crate) cors: Option<Cors>,
    /// Requests for a WebSocket are relayed.
    pub(crate) websocket: bool,
    /// What slashes in its paths mean.
    pub(crate) path: PathOptions,
}

/// How long the parts of an exchange with an upstream may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// Until the response head.
    pub(crate) head: Duration,
    /// Between two chunks of a body, in both directions.
    pub(crate) idle: Duration,
    /// From the request to the last byte of its answer; `None` is as long as something comes.
    pub(crate) total: Option<Duration>,
}
