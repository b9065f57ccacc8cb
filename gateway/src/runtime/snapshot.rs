//! Everything that one configuration makes, immutable and shared by all workers. A reload makes a new one and keeps the
//! handles of the parts whose settings are equal.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use chassis::{config::StartError, identity::IdentityHeaders};

use super::{documents::Documents, process::Process};
use crate::{
    auth::token_issuers::TokenIssuers,
    config::Config,
    limit::rate::{Limiter, Rate},
    telemetry::metrics::{GatewayMetrics, Handles},
    upstream::handle::Upstream,
};

/// Everything that one configuration makes. Shared by all workers, and not changed once made.
pub(crate) struct Snapshot {
    pub(crate) config: Config,
    /// Whose tokens are believed; nobody's where the configuration has no `tokens`.
    pub(crate) issuers: Option<TokenIssuers>,
    pub(crate) identity: IdentityHeaders,
    pub(crate) upstreams: Vec<Upstream>,
    /// One for each route that has a limit.
    pub(crate) limiters: Vec<Option<Arc<Limiter>>>,
    pub(crate) documents: Documents,
    pub(crate) handles: Handles,
    pub(crate) process: Arc<Process>,
}

impl Snapshot {
    /// Makes everything that a configuration names, but keeps what `before` has of equal settings: counters, limits
    /// and connections of what did not change go on.
    ///
    /// # Errors
    /// A key cannot be loaded or made.
    pub(crate) fn new(config: Config, process: Arc<Process>, before: Option<&Self>) -> Result<Self, StartError> {
        let names = config.identity_headers.iter().map(|(name, _)| name);
        Ok(Self {
            issuers: issuers(&config, before)?,
            identity: IdentityHeaders::new(names),
            upstreams: upstreams(&config, before)?,
            limiters: limiters(&config, before),
            documents: Documents::default(),
            handles: handles(&config, &process.metrics),
            process,
            config,
        })
    }
}

fn issuers(config: &Config, before: Option<&Snapshot>) -> Result<Option<TokenIssuers>, StartError> {
    let Some(settings) = &config.tokens else { return Ok(None) };
    let kept = before.and_then(|before| before.issuers.as_ref()).filter(|issuers| issuers.settings() == settings);
    let issuers = kept.map_or_else(|| TokenIssuers::load(settings, SystemTime::now()), |issuers| Ok(issuers.clone()));
    issuers.map(Some).map_err(StartError::failed)
}

fn upstreams(config: &Config, before: Option<&Snapshot>) -> Result<Vec<Upstream>, StartError> {
    let known: HashMap<&str, &Upstream> =
        before.iter().flat_map(|before| &before.upstreams).map(|upstream| (upstream.name(), upstream)).collect();
    let upstream = |settings: &crate::upstream::settings::UpstreamSettings| {
        let kept = known.get(settings.name.as_str()).filter(|upstream| upstream.settings() == settings);
        kept.map_or_else(|| Upstream::new(settings.clone()), |upstream| Ok((*upstream).clone()))
    };
    config.upstreams.iter().map(upstream).collect::<Result<_, _>>().map_err(StartError::failed)
}

fn limiters(config: &Config, before: Option<&Snapshot>) -> Vec<Option<Arc<Limiter>>> {
    // Taken out one by one: two routes of one name keep a limiter each.
    let mut known: HashMap<&str, Vec<&Arc<Limiter>>> = HashMap::new();
    for (route, limiter) in before.iter().flat_map(|before| before.config.routes.iter().zip(&before.limiters)) {
        known.entry(&route.name).or_default().extend(limiter);
    }
    let mut limiter = |name: &str, rates: &[Rate]| {
        let of_this_name = known.get_mut(name);
        let kept = of_this_name.and_then(|limiters| {
            let index = limiters.iter().position(|limiter| limiter.rates() == rates)?;
            Some(Arc::clone(limiters.swap_remove(index)))
        });
        kept.or_else(|| Limiter::new(rates.to_vec()).map(Arc::new))
    };
    config.routes.iter().map(|route| limiter(&route.name, &route.limits)).collect()
}

fn handles(config: &Config, metrics: &GatewayMetrics) -> Handles {
    let upstreams: Vec<&str> = config.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    let routes: Vec<(&str, &str)> =
        config.routes.iter().map(|route| (route.name.as_str(), upstreams[route.upstream])).collect();
    metrics.handles(&routes)
}
