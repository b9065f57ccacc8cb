//! One target: what is known of its health, and what it has to do. The request path reads it without a lock.

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
        breaker::{Admission, Breaker, BreakerSettings, Gate},
        outcome::Outcome,
    },
    settings::TargetSettings,
};

/// What the active checks say of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Health {
    /// Not checked (yet); it counts as well.
    Unknown,
    Healthy,
    Unhealthy,
}

/// What passive observation says of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BreakerState {
    Closed,
    Open,
    /// Its time is over: one request tries.
    HalfOpen,
}

/// A target as it is now.
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
    /// What [`Published`] says, so that choosing a target takes no lock; the breaker itself is only asked at the end
    /// of a request, by one thread for a few nanoseconds.
    gate: AtomicU64,
    epoch: Instant,
    breaker: Option<Mutex<Breaker>>,
}

/// The gate of the breaker as one number: milliseconds since the epoch of the target until which it is shut.
struct Published;

impl Published {
    const CLOSED: u64 = 0;
    const PROBING: u64 = u64::MAX;
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
            gate: AtomicU64::new(Published::CLOSED),
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

    /// How long the breaker is shut yet; zero where it lets somebody in.
    pub(crate) fn shut_for(&self, now: Instant) -> Duration {
        /// A probe is on its way, which will not take much longer.
        const PROBING: Duration = Duration::from_secs(1);
        match self.gate.load(Ordering::Relaxed) {
            Published::PROBING => PROBING,
            until => Duration::from_millis(until).saturating_sub(self.since_epoch(now)),
        }
    }

    /// Lets a request in; `None` where the breaker has let another one try just now. `forced` asks no breaker.
    pub(crate) fn enter(&self, forced: bool, now: Instant) -> Option<Admission> {
        let closed = self.gate.load(Ordering::Relaxed) == Published::CLOSED;
        let entry = match &self.breaker {
            Some(breaker) if !closed => {
                let mut breaker = breaker.lock().unwrap_or_else(PoisonError::into_inner);
                let entry = breaker.enter(self.since_epoch(now));
                self.publish(breaker.gate());
                entry.or(forced.then_some(Admission::Normal))?
            }
            Some(_) | None => Admission::Normal,
        };
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        Some(entry)
    }

    /// Takes note of an outcome. Whether the target was taken out by it.
    pub(crate) fn judge(&self, entry: Admission, outcome: Outcome, now: Instant) -> bool {
        if outcome == Outcome::Failure {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        let Some(breaker) = &self.breaker else { return false };
        let mut breaker = breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let before = breaker.gate();
        breaker.leave(entry, outcome, self.since_epoch(now));
        self.publish(breaker.gate());
        before == Gate::Closed && breaker.gate() != Gate::Closed
    }

    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    fn since_epoch(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }

    fn publish(&self, gate: Gate) {
        let published = match gate {
            Gate::Closed => Published::CLOSED,
            Gate::Probing => Published::PROBING,
            Gate::Open { until } => {
                let millis = until.as_millis() + 1;
                // Rounded up, so that it is never 0, which is closed.
                u64::try_from(millis).unwrap_or(Published::PROBING - 1)
            }
        };
        self.gate.store(published, Ordering::Relaxed);
    }

    pub(crate) fn status(&self, now: Instant) -> TargetStatus {
        let breaker = match self.gate.load(Ordering::Relaxed) {
            Published::CLOSED => BreakerState::Closed,
            Published::PROBING => BreakerState::HalfOpen,
            _ if self.shut_for(now).is_zero() => BreakerState::HalfOpen,
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
