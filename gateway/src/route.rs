//! One route: its settings as configured ([`RouteSettings`]), and the same with its live parts ([`LiveRoute`]). Knows no
//! YAML and no requests.

use std::{sync::Arc, time::Duration};

use actix_http::StatusCode;

use crate::{
    auth::policy::Policy,
    hooks::RouteHooks,
    limit::{local::Limiter, rate::Rate},
    routing::{
        condition::Conditions, entry::Methods, path::PathOptions, pattern::Pattern, redirect::Redirect,
        rewrite::Rewrite,
    },
    rules::{addresses::Addresses, cors::Cors, edits::Edits, fixed_answer::FixedAnswer},
    telemetry::route::RouteMetrics,
    upstream::{decide::retry::RetrySettings, handle::Upstream, settings::HostHeader},
};

/// Where a request leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// The route at this index.
    Route(usize),
    Builtin(Builtin),
}

/// A page that the gateway answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Builtin {
    Docs,
    OpenApi,
    Jwks,
    Live,
    Ready,
}

/// The paths of the gateway's own pages; `None` is off.
#[derive(Clone, Debug)]
pub(crate) struct BuiltinPaths {
    /// What the API is called in its documentation.
    pub(crate) title: String,
    pub(crate) docs: Option<String>,
    pub(crate) openapi: Option<String>,
    pub(crate) jwks: Option<String>,
    pub(crate) health: Option<String>,
}

impl Default for BuiltinPaths {
    /// No pages, of an API without a name.
    fn default() -> Self {
        Self { title: "API".to_owned(), docs: None, openapi: None, jwks: None, health: None }
    }
}

impl BuiltinPaths {
    /// Returns the pattern of each path, and the page that it leads to.
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

/// One route of a snapshot, with all that a request on it needs. A reload keeps those of its live parts whose settings
/// did not change.
pub(crate) struct LiveRoute {
    pub(crate) settings: Arc<RouteSettings>,
    pub(crate) target: LiveTarget,
    /// Counts the requests of the route; `None` where it has no limit.
    pub(crate) limiter: Option<Arc<Limiter>>,
    pub(crate) metrics: Arc<RouteMetrics>,
}

/// What answers the requests of a route.
pub(crate) enum LiveTarget {
    Upstream {
        /// Its index in the configuration.
        index: usize,
        handle: Upstream,
    },
    /// The gateway itself.
    Own(Arc<OwnAnswer>),
}

/// What answers the requests of a route, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RouteTarget {
    /// The upstream at this index of the configuration.
    Upstream(usize),
    /// The gateway itself.
    Own(Arc<OwnAnswer>),
}

/// How the gateway itself answers the requests of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnAnswer {
    /// Always in the same way.
    Respond(FixedAnswer),
    Redirect(Redirect),
}

impl OwnAnswer {
    /// Returns the key of the configuration that says so, and the status of the answers.
    pub(crate) const fn kind(&self) -> (&'static str, StatusCode) {
        match self {
            Self::Respond(answer) => ("respond", answer.status),
            Self::Redirect(redirect) => ("redirect", redirect.status),
        }
    }
}

/// One route as configured.
#[derive(Debug)]
pub(crate) struct RouteSettings {
    /// As it is written: `GET,POST /api/users`. Names the route in metrics and logs.
    pub(crate) name: String,
    pub(crate) methods: Methods,
    pub(crate) pattern: Pattern,
    pub(crate) conditions: Conditions,
    pub(crate) to: RouteTarget,
    pub(crate) policy: Policy,
    /// From which addresses it may be used.
    pub(crate) addresses: Addresses,
    /// Every one of them must allow a request.
    pub(crate) limits: Vec<Rate>,
    pub(crate) hooks: RouteHooks,
    pub(crate) rewrite: Option<Rewrite>,
    /// The `Host` of its requests to the upstream.
    pub(crate) host: HostHeader,
    pub(crate) body_bytes_max: u64,
    /// The minimum rate of a request body, in bytes per second of waiting for the client; `None` is no minimum.
    pub(crate) body_rate_min: Option<u64>,
    pub(crate) timeouts: Timeouts,
    pub(crate) retry: RetrySettings,
    pub(crate) forward_authorization: bool,
    pub(crate) request_edits: Edits,
    pub(crate) response_edits: Edits,
    /// Which pages of other origins may call the route from a browser.
    pub(crate) cors: Option<Cors>,
    /// Whether requests for a WebSocket are relayed.
    pub(crate) websocket: bool,
    /// How slashes in its paths are read.
    pub(crate) path: PathOptions,
}

/// The maximum duration of the parts of an exchange with an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// From the last byte sent to the head of the answer.
    pub(crate) head: Duration,
    /// Between two chunks of a body, in both directions.
    pub(crate) idle: Duration,
    /// From the head of the request to the last byte of its answer; `None` is no maximum.
    pub(crate) total: Option<Duration>,
}
