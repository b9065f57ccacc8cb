//! The breaker of one target: takes it out after failures, and lets one request try before it lets all back in. Pure:
//! it is told the time, as what has passed since any fixed moment, and knows no sockets.

use std::time::Duration;

use super::outcome::Outcome;

/// When a target is taken out, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BreakerSettings {
    /// So many failures without a success between them open it.
    pub(crate) failures: u32,
    /// So does this share of failures, in percent, once a window has `requests_min` requests.
    pub(crate) failed_percent: u8,
    pub(crate) requests_min: u32,
    pub(crate) window: Duration,
    /// It stays open for this long before one request may try.
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

/// What a request that was let in is to the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Normal,
    /// The one request that tries whether the target is back.
    Probe,
}

/// What the breaker lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Everything.
    Closed,
    /// Nothing until then; from then on one probe.
    Open { until: Duration },
    /// Nothing: a probe is on its way.
    Probing,
}

/// The breaker of one target.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    gate: Gate,
    failures_in_a_row: u32,
    window: Option<Window>,
}

/// What happened lately. It is forgotten at its end; a fault on both sides of an end is found a window later.
#[derive(Debug)]
struct Window {
    start: Duration,
    requests: u32,
    failed: u32,
}

impl Breaker {
    /// A closed breaker.
    pub(crate) const fn new(settings: BreakerSettings) -> Self {
        Self { settings, gate: Gate::Closed, failures_in_a_row: 0, window: None }
    }

    /// What it lets in.
    pub(crate) const fn gate(&self) -> Gate {
        self.gate
    }

    /// Lets a request in, or not.
    pub(crate) fn enter(&mut self, now: Duration) -> Option<Admission> {
        match self.gate {
            Gate::Closed => Some(Admission::Normal),
            Gate::Open { until } if until <= now => {
                self.gate = Gate::Probing;
                Some(Admission::Probe)
            }
            Gate::Open { .. } | Gate::Probing => None,
        }
    }

    /// Takes note of how a request ended that was let in.
    pub(crate) fn leave(&mut self, entry: Admission, outcome: Outcome, now: Duration) {
        match (entry, outcome) {
            (Admission::Probe, Outcome::Success) => self.close(),
            (Admission::Probe, Outcome::Failure) => self.open(now),
            // Nothing was learnt: the next request may try at once.
            (Admission::Probe, Outcome::Unknown) => self.gate = Gate::Open { until: now },
            // Requests from before it opened say nothing about the target since.
            (Admission::Normal, _) if self.gate != Gate::Closed => {}
            (Admission::Normal, Outcome::Success) => {
                self.count(0, now);
                self.failures_in_a_row = 0;
            }
            (Admission::Normal, Outcome::Failure) => {
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                if self.count(1, now) || self.failures_in_a_row >= self.settings.failures {
                    self.open(now);
                }
            }
            (Admission::Normal, Outcome::Unknown) => {}
        }
    }

    /// Whether the share of failures is now too large.
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
        self.gate = Gate::Open { until: now + self.settings.open };
        self.failures_in_a_row = 0;
        self.window = None;
    }

    fn close(&mut self) {
        self.gate = Gate::Closed;
        self.failures_in_a_row = 0;
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

    fn pass(breaker: &mut Breaker, outcome: Outcome, now: Duration) -> bool {
        breaker.enter(now).map(|entry| breaker.leave(entry, outcome, now)).is_some()
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_one_success_of_a_probe_closes_it() {
        let (mut breaker, start) = (Breaker::new(settings()), Duration::ZERO);
        for outcome in [Outcome::Failure, Outcome::Failure, Outcome::Success, Outcome::Failure, Outcome::Failure] {
            assert!(pass(&mut breaker, outcome, start));
            assert_eq!(breaker.gate(), Gate::Closed);
        }
        assert!(pass(&mut breaker, Outcome::Failure, start));
        assert!(!pass(&mut breaker, Outcome::Success, start + 4 * SECOND), "open");
        let back = start + 5 * SECOND;
        assert_eq!(breaker.enter(back), Some(Admission::Probe));
        assert_eq!(breaker.enter(back), None, "one at a time");
        breaker.leave(Admission::Normal, Outcome::Success, back);
        assert_eq!(breaker.gate(), Gate::Probing, "a late answer from before is no probe");
        breaker.leave(Admission::Probe, Outcome::Success, back);
        assert_eq!(breaker.gate(), Gate::Closed);
    }

    #[test]
    fn a_failed_probe_opens_it_again_and_a_lost_one_lets_the_next_try() {
        let (mut breaker, start) = (Breaker::new(settings()), Duration::ZERO);
        (0..3).for_each(|_| assert!(pass(&mut breaker, Outcome::Failure, start)));
        let back = start + 5 * SECOND;
        assert!(pass(&mut breaker, Outcome::Unknown, back));
        assert!(pass(&mut breaker, Outcome::Failure, back));
        assert_eq!(breaker.gate(), Gate::Open { until: back + 5 * SECOND });
    }

    #[test]
    fn a_share_of_failures_opens_it_within_one_window_only() {
        let mixed = |step: Duration| {
            let (mut breaker, mut now) = (Breaker::new(settings()), Duration::ZERO);
            for number in 0..40 {
                let outcome = if number % 2 == 0 { Outcome::Failure } else { Outcome::Success };
                pass(&mut breaker, outcome, now);
                now += step;
            }
            breaker.gate()
        };
        assert_ne!(mixed(Duration::from_millis(1)), Gate::Closed);
        assert_eq!(mixed(2 * SECOND), Gate::Closed, "five requests in a window are too few to judge by");
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
                let entered = pass(&mut breaker, outcome, now);
                failed |= entered && outcome == Outcome::Failure;
                prop_assert!(failed || breaker.gate() == Gate::Closed);
                if let Gate::Open { until } = breaker.gate() {
                    prop_assert!(until <= now + settings().open);
                }
            }
            // Whatever happened, after the open time it lets someone try, and a success closes it.
            prop_assert!(pass(&mut breaker, Outcome::Success, now + settings().open));
            prop_assert_eq!(breaker.gate(), Gate::Closed);
        }
    }
}
