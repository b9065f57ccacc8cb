//! Detects a client that takes its answer too slowly. Knows neither sockets nor streams.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// How slowly a client may take an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WritePace {
    /// The time over which is measured. A client that takes nothing for so long is given up.
    pub(crate) timeout: Duration,
    /// The minimum rate in bytes per second; 0 is no more than one byte in `timeout`.
    pub(crate) rate_min: u64,
}

impl WritePace {
    /// Returns the number of bytes that must be taken within `timeout`.
    fn bytes_min(&self) -> u64 {
        let bytes = u128::from(self.rate_min) * self.timeout.as_millis() / 1000;
        u64::try_from(bytes).unwrap_or(u64::MAX).max(1)
    }
}

/// Measures the time in which the client is waited for, and what it takes. A client that always takes all that there is
/// arms no timer.
#[derive(Debug)]
pub(super) struct StallTimer {
    pace: WritePace,
    /// Runs while bytes wait, from when some were taken last.
    timer: Option<Pin<Box<Sleep>>>,
    /// Since when bytes wait.
    waiting_since: Option<Instant>,
    period: Period,
}

impl StallTimer {
    /// A timer that does not run.
    pub(super) const fn new(pace: WritePace) -> Self {
        Self { pace, timer: None, waiting_since: None, period: Period { waited: Duration::ZERO, taken: 0 } }
    }

    /// Bytes are waiting. Ready once none were taken for too long.
    pub(super) fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timeout = self.pace.timeout;
        self.waiting_since = self.waiting_since.or_else(|| Some(Instant::now()));
        self.timer.get_or_insert_with(|| Box::pin(sleep(timeout))).as_mut().poll(cx)
    }

    /// Bytes were taken. Returns whether they are too few for the time that this took.
    pub(super) fn is_too_slow(&mut self, taken: usize) -> bool {
        self.timer = None;
        let waited = self.waiting_since.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.period.is_too_slow(waited, taken as u64, self.pace)
    }
}

/// The bytes that were taken while the client was waited for, for `timeout` in total. Then it begins anew: what was taken
/// earlier is no credit, or a client that has read quickly for a while could hold its answer for days.
#[derive(Debug)]
struct Period {
    waited: Duration,
    taken: u64,
}

impl Period {
    fn is_too_slow(&mut self, waited: Duration, taken: u64, pace: WritePace) -> bool {
        self.waited += waited;
        self.taken = self.taken.saturating_add(taken);
        if self.waited < pace.timeout {
            return false;
        }
        self.waited = Duration::ZERO;
        std::mem::take(&mut self.taken) < pace.bytes_min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: WritePace = WritePace { timeout: Duration::from_secs(60), rate_min: 240 };

    /// Whether a client is given up that takes this many bytes each second, for which it is waited for.
    fn is_given_up(period: &mut Period, seconds: u64, bytes: u64, pace: WritePace) -> bool {
        (0..seconds).any(|_| period.is_too_slow(Duration::from_secs(1), bytes, pace))
    }

    fn new() -> Period {
        Period { waited: Duration::ZERO, taken: 0 }
    }

    #[test]
    fn a_client_must_take_the_minimum_in_each_period() {
        assert!(!is_given_up(&mut new(), 59, 0, PACE));
        assert!(is_given_up(&mut new(), 60, 239, PACE));
        assert!(!is_given_up(&mut new(), 6000, 240, PACE));
        assert!(!is_given_up(&mut new(), 6000, 1, WritePace { rate_min: 0, ..PACE }));
    }

    #[test]
    fn what_was_taken_earlier_is_no_credit() {
        let mut period = new();
        assert!(!is_given_up(&mut period, 90, 1_000_000, PACE));
        assert!(!is_given_up(&mut period, 30, 1, PACE));
        assert!(is_given_up(&mut period, 60, 1, PACE));
    }

    #[test]
    fn only_the_time_counts_in_which_the_client_is_waited_for() {
        let mut period = new();
        assert!((0..1_000_000).all(|_| !period.is_too_slow(Duration::ZERO, 1, PACE)));
    }

    #[test]
    fn a_rate_may_be_above_what_64_bits_hold_and_a_period_below_a_second() {
        let pace = WritePace { timeout: Duration::from_secs(u64::from(u32::MAX)), rate_min: u64::MAX };
        assert_eq!(pace.bytes_min(), u64::MAX);
        assert_eq!(WritePace { timeout: Duration::from_millis(500), rate_min: 240 }.bytes_min(), 120);
    }
}
