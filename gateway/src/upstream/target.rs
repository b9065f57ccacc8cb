//! The live state of one target: its requests in flight, its health, its breaker.
//!
//! It outlives a reload. Each of its two parts is kept for as long as its address is configured: the [`Load`] whatever
//! changes, the [`Condition`] only while it is judged in the same way, since a health check of another path, or a breaker
//! with other limits, would have come to another result.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    decide::{balance, breaker::Admission, outcome::Outcome},
    settings::{TargetSettings, UpstreamSettings},
    target_breaker::{BreakerState, TargetBreaker},
};

/// The result of the active health checks of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Health {
    /// Not checked, or not yet; it counts as healthy.
    Unknown,
    Healthy,
    Unhealthy,
}

/// The current state of a target, for metrics and the admin listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TargetStatus {
    pub(crate) address: String,
    pub(crate) weight: u32,
    pub(crate) in_flight: usize,
    pub(crate) health: Health,
    pub(crate) breaker: BreakerState,
    /// Requests sent to it so far.
    pub(crate) requests: u64,
    /// Those among them that failed by its fault.
    pub(crate) failures: u64,
}

/// A target of one snapshot, with the live state that it shares with the same target of the snapshots before.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) settings: TargetSettings,
    pub(crate) hash: u64,
    load: Arc<Load>,
    pub(super) condition: Arc<Condition>,
}

/// The requests to a target.
#[derive(Debug, Default)]
struct Load {
    in_flight: AtomicUsize,
    requests: AtomicU64,
    failures: AtomicU64,
}

/// Whether a target works, as far as requests and health checks have shown.
#[derive(Debug)]
pub(super) struct Condition {
    health: AtomicU8,
    /// Its health checks were started.
    is_watched: AtomicBool,
    breaker: Option<TargetBreaker>,
}

impl Target {
    /// A target of an upstream. It takes over the state of `known`, the same address in the previous snapshot.
    pub(super) fn new(
        settings: TargetSettings,
        upstream: &UpstreamSettings,
        known: Option<(&Self, &UpstreamSettings)>,
    ) -> Self {
        let judged_alike = known.filter(|(_, previous)| previous.judges_targets_as(upstream));
        let new = || {
            Arc::new(Condition {
                health: AtomicU8::new(0),
                is_watched: AtomicBool::new(false),
                breaker: upstream.breaker.clone().map(TargetBreaker::new),
            })
        };
        Self {
            hash: balance::hash(settings.address.authority.as_str().as_bytes()),
            settings,
            load: known.map_or_else(Arc::default, |(known, _)| Arc::clone(&known.load)),
            condition: judged_alike.map_or_else(new, |(known, _)| Arc::clone(&known.condition)),
        }
    }

    pub(crate) fn health(&self) -> Health {
        self.condition.health()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.load.in_flight.load(Ordering::Relaxed)
    }

    /// Returns how long the breaker stays open; zero if it lets a request through.
    pub(crate) fn open_for(&self, now: Instant) -> Duration {
        self.condition.breaker.as_ref().map_or(Duration::ZERO, |breaker| breaker.open_for(now))
    }

    /// Lets a request through, or returns `None` if the breaker does not. `forced` lets it through all the same: the
    /// target is ejected, but eligible because too many are.
    pub(crate) fn admit(&self, forced: bool, now: Instant) -> Option<Admission> {
        let admission = match &self.condition.breaker {
            Some(breaker) => breaker.admit(now).or(forced.then_some(Admission::Normal))?,
            None => Admission::Normal,
        };
        self.load.in_flight.fetch_add(1, Ordering::Relaxed);
        self.load.requests.fetch_add(1, Ordering::Relaxed);
        Some(admission)
    }

    /// Records an outcome, and returns whether the breaker opened because of it.
    pub(crate) fn record(&self, admission: Admission, outcome: Outcome, now: Instant) -> bool {
        if outcome == Outcome::Failure {
            self.load.failures.fetch_add(1, Ordering::Relaxed);
        }
        self.condition.breaker.as_ref().is_some_and(|breaker| breaker.record(admission, outcome, now))
    }

    /// Ends a request that was let through.
    pub(crate) fn release(&self) {
        self.load.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn status(&self, now: Instant) -> TargetStatus {
        TargetStatus {
            address: self.settings.address.authority.to_string(),
            weight: self.settings.weight,
            in_flight: self.in_flight(),
            health: self.health(),
            breaker: self.condition.breaker.as_ref().map_or(BreakerState::Closed, |breaker| breaker.state(now)),
            requests: self.load.requests.load(Ordering::Relaxed),
            failures: self.load.failures.load(Ordering::Relaxed),
        }
    }
}

impl Condition {
    pub(super) fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            0 => Health::Unknown,
            1 => Health::Healthy,
            _ => Health::Unhealthy,
        }
    }

    pub(super) fn set_health(&self, is_healthy: bool) {
        self.health.store(if is_healthy { 1 } else { 2 }, Ordering::Relaxed);
    }

    /// Records the result of a health check for the breaker.
    pub(super) fn record_check(&self, is_good: bool, begun: Instant) {
        if let Some(breaker) = &self.breaker {
            breaker.record_check(is_good, begun, Instant::now());
        }
    }

    /// Returns `true` once: then its health checks are to be started.
    pub(super) fn start_watching(&self) -> bool {
        !self.is_watched.swap(true, Ordering::Relaxed)
    }
}
