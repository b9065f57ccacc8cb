//! The circuit breaker of one target. Pure: it is told the time, as the duration since any fixed moment, and knows no
//! sockets.
//!
//! ```text
//!          failures in a row, or too large a share of them
//! Closed ──────────────────────────────────────────────────► Open
//!    ▲                   the first good health check since   │ │ ▲
//!    │ success        Recovered ◄────────────────────────────┘ │ │ failure
//!    │                    │ a request     the open time is over │ │
//!    └──────────────── HalfOpen ◄──────────────────────────────┘ │
//!                         └──────────────────────────────────────┘
//! ```
//!
//! Two rules, because either alone misses something: failures in a row find a dead target within five requests; the
//! share of failures finds one that answers every other request.
//!
//! The tricky part is concurrency. In `HalfOpen` exactly one request, the probe, is let through, so that a target that
//! is just starting is not hit by all traffic at once. And requests that were sent before the breaker opened end later:
//! their outcomes are ignored, since they say nothing about the target since. So each request carries its
//! [`Admission`].
//!
//! A success of the probe closes the breaker on trial: the next failure opens it again, and the next success of a usual
//! request makes it forget. For a probe succeeds with the head of its answer, and a target may fail in every body.
//!
//! Health checks hasten the probe, because a process that was restarted answers them long before the open time is over.
//! The target counts as available from then on, so that nobody is alarmed for as long as nobody sends a request. They do
//! so once: where the probe fails although the check succeeds, the checks say nothing about requests, until one of
//! them fails too.

use std::time::Duration;

use super::outcome::Outcome;

/// When a breaker opens, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BreakerSettings {
    /// Number of failures in a row that opens it.
    pub(crate) failures: u32,
    /// Share of failures, in percent, that opens it once the window has `requests_min` requests.
    pub(crate) failed_percent: u8,
    pub(crate) requests_min: u32,
    pub(crate) window: Duration,
    /// How long it stays open before a probe is let through.
    pub(crate) open: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 5,
            failed_percent: 50,
            requests_min: 20,
            window: Duration::from_secs(10),
            open: Duration::from_secs(5),
        }
    }
}

/// How a request was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Normal,
    /// The one request that finds out whether the target works again.
    Probe,
}

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Lets every request through.
    Closed,
    /// Lets no request through until then, and one probe afterwards.
    Open { until: Duration },
    /// Its health check is good again: the next request is the probe.
    Recovered,
    /// Lets no request through: a probe is in flight.
    HalfOpen { recovered: bool },
}

/// The breaker of one target.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: State,
    failures_in_a_row: u32,
    window: Option<Window>,
    /// The next good health check lets a probe through.
    awaits_check: bool,
}

/// The requests of a fixed window of time. Failures around the end of a window are detected one window later at most.
#[derive(Debug)]
struct Window {
    start: Duration,
    requests: u32,
    failed: u32,
}

impl Breaker {
    /// A closed breaker.
    pub(crate) const fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: State::Closed, failures_in_a_row: 0, window: None, awaits_check: false }
    }

    /// Returns its state.
    pub(crate) const fn state(&self) -> State {
        self.state
    }

    /// Lets a request through, or returns `None`.
    pub(crate) fn admit(&mut self, now: Duration) -> Option<Admission> {
        match self.state {
            State::Closed => Some(Admission::Normal),
            State::Open { until } if until <= now => {
                self.state = State::HalfOpen { recovered: false };
                Some(Admission::Probe)
            }
            State::Recovered => {
                self.state = State::HalfOpen { recovered: true };
                Some(Admission::Probe)
            }
            State::Open { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// Records the outcome of a request that was let through.
    pub(crate) fn record(&mut self, admission: Admission, outcome: Outcome, now: Duration) {
        match (admission, outcome) {
            (Admission::Probe, Outcome::Success) => self.close_on_trial(),
            (Admission::Probe, Outcome::Failure) => self.open(now),
            // It says nothing about the target: the next request is the probe.
            (Admission::Probe, Outcome::Unknown) if self.state == (State::HalfOpen { recovered: true }) => {
                self.state = State::Recovered;
            }
            (Admission::Probe, Outcome::Unknown) => self.state = State::Open { until: now },
            // Sent before the breaker opened.
            (Admission::Normal, _) if self.state != State::Closed => {}
            (Admission::Normal, Outcome::Success) => {
                self.count(0, now);
                self.failures_in_a_row = 0;
            }
            (Admission::Normal, Outcome::Failure) => {
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                if self.count(1, now) || self.failures_in_a_row >= self.settings.failures {
                    self.open(now);
                    self.awaits_check = true;
                }
            }
            (Admission::Normal, Outcome::Unknown) => {}
        }
    }

    /// Records the result of a health check that began at `begun`. One that began before the breaker opened says nothing
    /// about the time since.
    pub(crate) fn record_check(&mut self, is_good: bool, begun: Duration, now: Duration) {
        match self.state {
            State::Open { .. } if !is_good => self.awaits_check = true,
            State::Open { until } if self.awaits_check && begun + self.settings.open >= until => {
                self.awaits_check = false;
                self.state = State::Recovered;
            }
            State::Recovered if !is_good => {
                self.awaits_check = true;
                self.state = State::Open { until: now };
            }
            State::Closed | State::Open { .. } | State::Recovered | State::HalfOpen { .. } => {}
        }
    }

    /// Counts a request, and returns whether the share of failures is too large now.
    fn count(&mut self, failed: u32, now: Duration) -> bool {
        let settings = &self.settings;
        let current = self.window.take().filter(|window| now.saturating_sub(window.start) < settings.window);
        let window = self.window.insert(current.unwrap_or(Window { start: now, requests: 0, failed: 0 }));
        window.requests = window.requests.saturating_add(1);
        window.failed = window.failed.saturating_add(failed);
        window.requests >= settings.requests_min
            && u64::from(window.failed) * 100 >= u64::from(window.requests) * u64::from(settings.failed_percent)
    }

    fn open(&mut self, now: Duration) {
        self.state = State::Open { until: now + self.settings.open };
        self.failures_in_a_row = 0;
        self.window = None;
    }

    fn close_on_trial(&mut self) {
        self.state = State::Closed;
        self.failures_in_a_row = self.settings.failures.saturating_sub(1);
        self.window = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn settings() -> BreakerSettings {
        BreakerSettings { failures: 3, failed_percent: 50, requests_min: 10, window: 10 * SECOND, open: 5 * SECOND }
    }

    fn send(breaker: &mut Breaker, outcome: Outcome, now: Duration) -> bool {
        breaker.admit(now).map(|admission| breaker.record(admission, outcome, now)).is_some()
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_one_success_of_a_probe_closes_it() {
        let (mut breaker, start) = (Breaker::new(settings()), Duration::ZERO);
        for outcome in [Outcome::Failure, Outcome::Failure, Outcome::Success, Outcome::Failure, Outcome::Failure] {
            assert!(send(&mut breaker, outcome, start));
            assert_eq!(breaker.state(), State::Closed);
        }
        assert!(send(&mut breaker, Outcome::Failure, start));
        assert!(!send(&mut breaker, Outcome::Success, start + 4 * SECOND), "open");
        let back = start + 5 * SECOND;
        assert_eq!(breaker.admit(back), Some(Admission::Probe));
        assert_eq!(breaker.admit(back), None, "one at a time");
        breaker.record(Admission::Normal, Outcome::Success, back);
        assert_eq!(
            breaker.state(),
            State::HalfOpen { recovered: false },
            "an answer to a request from before is no probe"
        );
        breaker.record(Admission::Probe, Outcome::Success, back);
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn a_failed_probe_opens_it_again_and_after_a_lost_one_there_is_another() {
        let (mut breaker, start) = (Breaker::new(settings()), Duration::ZERO);
        (0..3).for_each(|_| assert!(send(&mut breaker, Outcome::Failure, start)));
        let back = start + 5 * SECOND;
        assert!(send(&mut breaker, Outcome::Unknown, back));
        assert!(send(&mut breaker, Outcome::Failure, back));
        assert_eq!(breaker.state(), State::Open { until: back + 5 * SECOND });
    }

    #[test]
    fn after_a_probe_one_failure_opens_it_and_one_success_forgives() {
        let (mut breaker, start) = (Breaker::new(settings()), Duration::ZERO);
        let back = |now: Duration| now + 5 * SECOND;
        (0..3).for_each(|_| assert!(send(&mut breaker, Outcome::Failure, start)));
        assert!(send(&mut breaker, Outcome::Success, back(start)));
        assert!(send(&mut breaker, Outcome::Failure, back(start)));
        assert_eq!(breaker.state(), State::Open { until: back(back(start)) });
        assert!(send(&mut breaker, Outcome::Success, back(back(start))));
        for outcome in [Outcome::Success, Outcome::Failure, Outcome::Failure] {
            assert!(send(&mut breaker, outcome, back(back(start))));
        }
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn a_good_health_check_hastens_the_probe_once() {
        let (mut breaker, start) = (Breaker::new(settings()), 10 * SECOND);
        (0..3).for_each(|_| assert!(send(&mut breaker, Outcome::Failure, start)));
        let now = start + SECOND;
        breaker.record_check(true, start - SECOND, now);
        assert!(!send(&mut breaker, Outcome::Success, now), "the check began before the breaker opened");
        breaker.record_check(true, start, now);
        assert!(send(&mut breaker, Outcome::Failure, now), "the probe");
        breaker.record_check(true, now, now + SECOND);
        assert!(!send(&mut breaker, Outcome::Success, now + SECOND), "checks and requests differ");
        breaker.record_check(false, now, now + SECOND);
        assert!(!send(&mut breaker, Outcome::Success, now + SECOND));
        breaker.record_check(true, now + SECOND, now + 2 * SECOND);
        assert!(send(&mut breaker, Outcome::Success, now + 2 * SECOND), "it was down, and is back");
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn a_good_health_check_is_enough_until_a_request_comes() {
        let mut breaker = Breaker::new(settings());
        (0..3).for_each(|_| assert!(send(&mut breaker, Outcome::Failure, SECOND)));
        breaker.record_check(true, 2 * SECOND, 2 * SECOND);
        assert_eq!(breaker.state(), State::Recovered);
        breaker.record_check(false, 3 * SECOND, 3 * SECOND);
        assert_eq!(breaker.state(), State::Open { until: 3 * SECOND });
        breaker.record_check(true, 4 * SECOND, 4 * SECOND);
        assert!(send(&mut breaker, Outcome::Unknown, 5 * SECOND), "a client that left says nothing about the target");
        assert_eq!(breaker.state(), State::Recovered);
        assert!(send(&mut breaker, Outcome::Failure, 6 * SECOND));
        assert_eq!(breaker.state(), State::Open { until: 11 * SECOND });
    }

    #[test]
    fn a_share_of_failures_opens_it_within_one_window_only() {
        let mixed = |step: Duration| {
            let (mut breaker, mut now) = (Breaker::new(settings()), Duration::ZERO);
            for number in 0..40 {
                let outcome = if number % 2 == 0 { Outcome::Failure } else { Outcome::Success };
                send(&mut breaker, outcome, now);
                now += step;
            }
            breaker.state()
        };
        assert_ne!(mixed(Duration::from_millis(1)), State::Closed);
        assert_eq!(mixed(2 * SECOND), State::Closed, "five requests in a window are too few to judge by");
    }

    proptest! {
        #[test]
        fn it_never_opens_without_a_failure_and_never_stays_shut(steps in proptest::collection::vec((0u8..3, 0u64..4000), 1..200)) {
            let mut breaker = Breaker::new(settings());
            let mut now = Duration::ZERO;
            let mut failed = false;
            for (outcome, millis) in steps {
                now += Duration::from_millis(millis);
                let outcome = [Outcome::Success, Outcome::Failure, Outcome::Unknown][usize::from(outcome)];
                let entered = send(&mut breaker, outcome, now);
                failed |= entered && outcome == Outcome::Failure;
                prop_assert!(failed || breaker.state() == State::Closed);
                if let State::Open { until } = breaker.state() {
                    prop_assert!(until <= now + settings().open);
                }
            }
            // Whatever happened, after the open time it lets a probe through, and its success closes it.
            prop_assert!(send(&mut breaker, Outcome::Success, now + settings().open));
            prop_assert_eq!(breaker.state(), State::Closed);
        }
    }
}
