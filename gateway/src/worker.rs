//! What a request needs at hand: the state that all workers share, and what each worker has for itself.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::SystemTime};

use chassis::{config::StartError, health::Health, identity::IdentityHeaders, problem::Problem};
use prometheus_client::registry::Registry;

use crate::{
    auth::{
        issuer::Issuer,
        keys::Key,
        verifier::{Caller, Verifier},
    },
    config::Config,
    docs::Documents,
    limit::Limiter,
    metrics::GatewayMetrics,
    upstream::{Upstream, client::Client},
};

/// Shared by all workers, and not changed once made.
pub struct Shared {
    pub config: Config,
    pub tokens: Option<Tokens>,
    pub identity: IdentityHeaders,
    pub upstreams: Vec<Upstream>,
    /// One for each route that has a limit.
    pub limiters: Vec<Option<Limiter>>,
    pub documents: Documents,
    pub health: Health,
    pub metrics: GatewayMetrics,
}

/// Issuing and verifying go by the same key.
pub struct Tokens {
    pub issuer: Issuer,
    pub key: Key,
}

impl Shared {
    /// Makes everything that a configuration names.
    ///
    /// # Errors
    /// A key cannot be loaded or made.
    pub fn new(config: Config, registry: &mut Registry) -> Result<Self, StartError> {
        let tokens = match &config.tokens {
            None => None,
            Some(settings) => {
                let key = Key::load(&settings.keys).map_err(StartError::failed)?;
                Some(Tokens { issuer: Issuer::new(settings), key })
            }
        };
        let upstreams = config.upstreams.iter().cloned().map(Upstream::new).collect::<Result<Vec<_>, _>>();
        let names = config.identity_headers.iter().map(|(name, _)| name);
        Ok(Self {
            tokens,
            identity: IdentityHeaders::new(names),
            upstreams: upstreams.map_err(StartError::failed)?,
            limiters: config.routes.iter().map(|route| route.limit.and_then(Limiter::new)).collect(),
            documents: Documents::default(),
            health: Health::default(),
            metrics: GatewayMetrics::register(registry),
            config,
        })
    }
}

/// One worker thread: `awc::Client` and the memory of verified tokens belong to it alone.
pub struct Worker {
    pub shared: Arc<Shared>,
    /// One for each upstream.
    pub clients: Vec<Client>,
    verifier: Option<RefCell<Verifier>>,
}

impl Worker {
    /// A worker over the shared state; made in its own thread.
    pub fn new(shared: Arc<Shared>) -> Self {
        let clients = shared.upstreams.iter().map(|upstream| Client::new(upstream.settings())).collect();
        let tokens = shared.config.tokens.as_ref().zip(shared.tokens.as_ref());
        let verifier = tokens.map(|(settings, tokens)| RefCell::new(Verifier::new(settings, &tokens.key)));
        Self { shared, clients, verifier }
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

/// The configuration refuses routes that need tokens where there are none.
fn no_tokens() -> Problem {
    Problem::internal("a route needs tokens, but none are configured")
}
