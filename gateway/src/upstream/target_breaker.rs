//! The breaker of one target, shared by all threads.
//!
//! The tricky part: every request asks every target of its upstream whether its breaker is open, and the breaker itself
//! is a state machine behind a lock. So its state is published as one atomic number after each change, and choosing a
//! target reads only that. The number may be outdated by the time of a request: a request may be sent to a target whose
//! breaker opens at that moment, which is harmless. Only the probe must be exact, so that a breaker that is not closed is
//! asked itself, under its lock.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;

use super::decide::{
    breaker::{Admission, Breaker, BreakerSettings, State},
    outcome::Outcome,
};

/// The state of the breaker of a target, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BreakerState {
    Closed,
    Open,
    /// Its health check is good again: the next request finds out.
    Recovered,
    /// The open time is over: one request is let through as a probe.
    HalfOpen,
}

/// The breaker of one target.
#[derive(Debug)]
pub(super) struct TargetBreaker {
    /// The state of the breaker, packed as [`PackedState`] says.
    published: AtomicU64,
    epoch: Instant,
    breaker: Mutex<Breaker>,
}

/// The state of a breaker as one number: the milliseconds since the epoch at which its open time is over.
struct PackedState;

impl PackedState {
    const CLOSED: u64 = 0;
    const HALF_OPEN: u64 = u64::MAX;
    const RECOVERED: u64 = u64::MAX - 1;
}

impl TargetBreaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self {
            published: AtomicU64::new(PackedState::CLOSED),
            epoch: Instant::now(),
            breaker: Mutex::new(Breaker::new(settings)),
        }
    }

    /// Returns how long it stays open; zero if it lets a request through.
    pub(super) fn open_for(&self, now: Instant) -> Duration {
        /// An estimate of how long the probe that is in flight will take.
        const PROBE_TIME: Duration = Duration::from_secs(1);
        match self.published.load(Ordering::Relaxed) {
            PackedState::HALF_OPEN => PROBE_TIME,
            PackedState::RECOVERED => Duration::ZERO,
            until => Duration::from_millis(until).saturating_sub(self.since_epoch(now)),
        }
    }

    /// Lets a request through, or returns `None`.
    pub(super) fn admit(&self, now: Instant) -> Option<Admission> {
        if self.is_closed() {
            return Some(Admission::Normal);
        }
        let mut breaker = self.lock();
        let admission = breaker.admit(self.since_epoch(now));
        self.publish(breaker.state());
        admission
    }

    /// Records the outcome of a request, and returns whether it opened because of it.
    pub(super) fn record(&self, admission: Admission, outcome: Outcome, now: Instant) -> bool {
        let mut breaker = self.lock();
        let before = breaker.state();
        breaker.record(admission, outcome, self.since_epoch(now));
        self.publish(breaker.state());
        before == State::Closed && breaker.state() != State::Closed
    }

    /// Records the result of a health check that began at `begun`.
    pub(super) fn record_check(&self, is_good: bool, begun: Instant, now: Instant) {
        if !self.is_closed() {
            let mut breaker = self.lock();
            breaker.record_check(is_good, self.since_epoch(begun), self.since_epoch(now));
            self.publish(breaker.state());
        }
    }

    /// Returns its state.
    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.published.load(Ordering::Relaxed) {
            PackedState::CLOSED => BreakerState::Closed,
            PackedState::HALF_OPEN => BreakerState::HalfOpen,
            PackedState::RECOVERED => BreakerState::Recovered,
            _ if self.open_for(now).is_zero() => BreakerState::HalfOpen,
            _ => BreakerState::Open,
        }
    }

    fn is_closed(&self) -> bool {
        self.published.load(Ordering::Relaxed) == PackedState::CLOSED
    }

    fn lock(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn since_epoch(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }

    fn publish(&self, state: State) {
        let published = match state {
            State::Closed => PackedState::CLOSED,
            State::HalfOpen { .. } => PackedState::HALF_OPEN,
            State::Recovered => PackedState::RECOVERED,
            State::Open { until } => {
                let millis = until.as_millis() + 1;
                // Rounded up, so that it is never 0, which means closed.
                u64::try_from(millis).unwrap_or(PackedState::RECOVERED - 1)
            }
        };
        self.published.store(published, Ordering::Relaxed);
    }
}
