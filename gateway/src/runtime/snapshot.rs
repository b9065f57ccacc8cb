//! Everything that one configuration makes, shared by all workers. Its structure is fixed; the handles in it lead to state
//! that changes.
//!
//! A reload never changes a snapshot: it makes a new one, and takes from the previous one the parts whose settings are
//! equal. Of an upstream whose settings changed, each target takes over its own state. Those parts are handles (`Arc` inside), so that counters, limits, breakers and connections of what did not change
//! go on, while requests that began earlier keep the snapshot that they began with.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use chassis::{config::StartError, identity::IdentityHeaders};

use super::{documents::Documents, process::Process};
use crate::{
    auth::token_issuers::TokenIssuers,
    config::Config,
    limit::{local::Limiter, rate::Rate},
    route::{LiveRoute, LiveTarget, RouteSettings, RouteTarget},
    telemetry::{metrics::RouteMetricsSet, route::RouteMetrics},
    upstream::{handle::Upstream, settings::UpstreamSettings},
};

/// Everything that one configuration makes.
pub(crate) struct Snapshot {
    pub(crate) config: Config,
    /// The accepted issuers; `None` where the configuration has no `tokens`.
    pub(crate) issuers: Option<TokenIssuers>,
    pub(crate) identity: IdentityHeaders,
    /// In the order of the configuration.
    pub(crate) upstreams: Vec<Upstream>,
    /// In the order of the configuration.
    pub(crate) routes: Vec<LiveRoute>,
    pub(crate) documents: Documents,
    /// Counts requests for the gateway's own pages.
    pub(crate) builtin: Arc<RouteMetrics>,
    /// Counts requests that belong to no route.
    pub(crate) unmatched: Arc<RouteMetrics>,
    pub(crate) process: Arc<Process>,
}

impl Snapshot {
    /// Makes everything that a configuration names, and keeps the parts of `previous` whose settings are equal.
    ///
    /// # Errors
    /// A key or a TLS file cannot be loaded.
    pub(crate) fn new(config: Config, process: Arc<Process>, previous: Option<&Self>) -> Result<Self, StartError> {
        let upstreams = upstreams(&config, previous)?;
        let mut metrics = process.metrics.route_set();
        Ok(Self {
            issuers: issuers(&config, previous)?,
            identity: IdentityHeaders::new(config.identity_headers.iter().map(|(name, _)| name)),
            routes: routes(&config, &upstreams, &mut metrics, previous),
            upstreams,
            documents: Documents::default(),
            builtin: metrics.get("builtin", "none"),
            unmatched: metrics.get("unmatched", "none"),
            process,
            config,
        })
    }

    /// Returns the metrics of all routes, of the built-in pages, and of requests without a route.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = &Arc<RouteMetrics>> {
        self.routes.iter().map(|route| &route.metrics).chain([&self.builtin, &self.unmatched])
    }
}

fn issuers(config: &Config, previous: Option<&Snapshot>) -> Result<Option<TokenIssuers>, StartError> {
    let Some(settings) = &config.tokens else { return Ok(None) };
    let now = SystemTime::now();
    let issuers = match previous.and_then(|previous| previous.issuers.as_ref()) {
        Some(known) => known.with_settings(settings, now),
        None => TokenIssuers::load(settings, now),
    };
    issuers.map(Some).map_err(StartError::failed)
}

fn upstreams(config: &Config, previous: Option<&Snapshot>) -> Result<Vec<Upstream>, StartError> {
    let known: HashMap<&str, &Upstream> =
        previous.iter().flat_map(|previous| &previous.upstreams).map(|known| (known.name(), known)).collect();
    let upstream = |settings: &UpstreamSettings| {
        let known = known.get(settings.name.as_str()).copied();
        let kept = known.filter(|known| known.settings() == settings);
        kept.map_or_else(|| Upstream::new(settings.clone(), known), |known| Ok(known.clone()))
    };
    config.upstreams.iter().map(upstream).collect::<Result<_, _>>().map_err(StartError::failed)
}

fn routes(
    config: &Config,
    upstreams: &[Upstream],
    metrics: &mut RouteMetricsSet,
    previous: Option<&Snapshot>,
) -> Vec<LiveRoute> {
    let mut limiters = Limiters::of(previous);
    let live = |settings: &Arc<RouteSettings>| {
        let target = match &settings.to {
            RouteTarget::Upstream(index) => LiveTarget::Upstream { index: *index, handle: upstreams[*index].clone() },
            RouteTarget::Own(answer) => LiveTarget::Own(Arc::clone(answer)),
        };
        let upstream = match &target {
            LiveTarget::Upstream { handle, .. } => handle.name(),
            LiveTarget::Own(_) => "none",
        };
        LiveRoute {
            limiter: limiters.take(&settings.name, &settings.limits),
            metrics: metrics.get(&settings.name, upstream),
            settings: Arc::clone(settings),
            target,
        }
    };
    config.routes.iter().map(live).collect()
}

/// The limiters of the previous snapshot by the name of their route. Two routes may have the same name (for other hosts):
/// each takes a limiter of its own.
struct Limiters<'a>(HashMap<&'a str, Vec<&'a Arc<Limiter>>>);

impl<'a> Limiters<'a> {
    fn of(previous: Option<&'a Snapshot>) -> Self {
        let mut known: HashMap<&str, Vec<&Arc<Limiter>>> = HashMap::new();
        for route in previous.iter().flat_map(|previous| &previous.routes) {
            known.entry(&route.settings.name).or_default().extend(&route.limiter);
        }
        Self(known)
    }

    /// Returns the limiter of a route that had these rates before, or a new one; `None` without rates.
    fn take(&mut self, route: &str, rates: &[Rate]) -> Option<Arc<Limiter>> {
        let kept = self.0.get_mut(route).and_then(|limiters| {
            let index = limiters.iter().position(|limiter| limiter.rates() == rates)?;
            Some(Arc::clone(limiters.swap_remove(index)))
        });
        kept.or_else(|| Limiter::new(rates.to_vec()).map(Arc::new))
    }
}
