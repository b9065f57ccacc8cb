//! The live state of an upstream, which all workers share: requests in flight, targets, retry budget. Knows no routes
//! and no callers. What it decides, it decides by the pure functions of [`decide`](super::decide).
//!
//! Counts are given back by guards: a [`Permit`] and an [`Attempt`] end when they are dropped, also if the client
//! closes the connection before the answer is complete.
//!
//! A reload makes a new upstream even where one target was added. It takes over what is known of the targets that stay
//! ([`Target`]) and what was counted for the upstream of this name ([`Load`]), so that a reload neither sends requests
//! to a target that is known to be dead, nor doubles what may be in flight.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use actix_http::StatusCode;
use chassis::identity::AssertionSigner;
use serde::Serialize;

use super::{
    decide::{
        balance::{Candidate, ChoiceInput, choose, mix},
        breaker::Admission,
        budget::RetryBudget,
        failure_kind::FailureKind,
        outcome::Outcome,
        pool::{self, TargetSet, TargetState, TargetStates},
    },
    failures::FailureCounts,
    settings::{TargetAddress, TargetSettings, UpstreamSettings},
    target::{Health, Target, TargetStatus},
    target_breaker::BreakerState,
    wire::connect::UpstreamTls,
};

/// A handle to an upstream. Clones share it.
#[derive(Clone)]
pub(crate) struct Upstream(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    /// Not reused for another upstream while the process runs, so that caches may use it as a key.
    id: u64,
    pub(crate) settings: UpstreamSettings,
    signer: Option<AssertionSigner>,
    pub(crate) tls: Option<UpstreamTls>,
    pub(crate) targets: Vec<Target>,
    load: Arc<Load>,
}

/// The requests to an upstream.
#[derive(Default)]
struct Load {
    /// Number of choices of a target.
    turn: AtomicU64,
    in_flight: AtomicUsize,
    refused: AtomicU64,
    retries: AtomicU64,
    failures: FailureCounts,
    budget: RetryBudget,
}

/// No target is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unavailable {
    /// When to try again.
    pub(crate) retry_after: Duration,
}

/// The current state of an upstream, for metrics and the admin listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct UpstreamStatus {
    pub(crate) name: String,
    pub(crate) in_flight: usize,
    pub(crate) in_flight_max: usize,
    /// Requests that were answered 503 because the limit was reached.
    pub(crate) refused: u64,
    /// Attempts after the first one of each request.
    pub(crate) retries: u64,
    /// Failed attempts by kind.
    #[serde(skip)]
    pub(crate) failures: Vec<(&'static str, u64)>,
    pub(crate) targets: Vec<TargetStatus>,
}

impl UpstreamStatus {
    /// Returns `up`, `degraded` if some targets are unavailable, or `down` if all are.
    pub(crate) fn summary(&self) -> &'static str {
        let unavailable = self.targets.iter().filter(|target| target.is_unavailable()).count();
        match unavailable {
            0 => "up",
            some if some < self.targets.len() => "degraded",
            _ => "down",
        }
    }
}

impl TargetStatus {
    /// Returns whether it gets no requests, but for those that find out whether it works again.
    pub(crate) fn is_unavailable(&self) -> bool {
        let is_ejected = match self.breaker {
            BreakerState::Open | BreakerState::HalfOpen => true,
            BreakerState::Closed | BreakerState::Recovered => false,
        };
        is_ejected || self.health == Health::Unhealthy
    }
}

impl Upstream {
    /// Creates an upstream with these settings. It takes over the live state of `previous`, which had the same name.
    ///
    /// # Errors
    /// The key for its assertions is too short, or a file for TLS cannot be used.
    pub(crate) fn new(settings: UpstreamSettings, previous: Option<&Self>) -> Result<Self, String> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let signer =
            settings.assertion.as_ref().map(|(audience, key)| AssertionSigner::new(audience, key)).transpose()?;
        let tls = settings
            .tls
            .as_ref()
            .map(|tls| UpstreamTls::load(tls).map_err(|error| format!("upstreams.{}.tls: {error}", settings.name)));
        let target = |target: &TargetSettings| {
            let known =
                previous.and_then(|previous| previous.target_at(&target.address).zip(Some(previous.settings())));
            Target::new(target.clone(), &settings, known)
        };
        Ok(Self(Arc::new(Inner {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            targets: settings.targets.iter().map(target).collect(),
            tls: tls.transpose()?,
            settings,
            signer,
            load: previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.0.load)),
        })))
    }

    fn target_at(&self, address: &TargetAddress) -> Option<&Target> {
        self.0.targets.iter().find(|target| target.settings.address == *address)
    }

    /// Returns a number that no other upstream has, or will have, while the process runs.
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    /// Returns its settings.
    pub(crate) fn settings(&self) -> &UpstreamSettings {
        &self.0.settings
    }

    /// Returns its name in the configuration.
    pub(crate) fn name(&self) -> &str {
        &self.0.settings.name
    }

    /// Returns the TLS configuration for its targets; `None` for plain HTTP.
    pub(crate) fn tls(&self) -> Option<&UpstreamTls> {
        self.0.tls.as_ref()
    }

    /// Returns what signs its assertions; `None` if it asks for none.
    pub(crate) fn signer(&self) -> Option<&AssertionSigner> {
        self.0.signer.as_ref()
    }

    /// Admits a request, or returns `None` if the maximum number of requests is in flight (the bulkhead): a slow
    /// upstream must not use up what the others need.
    pub(crate) fn admit(&self) -> Option<Permit> {
        let before = self.0.load.in_flight.fetch_add(1, Ordering::Relaxed);
        // Created before the check, so that dropping it undoes the increment.
        let permit = Permit { upstream: Arc::clone(&self.0), attempt: None };
        if before < self.0.settings.in_flight_max {
            return Some(permit);
        }
        self.0.load.refused.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Chooses a target for an attempt, if possible one that was not tried for this request, and starts the attempt.
    /// `key` is the hash for [`Balance::Hash`](super::decide::balance::Balance::Hash).
    ///
    /// # Errors
    /// No target is available.
    pub(crate) fn begin_attempt(
        &self,
        key: Option<u64>,
        tried: TargetSet,
        now: Instant,
    ) -> Result<Attempt, Unavailable> {
        let states = self.states(now);
        let mut refused = TargetSet::default();
        loop {
            let pool = pool::eligible(states, self.0.settings.ejected_percent_max, tried, refused);
            let chosen = pool.only().or_else(|| self.choose(pool, key));
            let index = chosen.ok_or_else(|| self.unavailable(now))?;
            match self.0.targets[index].admit(states.is_ejected(index), now) {
                Some(admission) => {
                    let outcome = Some(Outcome::Unknown);
                    return Ok(Attempt { upstream: Arc::clone(&self.0), index, admission, outcome });
                }
                // Another request was faster to become its probe.
                None => refused = refused.with(index),
            }
        }
    }

    /// Returns whether there is an eligible target that was not tried for this request.
    pub(crate) fn has_other_target(&self, tried: TargetSet, now: Instant) -> bool {
        let states = self.states(now);
        let pool = pool::eligible(states, self.0.settings.ejected_percent_max, tried, TargetSet::default());
        pool.iter().any(|index| !tried.contains(index))
    }

    /// Returns its retry budget.
    pub(crate) fn budget(&self) -> &RetryBudget {
        &self.0.load.budget
    }

    /// Counts a retry.
    pub(crate) fn count_retry(&self) {
        self.0.load.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns its current state.
    pub(crate) fn status(&self) -> UpstreamStatus {
        let now = Instant::now();
        UpstreamStatus {
            name: self.name().to_owned(),
            in_flight: self.0.load.in_flight.load(Ordering::Relaxed),
            in_flight_max: self.0.settings.in_flight_max,
            refused: self.0.load.refused.load(Ordering::Relaxed),
            retries: self.0.load.retries.load(Ordering::Relaxed),
            failures: self.0.load.failures.all(),
            targets: self.0.targets.iter().map(|target| target.status(now)).collect(),
        }
    }

    fn choose(&self, pool: TargetSet, key: Option<u64>) -> Option<usize> {
        let turn = self.0.load.turn.fetch_add(1, Ordering::Relaxed);
        let candidates: Vec<Candidate> = pool.iter().map(|index| self.candidate(index)).collect();
        choose(&self.0.settings.balance, &candidates, ChoiceInput { turn, random: mix(turn), key })
    }

    fn states(&self, now: Instant) -> TargetStates {
        let state = |target: &Target| match (target.health(), target.open_for(now)) {
            (Health::Unhealthy, _) => TargetState::Unhealthy,
            (Health::Unknown | Health::Healthy, Duration::ZERO) => TargetState::Available,
            (Health::Unknown | Health::Healthy, _) => TargetState::Ejected,
        };
        self.0.targets.iter().map(state).collect()
    }

    fn candidate(&self, index: usize) -> Candidate {
        let target = &self.0.targets[index];
        Candidate { index, weight: target.settings.weight, in_flight: target.in_flight(), hash: target.hash }
    }

    fn unavailable(&self, now: Instant) -> Unavailable {
        let next_check = self.0.settings.health.as_ref().map_or(Duration::from_secs(1), |health| health.interval);
        let available_in = |target: &Target| match target.health() {
            Health::Unhealthy => next_check,
            Health::Unknown | Health::Healthy => target.open_for(now),
        };
        Unavailable { retry_after: self.0.targets.iter().map(available_in).min().unwrap_or(next_check) }
    }
}

/// A request in flight, until it is dropped.
pub(crate) struct Permit {
    upstream: Arc<Inner>,
    /// The attempt that was answered: it is in flight until the last byte of the answer.
    attempt: Option<Attempt>,
}

impl Permit {
    /// Keeps an attempt in flight for as long as the request is.
    pub(crate) fn hold(&mut self, attempt: Attempt) {
        self.attempt = Some(attempt);
    }

    /// Records that the target did not complete its answer.
    pub(crate) fn failed(&mut self, kind: FailureKind) {
        if let Some(attempt) = &mut self.attempt {
            attempt.failed(kind);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.upstream.load.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An attempt in flight, until it is dropped.
///
/// Its outcome is that of the last byte: an answer counts as a success when the attempt is dropped and nothing has failed
/// until then, be it that the answer was complete or that the client did not want the rest. Dropped before there was an
/// answer, it says nothing about the target.
///
/// A probe is the exception. The breaker lets nobody else through while it waits for one, and an answer may be a stream
/// that goes on for hours. So its head ends the probe: the breaker closes on trial, and what follows is the outcome of a
/// usual request, whose failure alone opens it again.
pub(crate) struct Attempt {
    upstream: Arc<Inner>,
    index: usize,
    admission: Admission,
    /// What would be recorded if the attempt ended now; `None` once its outcome was recorded.
    outcome: Option<Outcome>,
}

impl Attempt {
    /// Returns the address of its target.
    pub(crate) fn address(&self) -> &TargetAddress {
        &self.target().settings.address
    }

    /// Returns the index of its target.
    pub(crate) const fn index(&self) -> usize {
        self.index
    }

    /// Records the status of its answer. 502, 503 and 504 count as failures if there are other targets; a single target
    /// is never ejected for them, since its own answer is the best one there is.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        let unable =
            matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT);
        if unable && self.upstream.targets.len() > 1 {
            return self.end(Outcome::Failure);
        }
        if self.admission == Admission::Probe {
            self.record(Outcome::Success);
            self.admission = Admission::Normal;
        }
        self.outcome = Some(Outcome::Success);
    }

    /// Records that there was no answer, or not all of it.
    pub(crate) fn failed(&mut self, kind: FailureKind) {
        self.upstream.load.failures.count(kind);
        self.end(kind.outcome());
    }

    /// Records the outcome, unless one was recorded already.
    fn end(&mut self, outcome: Outcome) {
        if self.outcome.take().is_some() {
            self.record(outcome);
        }
    }

    fn record(&self, outcome: Outcome) {
        if self.target().record(self.admission, outcome, Instant::now()) {
            let (upstream, target) = (self.upstream.settings.name.as_str(), self.address().authority.as_str());
            log::warn!(upstream, target; "the target fails, its breaker opens");
        }
    }

    fn target(&self) -> &Target {
        &self.upstream.targets[self.index]
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome {
            self.end(outcome);
        }
        self.target().release();
    }
}
