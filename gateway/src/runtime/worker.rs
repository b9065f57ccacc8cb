//! What a request needs at hand: what lives as long as the process, what one configuration makes, and what each worker
//! has for itself. A reload makes the second anew and keeps the handles of the parts that did not change.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc, time::SystemTime};

use chassis::problem::Problem;

use super::snapshot::Snapshot;
use crate::{
    auth::{
        assertions::AssertionCache,
        caller::Caller,
        metrics::TokenCacheMetrics,
        token_issuers::TokenIssuers,
        verifier::{Refusal, Verifier},
    },
    telemetry::access_log::Sampler,
    upstream::{handle::Upstream, wire::client::Client},
};

/// One worker thread: `awc::Client` and the memory of verified tokens belong to it alone.
pub(crate) struct Worker {
    pub(crate) snapshot: Arc<Snapshot>,
    /// One for each upstream.
    pub(crate) clients: Vec<Client>,
    /// What was signed about clients that are not signed in.
    pub(crate) anonymous_assertions: RefCell<AssertionCache>,
    verifier: Option<Rc<RefCell<Verifier>>>,
    pub(crate) sampler: Sampler,
}

impl Worker {
    /// A worker over a snapshot; made in its own thread. What `before` has for unchanged parts is kept: open
    /// connections, verified tokens.
    pub(crate) fn new(snapshot: Arc<Snapshot>, before: Option<&Self>) -> Self {
        let kept: HashMap<&str, (&Upstream, &Client)> = before
            .iter()
            .flat_map(|before| before.snapshot.upstreams.iter().zip(&before.clients))
            .map(|(upstream, client)| (upstream.name(), (upstream, client)))
            .collect();
        let client = |upstream: &Upstream| match kept.get(upstream.name()) {
            Some((known, client)) if known.id() == upstream.id() => (*client).clone(),
            Some(_) | None => Client::new(upstream.settings(), upstream.tls()),
        };
        let clients = snapshot.upstreams.iter().map(client).collect();
        let verifier =
            snapshot.issuers.as_ref().map(|issuers| verifier(issuers, before, &snapshot.process.metrics.token_cache));
        let anonymous_assertions = RefCell::new(AssertionCache::of_anonymous());
        Self { snapshot, clients, anonymous_assertions, verifier, sampler: Sampler::default() }
    }

    /// The caller that a token names.
    ///
    /// # Errors
    /// 401.
    pub(crate) async fn verify(&self, token: &str, now: SystemTime) -> Result<Rc<Caller>, Problem> {
        let (verifier, issuers) = self.verifier.as_ref().zip(self.snapshot.issuers.as_ref()).ok_or_else(no_tokens)?;
        let verified = verifier.borrow_mut().verify(token, now);
        match verified {
            Err(Refusal::UnknownKey { foreign }) if issuers.fetched_anew(foreign).await => {
                verifier.borrow_mut().verify(token, now).map_err(Refusal::into_problem)
            }
            verified => verified.map_err(Refusal::into_problem),
        }
    }
}

fn verifier(issuers: &TokenIssuers, before: Option<&Worker>, lookups: &TokenCacheMetrics) -> Rc<RefCell<Verifier>> {
    let kept = before.and_then(|before| {
        let same = before.snapshot.issuers.as_ref().is_some_and(|known| known.is_same(issuers));
        before.verifier.as_ref().filter(|_| same)
    });
    kept.map_or_else(|| Rc::new(RefCell::new(Verifier::new(issuers.clone()).counting(lookups.clone()))), Rc::clone)
}

/// The configuration refuses routes that need tokens where there are none.
fn no_tokens() -> Problem {
    Problem::internal("a route needs tokens, but none are configured")
}
