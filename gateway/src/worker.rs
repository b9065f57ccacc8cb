//! What a request needs at hand: what lives as long as the process, what one configuration makes, and what each worker
//! has for itself. A reload makes the second anew and keeps the handles of the parts that did not change.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc, time::SystemTime};

use chassis::{config::StartError, health::Health, identity::IdentityHeaders, problem::Problem};
use prometheus_client::registry::Registry;

use crate::{
    access_log::Sampler,
    admin::errors::RecentErrors,
    auth::{
        assertions::Assertions,
        trust::Trust,
        verifier::{Caller, Refusal, Verifier},
    },
    config::Config,
    docs::Documents,
    limit::{Limiter, Rate},
    metrics::{GatewayMetrics, Handles, TokenCacheMetrics},
    proxy::via::Pseudonym,
    reload::ReloadStatus,
    upstream::{Upstream, client::Client},
};

/// Lives as long as the process, whatever is reloaded.
pub struct Process {
    pub health: Health,
    /// What this instance is called in `Via`.
    pub via: Pseudonym,
    pub metrics: GatewayMetrics,
    pub errors: RecentErrors,
    pub reload: ReloadStatus,
}

impl Process {
    /// What there is before there is a configuration.
    pub fn new(registry: &mut Registry) -> Self {
        Self {
            health: Health::default(),
            via: Pseudonym::new(),
            metrics: GatewayMetrics::register(registry),
            errors: RecentErrors::default(),
            reload: ReloadStatus::register(registry),
        }
    }
}

/// Everything that one configuration makes. Shared by all workers, and not changed once made.
pub struct Shared {
    pub config: Config,
    /// Whose tokens are believed; nobody's where the configuration has no `tokens`.
    pub trust: Option<Trust>,
    pub identity: IdentityHeaders,
    pub upstreams: Vec<Upstream>,
    /// One for each route that has a limit.
    pub limiters: Vec<Option<Arc<Limiter>>>,
    pub documents: Documents,
    pub handles: Handles,
    pub process: Arc<Process>,
}

impl Shared {
    /// Makes everything that a configuration names, but keeps what `before` has of equal settings: counters, limits
    /// and connections of what did not change go on.
    ///
    /// # Errors
    /// A key cannot be loaded or made.
    pub fn new(config: Config, process: Arc<Process>, before: Option<&Self>) -> Result<Self, StartError> {
        let names = config.identity_headers.iter().map(|(name, _)| name);
        Ok(Self {
            trust: trust(&config, before)?,
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

fn trust(config: &Config, before: Option<&Shared>) -> Result<Option<Trust>, StartError> {
    let Some(settings) = &config.tokens else { return Ok(None) };
    let kept = before.and_then(|before| before.trust.as_ref()).filter(|trust| trust.settings() == settings);
    let trust = kept.map_or_else(|| Trust::load(settings, SystemTime::now()), |trust| Ok(trust.clone()));
    trust.map(Some).map_err(StartError::failed)
}

fn upstreams(config: &Config, before: Option<&Shared>) -> Result<Vec<Upstream>, StartError> {
    let known: HashMap<&str, &Upstream> =
        before.iter().flat_map(|before| &before.upstreams).map(|upstream| (upstream.name(), upstream)).collect();
    let upstream = |settings: &crate::config::UpstreamSettings| {
        let kept = known.get(settings.name.as_str()).filter(|upstream| upstream.settings() == settings);
        kept.map_or_else(|| Upstream::new(settings.clone()), |upstream| Ok((*upstream).clone()))
    };
    config.upstreams.iter().map(upstream).collect::<Result<_, _>>().map_err(StartError::failed)
}

fn limiters(config: &Config, before: Option<&Shared>) -> Vec<Option<Arc<Limiter>>> {
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
    metrics.handles(&routes, &upstreams)
}

/// One worker thread: `awc::Client` and the memory of verified tokens belong to it alone.
pub struct Worker {
    pub shared: Arc<Shared>,
    /// One for each upstream.
    pub clients: Vec<Client>,
    /// What was signed about clients that are not signed in.
    pub anonymous_assertions: RefCell<Assertions>,
    verifier: Option<Rc<RefCell<Verifier>>>,
    pub sampler: Sampler,
}

impl Worker {
    /// A worker over the shared state; made in its own thread. What `before` has for unchanged parts is kept: open
    /// connections, verified tokens.
    pub fn new(shared: Arc<Shared>, before: Option<&Self>) -> Self {
        let kept: HashMap<&str, (&Upstream, &Client)> = before
            .iter()
            .flat_map(|before| before.shared.upstreams.iter().zip(&before.clients))
            .map(|(upstream, client)| (upstream.name(), (upstream, client)))
            .collect();
        let client = |upstream: &Upstream| match kept.get(upstream.name()) {
            Some((known, client)) if known.id() == upstream.id() => (*client).clone(),
            Some(_) | None => Client::new(upstream.settings(), upstream.tls()),
        };
        let clients = shared.upstreams.iter().map(client).collect();
        let verifier = shared.trust.as_ref().map(|trust| verifier(trust, before, &shared.process.metrics.token_cache));
        let anonymous_assertions = RefCell::new(Assertions::of_anonymous());
        Self { shared, clients, anonymous_assertions, verifier, sampler: Sampler::default() }
    }

    /// The caller that a token names.
    ///
    /// # Errors
    /// 401.
    pub async fn verify(&self, token: &str, now: SystemTime) -> Result<Rc<Caller>, Problem> {
        let (verifier, trust) = self.verifier.as_ref().zip(self.shared.trust.as_ref()).ok_or_else(no_tokens)?;
        let verified = verifier.borrow_mut().verify(token, now);
        match verified {
            Err(Refusal::UnknownKey { foreign }) if trust.fetched_anew(foreign).await => {
                verifier.borrow_mut().verify(token, now).map_err(Refusal::into_problem)
            }
            verified => verified.map_err(Refusal::into_problem),
        }
    }
}

fn verifier(trust: &Trust, before: Option<&Worker>, lookups: &TokenCacheMetrics) -> Rc<RefCell<Verifier>> {
    let kept = before.and_then(|before| {
        let same = before.shared.trust.as_ref().is_some_and(|known| known.is_same(trust));
        before.verifier.as_ref().filter(|_| same)
    });
    kept.map_or_else(|| Rc::new(RefCell::new(Verifier::new(trust.clone()).counting(lookups.clone()))), Rc::clone)
}

/// The configuration refuses routes that need tokens where there are none.
fn no_tokens() -> Problem {
    Problem::internal("a route needs tokens, but none are configured")
}
