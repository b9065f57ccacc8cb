//! How much failed sign-ins slow down the next one. Pure: the time is an argument.
//!
//! A few mistakes are free. From then on each failure doubles the time until the next attempt, up to a maximum. Failures
//! are forgotten one by one, so that somebody who mistypes now and then is never slowed down.

use std::time::{Duration, Instant};

/// The delay after the first failure that is not free.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// How strongly the failures with one key are slowed down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slowdown {
    /// How many failures have no consequence.
    pub(super) free: u32,
    /// The longest delay.
    pub(super) delay_max: Duration,
    /// The time after which one failure is forgotten.
    pub(super) forgets_one_in: Duration,
}

impl Slowdown {
    fn delay(&self, failures: u32) -> Duration {
        let doublings = match failures.checked_sub(self.free) {
            None | Some(0) => return Duration::ZERO,
            Some(beyond) => beyond - 1,
        };
        let delay = 1_u32.checked_shl(doublings).and_then(|factor| FIRST_DELAY.checked_mul(factor));
        delay.unwrap_or(Duration::MAX).min(self.delay_max)
    }
}

/// The failures with one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failures {
    count: u32,
    /// From when on the next failure to be forgotten is counted.
    since: Instant,
    /// When the next attempt may be made.
    until: Instant,
}

impl Failures {
    pub(super) const fn none(now: Instant) -> Self {
        Self { count: 0, since: now, until: now }
    }

    /// How long to wait before the next attempt.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.until.saturating_duration_since(now)
    }

    /// With one failure more.
    pub(super) fn another(self, now: Instant, slowdown: &Slowdown) -> Self {
        let remembered = self.remembered(now, slowdown);
        let count = remembered.count.saturating_add(1);
        Self { count, since: remembered.since, until: now + slowdown.delay(count) }
    }

    /// With one failure less: the attempt that was counted turned out to be right.
    pub(super) fn without_one(self, now: Instant, slowdown: &Slowdown) -> Self {
        let count = self.count.saturating_sub(1);
        let until = if count > slowdown.free { self.until } else { now };
        Self { count, until, ..self }
    }

    fn remembered(self, now: Instant, slowdown: &Slowdown) -> Self {
        let elapsed = now.saturating_duration_since(self.since).as_nanos();
        let forgotten = u32::try_from(elapsed / slowdown.forgets_one_in.as_nanos()).unwrap_or(u32::MAX);
        match self.count.checked_sub(forgotten) {
            None | Some(0) => Self { count: 0, since: now, ..self },
            Some(count) => Self { count, since: self.since + slowdown.forgets_one_in * forgotten, ..self },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOWDOWN: Slowdown =
        Slowdown { free: 3, delay_max: Duration::from_secs(10), forgets_one_in: Duration::from_secs(60) };

    fn after(failures: u32, now: Instant) -> Failures {
        (0..failures).fold(Failures::none(now), |failures, _| failures.another(now, &SLOWDOWN))
    }

    #[test]
    fn some_failures_are_free_and_each_further_one_doubles_the_delay_up_to_the_maximum() {
        let now = Instant::now();
        let waits: Vec<u64> = (0..9).map(|failures| after(failures, now).wait(now).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 10]);
        assert_eq!(after(500, now).wait(now), SLOWDOWN.delay_max);
    }

    #[test]
    fn failures_are_forgotten_one_by_one() {
        let now = Instant::now();
        let failures = after(6, now);
        for (seconds, wait) in [(0, 8), (59, 8), (60, 4), (179, 2), (180, 1), (100_000, 0)] {
            let later = now + Duration::from_secs(seconds);
            assert_eq!(failures.another(later, &SLOWDOWN).wait(later).as_secs(), wait, "after {seconds} s");
        }
    }

    #[test]
    fn an_attempt_that_was_right_is_taken_back_and_those_of_others_are_not() {
        let now = Instant::now();
        assert_eq!(after(4, now).without_one(now, &SLOWDOWN).wait(now), Duration::ZERO);
        assert_eq!(after(6, now).without_one(now, &SLOWDOWN).wait(now), Duration::from_secs(4));
    }
}
