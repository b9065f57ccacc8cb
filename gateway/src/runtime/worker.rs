//! What one worker thread has for itself: its connections to upstreams and the tokens it has verified.
//!
//! `awc::Client` is not `Send`, and a cache without a lock is the fastest: so each worker has its own. A worker belongs
//! to one snapshot; the worker of the next one takes over what did not change.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc, time::SystemTime};

use chassis::problem::Problem;

use super::snapshot::Snapshot;
use crate::{
    auth::{
        assertions::AssertionCache,
        caller::Caller,
        verifier::{Verifier, VerifyError},
    },
    telemetry::access_log::Sampler,
    upstream::{handle::Upstream, wire::client::Client},
};

/// The state of one worker thread over one snapshot.
pub(crate) struct Worker {
    pub(crate) snapshot: Arc<Snapshot>,
    /// In the order of the upstreams.
    clients: Vec<Client>,
    /// Assertions about clients that are not signed in.
    pub(crate) anonymous_assertions: RefCell<AssertionCache>,
    /// `None` where the configuration has no `tokens`.
    verifier: Option<Rc<RefCell<Verifier>>>,
    pub(crate) sampler: Sampler,
}

impl Worker {
    /// Makes the worker in its own thread. Open connections and verified tokens of `previous` are kept where their
    /// settings did not change.
    pub(crate) fn new(snapshot: Arc<Snapshot>, previous: Option<&Self>) -> Self {
        Self {
            clients: clients(&snapshot, previous),
            verifier: verifier(&snapshot, previous),
            anonymous_assertions: RefCell::new(AssertionCache::for_anonymous()),
            sampler: Sampler::default(),
            snapshot,
        }
    }

    /// Returns the client for the upstream at this index of the configuration.
    pub(crate) fn client(&self, upstream: usize) -> &Client {
        &self.clients[upstream]
    }

    /// Returns every upstream with its client.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = (&Upstream, &Client)> {
        self.snapshot.upstreams.iter().zip(&self.clients)
    }

    /// Returns the caller that a token identifies. An unknown key is fetched from its issuer, once.
    ///
    /// # Errors
    /// 401 where the token is not accepted, 503 where the keys of its issuer have never been fetched.
    pub(crate) async fn verify(&self, token: &str, now: SystemTime) -> Result<Rc<Caller>, Problem> {
        let (verifier, issuers) = self.verifier.as_ref().zip(self.snapshot.issuers.as_ref()).ok_or_else(no_tokens)?;
        let generation = issuers.generation();
        let verified = verifier.borrow_mut().verify(token, now);
        match verified {
            // Keys that arrived while the token was verified count too: then there is no reason to fetch them again.
            Err(VerifyError::UnknownKey { external, .. })
                if issuers.refetch(external).await || issuers.generation() != generation =>
            {
                verifier.borrow_mut().verify(token, now).map_err(VerifyError::into_problem)
            }
            verified => verified.map_err(VerifyError::into_problem),
        }
    }
}

fn clients(snapshot: &Snapshot, previous: Option<&Worker>) -> Vec<Client> {
    let known: HashMap<u64, &Client> =
        previous.iter().flat_map(|worker| worker.upstreams()).map(|(known, client)| (known.id(), client)).collect();
    let client = |upstream: &Upstream| match known.get(&upstream.id()) {
        Some(client) => (*client).clone(),
        None => Client::new(upstream.settings(), upstream.tls()),
    };
    snapshot.upstreams.iter().map(client).collect()
}

fn verifier(snapshot: &Snapshot, previous: Option<&Worker>) -> Option<Rc<RefCell<Verifier>>> {
    let issuers = snapshot.issuers.as_ref()?;
    let kept = previous.and_then(|worker| {
        let known = worker.snapshot.issuers.as_ref()?;
        worker.verifier.as_ref().filter(|_| known.is_same(issuers))
    });
    let new = || {
        let ended = snapshot.process.sessions.ended();
        let sessions = issuers.settings().sessions.is_some().then(|| ended.clone());
        let metrics = snapshot.process.metrics.token_cache.clone();
        Verifier::new(issuers.clone()).with_sessions(sessions).with_metrics(metrics)
    };
    Some(kept.map_or_else(|| Rc::new(RefCell::new(new())), Rc::clone))
}

/// A bug: the configuration refuses routes that need tokens where it has no `tokens`.
fn no_tokens() -> Problem {
    Problem::internal("a route needs tokens, but none are configured")
}
