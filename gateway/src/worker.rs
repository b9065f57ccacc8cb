//! What a request needs at hand: the state that all workers share, and what each worker has for itself.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::SystemTime};

use chassis::{config::StartError, health::Health, identity::IdentityHeaders, problem::Problem};
use prometheus_client::registry::Registry;

use crate::{
    auth::{
        trust::Trust,
        verifier::{Caller, Refusal, Verifier},
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
    /// Whose tokens are believed; nobody's where the configuration has no `tokens`.
    pub trust: Option<Trust>,
    pub identity: IdentityHeaders,
    pub upstreams: Vec<Upstream>,
    /// One for each route that has a limit.
    pub limiters: Vec<Option<Limiter>>,
    pub documents: Documents,
    pub health: Health,
    pub metrics: GatewayMetrics,
}

impl Shared {
    /// Makes everything that a configuration names.
    ///
    /// # Errors
    /// A key cannot be loaded or made.
    pub fn new(config: Config, registry: &mut Registry) -> Result<Self, StartError> {
        let trust = config.tokens.as_ref().map(|settings| Trust::load(settings, SystemTime::now()));
        let trust = trust.transpose().map_err(StartError::failed)?;
        let upstreams = config.upstreams.iter().cloned().map(Upstream::new).collect::<Result<Vec<_>, _>>();
        let names = config.identity_headers.iter().map(|(name, _)| name);
        Ok(Self {
            trust,
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
        let clients =
            shared.upstreams.iter().map(|upstream| Client::new(upstream.settings(), upstream.tls())).collect();
        let verifier = shared.trust.clone().map(|trust| RefCell::new(Verifier::new(trust)));
        Self { shared, clients, verifier }
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

/// The configuration refuses routes that need tokens where there are none.
fn no_tokens() -> Problem {
    Problem::internal("a route needs tokens, but none are configured")
}
