//! The services behind the gateway: their targets, the room they have, the way to them. Knows no routes and no callers.
//!
//! [`Upstream`] is the live state that all workers share; the decisions it takes are in [`balance`], [`breaker`],
//! [`retry`] and [`pool`], which are pure.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use actix_http::StatusCode;
use chassis::identity::AssertionSigner;
use serde::Serialize;

use super::{
    decide::{
        balance::{Candidate, Draw, choose, mixed},
        breaker::Admission,
        budget::Budget,
        failure_kind::FailureKind,
        outcome::Outcome,
        pool::{self, TargetSet, TargetState, TargetStates},
    },
    failures::FailureCounts,
    settings::{TargetAddress, UpstreamSettings},
    target::{self, Health, Target, TargetStatus},
    wire::connect::UpstreamTls,
};

/// One upstream, shared by all workers.
#[derive(Clone)]
pub(crate) struct Upstream(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    /// Not given to another upstream as long as the process lives, so that what is remembered by it stays true.
    id: u64,
    pub(crate) settings: UpstreamSettings,
    signer: Option<AssertionSigner>,
    pub(crate) tls: Option<UpstreamTls>,
    pub(crate) targets: Vec<Target>,
    turn: AtomicU64,
    in_flight: AtomicUsize,
    refused: AtomicU64,
    retries: AtomicU64,
    failures: FailureCounts,
    budget: Budget,
    /// Its health is being checked.
    pub(crate) watched: AtomicBool,
}

/// No target can take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unavailable {
    /// One may be back after this.
    pub(crate) wait: Duration,
}

/// An upstream as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Status {
    pub(crate) name: String,
    pub(crate) in_flight: usize,
    pub(crate) in_flight_max: usize,
    /// Requests answered 503 because there was no room.
    pub(crate) refused: u64,
    /// Attempts beyond the first.
    pub(crate) retries: u64,
    /// Attempts that got no answer, by kind.
    #[serde(skip)]
    pub(crate) failures: Vec<(&'static str, u64)>,
    pub(crate) targets: Vec<TargetStatus>,
}

impl Status {
    /// `up`, `degraded` where some targets are out, `down` where all are.
    pub(crate) fn summary(&self) -> &'static str {
        let out = self.targets.iter().filter(|target| target.is_out()).count();
        match out {
            0 => "up",
            out if out < self.targets.len() => "degraded",
            _ => "down",
        }
    }
}

impl TargetStatus {
    /// Whether it gets no requests, but for one that tries.
    pub(crate) fn is_out(&self) -> bool {
        self.health == Health::Unhealthy || self.breaker != target::BreakerState::Closed
    }
}

impl Upstream {
    /// An upstream as configured.
    ///
    /// # Errors
    /// The key for its assertions is too short, or a file for TLS cannot be used.
    pub(crate) fn new(settings: UpstreamSettings) -> Result<Self, String> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let signer =
            settings.assertion.as_ref().map(|(audience, key)| AssertionSigner::new(audience, key)).transpose()?;
        let tls = settings
            .tls
            .as_ref()
            .map(|tls| UpstreamTls::load(tls).map_err(|error| format!("upstreams.{}.tls: {error}", settings.name)));
        let target = |target: &super::settings::TargetSettings| Target::new(target.clone(), settings.breaker.as_ref());
        Ok(Self(Arc::new(Inner {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            targets: settings.targets.iter().map(target).collect(),
            tls: tls.transpose()?,
            settings,
            signer,
            turn: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            failures: FailureCounts::default(),
            budget: Budget::default(),
            watched: AtomicBool::new(false),
        })))
    }

    /// A number that no other upstream has or will have while the process lives.
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    /// Its settings.
    pub(crate) fn settings(&self) -> &UpstreamSettings {
        &self.0.settings
    }

    /// Its name in the configuration.
    pub(crate) fn name(&self) -> &str {
        &self.0.settings.name
    }

    /// How TLS is spoken with its targets.
    pub(crate) fn tls(&self) -> Option<&UpstreamTls> {
        self.0.tls.as_ref()
    }

    /// Signs the assertions that it asks for.
    pub(crate) fn signer(&self) -> Option<&AssertionSigner> {
        self.0.signer.as_ref()
    }

    /// Room for one request (the bulkhead); `None` where it has its fill, so that a slow upstream takes no others down.
    pub(crate) fn admit(&self) -> Option<Permit> {
        let before = self.0.in_flight.fetch_add(1, Ordering::Relaxed);
        // Made before the check, so that it gives back what was just taken.
        let permit = Permit { upstream: Arc::clone(&self.0), attempt: None };
        if before < self.0.settings.in_flight_max {
            return Some(permit);
        }
        self.0.refused.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// A target for one attempt: one that is well, and that has not failed this request yet, where there is one.
    /// `key` is what sticks to a target.
    ///
    /// # Errors
    /// All targets are out.
    pub(crate) fn pick(&self, key: Option<u64>, tried: TargetSet, now: Instant) -> Result<Attempt, Unavailable> {
        let states = self.states(now);
        let mut refused = TargetSet::default();
        loop {
            let pool = pool::eligible(states, self.0.settings.ejected_percent_max, tried, refused);
            let chosen = pool.only().or_else(|| self.choose(pool, key));
            let index = chosen.ok_or_else(|| self.unavailable(now))?;
            match self.0.targets[index].enter(states.is_suspect(index), now) {
                Some(entry) => {
                    return Ok(Attempt { upstream: Arc::clone(&self.0), index, entry, outcome: Outcome::Unknown });
                }
                // Another request was faster to try whether it is back.
                None => refused = refused.with(index),
            }
        }
    }

    /// Whether there is a target that has not failed this request yet.
    pub(crate) fn has_other_target(&self, tried: TargetSet, now: Instant) -> bool {
        let states = self.states(now);
        let pool = pool::eligible(states, self.0.settings.ejected_percent_max, tried, TargetSet::default());
        pool.iter().any(|index| !tried.has(index))
    }

    /// The retries that it has left.
    pub(crate) fn budget(&self) -> &Budget {
        &self.0.budget
    }

    /// Counts an attempt beyond the first.
    pub(crate) fn count_retry(&self) {
        self.0.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// How it is now.
    pub(crate) fn status(&self) -> Status {
        let now = Instant::now();
        Status {
            name: self.name().to_owned(),
            in_flight: self.0.in_flight.load(Ordering::Relaxed),
            in_flight_max: self.0.settings.in_flight_max,
            refused: self.0.refused.load(Ordering::Relaxed),
            retries: self.0.retries.load(Ordering::Relaxed),
            failures: self.0.failures.all(),
            targets: self.0.targets.iter().map(|target| target.status(now)).collect(),
        }
    }

    fn choose(&self, pool: TargetSet, key: Option<u64>) -> Option<usize> {
        let turn = self.0.turn.fetch_add(1, Ordering::Relaxed);
        let candidates: Vec<Candidate> = pool.iter().map(|index| self.candidate(index)).collect();
        choose(&self.0.settings.balance, &candidates, Draw { turn, random: mixed(turn), key })
    }

    fn states(&self, now: Instant) -> TargetStates {
        let state = |target: &Target| match (target.health(), target.shut_for(now)) {
            (Health::Unhealthy, _) => TargetState::Unhealthy,
            (Health::Unknown | Health::Healthy, Duration::ZERO) => TargetState::Well,
            (Health::Unknown | Health::Healthy, _) => TargetState::Suspect,
        };
        self.0.targets.iter().map(state).collect()
    }

    fn candidate(&self, index: usize) -> Candidate {
        let target = &self.0.targets[index];
        Candidate { index, weight: target.settings.weight, in_flight: target.in_flight(), hash: target.hash }
    }

    fn unavailable(&self, now: Instant) -> Unavailable {
        let next_check = self.0.settings.health.as_ref().map_or(Duration::from_secs(1), |health| health.interval);
        let wait = |target: &Target| match target.health() {
            Health::Unhealthy => next_check,
            Health::Unknown | Health::Healthy => target.shut_for(now),
        };
        Unavailable { wait: self.0.targets.iter().map(wait).min().unwrap_or(next_check) }
    }
}

/// A request in flight; ends when dropped.
pub(crate) struct Permit {
    upstream: Arc<Inner>,
    /// Its attempt that was answered: the target is busy with it to the last byte.
    attempt: Option<Attempt>,
}

impl Permit {
    /// Keeps an attempt for as long as the request is in flight.
    pub(crate) fn hold(&mut self, attempt: Attempt) {
        self.attempt = Some(attempt);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.upstream.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One attempt at one target. Dropped before it is judged, it says nothing about the target.
pub(crate) struct Attempt {
    upstream: Arc<Inner>,
    index: usize,
    entry: Admission,
    outcome: Outcome,
}

impl Attempt {
    /// Where the target is.
    pub(crate) fn address(&self) -> &TargetAddress {
        &self.target().settings.address
    }

    /// The place of the target among all.
    pub(crate) const fn index(&self) -> usize {
        self.index
    }

    /// Takes note of the head of its answer. A target that says it cannot do its work is taken out where another one
    /// could do it; alone, its own answer is the best there is.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        let unable =
            matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT);
        let failed = unable && self.upstream.targets.len() > 1;
        self.judge(if failed { Outcome::Failure } else { Outcome::Success });
    }

    /// Takes note that there was no answer.
    pub(crate) fn failed(&mut self, kind: FailureKind) {
        self.upstream.failures.count(kind);
        self.judge(kind.outcome());
    }

    fn judge(&mut self, outcome: Outcome) {
        self.outcome = outcome;
        if outcome != Outcome::Unknown && self.target().judge(self.entry, outcome, Instant::now()) {
            let (upstream, target) = (self.upstream.settings.name.as_str(), self.address().authority.as_str());
            log::warn!(upstream, target; "the target fails and is taken out");
        }
    }

    fn target(&self) -> &Target {
        &self.upstream.targets[self.index]
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.outcome == Outcome::Unknown {
            self.target().judge(self.entry, Outcome::Unknown, Instant::now());
        }
        self.target().leave();
    }
}
