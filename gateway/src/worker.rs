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
        issuer::Issuer,
        keys::Key,
        verifier::{Caller, Verifier},
    },
    config::{Config, TokenSettings},
    docs::Documents,
    limit::{Limiter, Rate},
    metrics::{GatewayMetrics, Handles},
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
    pub tokens: Option<Arc<Tokens>>,
    pub identity: IdentityHeaders,
    pub upstreams: Vec<Upstream>,
    /// One for each route that has a limit.
    pub limiters: Vec<Option<Arc<Limiter>>>,
    pub documents: Documents,
    pub handles: Handles,
    pub process: Arc<Process>,
}

/// Issuing and verifying go by the same key.
pub struct Tokens {
    settings: TokenSettings,
    pub issuer: Issuer,
    pub key: Key,
}

impl Tokens {
    fn new(settings: &TokenSettings) -> Result<Self, StartError> {
        let key = Key::load(&settings.keys).map_err(StartError::failed)?;
        Ok(Self { settings: settings.clone(), issuer: Issuer::new(settings), key })
    }
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
            tokens: tokens(&config, before)?,
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

fn tokens(config: &Config, before: Option<&Shared>) -> Result<Option<Arc<Tokens>>, StartError> {
    let Some(settings) = &config.tokens else { return Ok(None) };
    let kept = before.and_then(|before| before.tokens.as_ref()).filter(|tokens| tokens.settings == *settings);
    kept.map_or_else(|| Tokens::new(settings).map(Arc::new), |tokens| Ok(Arc::clone(tokens))).map(Some)
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
            Some((known, client)) if known.is_same(upstream) => (*client).clone(),
            Some(_) | None => Client::new(upstream.settings()),
        };
        let clients = shared.upstreams.iter().map(client).collect();
        let verifier = shared.tokens.as_ref().map(|tokens| verifier(tokens, before));
        let anonymous_assertions = RefCell::new(Assertions::of_anonymous());
        Self { shared, clients, anonymous_assertions, verifier, sampler: Sampler::default() }
    }

    /// The caller that a token names.
    ///
    /// # Errors
    /// 401.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Rc<Caller>, Problem> {
        match self.verifier.as_ref().zip(self.shared.tokens.as_ref()) {
            Some((verifier, tokens)) => verifier.borrow_mut().verify(token, &tokens.key, now),
            None => Err(no_tokens()),
        }
    }

    /// Runs what needs the issuer and its key.
    ///
    /// # Errors
    /// What `with` returns.
    pub fn issue<T>(&self, with: impl FnOnce(&Issuer, &Key) -> Result<T, Problem>) -> Result<T, Problem> {
        let tokens = self.shared.tokens.as_ref().ok_or_else(no_tokens)?;
        with(&tokens.issuer, &tokens.key)
    }
}

fn verifier(tokens: &Arc<Tokens>, before: Option<&Worker>) -> Rc<RefCell<Verifier>> {
    let kept = before.and_then(|before| {
        let same = before.shared.tokens.as_ref().is_some_and(|known| Arc::ptr_eq(known, tokens));
        before.verifier.as_ref().filter(|_| same)
    });
    kept.map_or_else(|| Rc::new(RefCell::new(Verifier::new(&tokens.settings, &tokens.key))), Rc::clone)
}

/// The configuration refuses routes that need tokens where there are none.
fn no_tokens() -> Problem {
    Problem::internal("a route needs tokens, but none are configured")
}
