//! The live state of one target: its health, its breaker, its requests in flight.
//!
//! The tricky part is the breaker. Every request asks every target of its upstream whether its breaker is open, from
//! all threads; the breaker itself is a state machine behind a lock. So its state is published as one atomic number
//! after each change, and choosing a target reads only that. The number may be outdated by the time of a request: a
//! request may be sent to a target whose breaker opens at that moment, which is harmless. Only the probe must be exact,
//! so that a breaker that is not closed is asked itself, under its lock.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    decide::{
        balance,
        breaker::{Admission, Breaker, BreakerSettings, State},
        outcome::Outcome,
    },
    settings::TargetSettings,
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

/// The state of the breaker of a target, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BreakerState {
    Closed,
    Open,
    /// The open time is over: one request is let through as a probe.
    HalfOpen,
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

/// The live state of a target.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) settings: TargetSettings,
    pub(crate) hash: u64,
    in_flight: AtomicUsize,
    requests: AtomicU64,
    failures: AtomicU64,
    health: AtomicU8,
    /// The state of the breaker, packed as [`PackedState`] says.
    breaker_state: AtomicU64,
    epoch: Instant,
    breaker: Option<Mutex<Breaker>>,
}

/// The state of a breaker as one number: the milliseconds since the epoch of the target at which its open time is over.
struct PackedState;

impl PackedState {
    const CLOSED: u64 = 0;
    const HALF_OPEN: u64 = u64::MAX;
}

impl Target {
    pub(crate) fn new(settings: TargetSettings, breaker: Option<&BreakerSettings>) -> Self {
        Self {
            hash: balance::hash(settings.address.authority.as_str().as_bytes()),
            settings,
            in_flight: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            health: AtomicU8::new(0),
            breaker_state: AtomicU64::new(PackedState::CLOSED),
            epoch: Instant::now(),
            breaker: breaker.map(|settings| Mutex::new(Breaker::new(settings.clone()))),
        }
    }

    pub(crate) fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            0 => Health::Unknown,
            1 => Health::Healthy,
            _ => Health::Unhealthy,
        }
    }

    pub(crate) fn set_health(&self, healthy: bool) {
        self.health.store(if healthy { 1 } else { 2 }, Ordering::Relaxed);
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Returns how long the breaker stays open; zero if it lets a request through.
    pub(crate) fn open_for(&self, now: Instant) -> Duration {
        /// An estimate of how long the probe that is in flight will take.
        const PROBE_TIME: Duration = Duration::from_secs(1);
        match self.breaker_state.load(Ordering::Relaxed) {
            PackedState::HALF_OPEN => PROBE_TIME,
            until => Duration::from_millis(until).saturating_sub(self.since_epoch(now)),
        }
    }

    /// Lets a request through, or returns `None` if the breaker does not. `forced` lets it through all the same: the
    /// target is ejected, but eligible because too many are.
    pub(crate) fn admit(&self, forced: bool, now: Instant) -> Option<Admission> {
        let closed = self.breaker_state.load(Ordering::Relaxed) == PackedState::CLOSED;
        let admission = match &self.breaker {
            Some(breaker) if !closed => {
                let mut breaker = breaker.lock().unwrap_or_else(PoisonError::into_inner);
                let admission = breaker.admit(self.since_epoch(now));
                self.publish(breaker.state());
                admission.or(forced.then_some(Admission::Normal))?
            }
            Some(_) | None => Admission::Normal,
        };
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        Some(admission)
    }

    /// Records an outcome, and returns whether the breaker opened because of it.
    pub(crate) fn record(&self, admission: Admission, outcome: Outcome, now: Instant) -> bool {
        if outcome == Outcome::Failure {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        let Some(breaker) = &self.breaker else { return false };
        let mut breaker = breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let before = breaker.state();
        breaker.record(admission, outcome, self.since_epoch(now));
        self.publish(breaker.state());
        before == State::Closed && breaker.state() != State::Closed
    }

    /// Ends a request that was let through.
    pub(crate) fn release(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    fn since_epoch(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }

    fn publish(&self, state: State) {
        let published = match state {
            State::Closed => PackedState::CLOSED,
            State::HalfOpen => PackedState::HALF_OPEN,
            State::Open { until } => {
                let millis = until.as_millis() + 1;
                // Rounded up, so that it is never 0, which means closed.
                u64::try_from(millis).unwrap_or(PackedState::HALF_OPEN - 1)
            }
        };
        self.breaker_state.store(published, Ordering::Relaxed);
    }

    pub(crate) fn status(&self, now: Instant) -> TargetStatus {
        let breaker = match self.breaker_state.load(Ordering::Relaxed) {
            PackedState::CLOSED => BreakerState::Closed,
            PackedState::HALF_OPEN => BreakerState::HalfOpen,
            _ if self.open_for(now).is_zero() => BreakerState::HalfOpen,
            _ => BreakerState::Open,
        };
        TargetStatus {
            address: self.settings.address.authority.to_string(),
            weight: self.settings.weight,
            in_flight: self.in_flight(),
            health: self.health(),
            breaker,
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }
}
