//! How many frames a client may send that carry nothing. Pure: the time is given to it.
//!
//! Each such frame costs its sender 9 bytes, and the gateway at least a look and often an answer: floods of PING
//! (CVE-2019-9512), of resets (CVE-2019-9514, CVE-2023-44487), of SETTINGS (CVE-2019-9515), of empty DATA
//! (CVE-2019-9518). What is normal depends on the work that is done: gRPC sends a PING with each burst of data that it
//! receives, and a browser that leaves a page resets all that it was loading. So work earns further frames.

use std::time::Duration;

use tokio::time::Instant;

/// Frames that a client may send before anything is done for it: twice what it takes to cancel 128 requests.
const BURST: u32 = 256;
/// Frames that are earned by each second: more than keep-alive probes of any client in use.
const PER_SECOND: u32 = 10;

/// The frames that a client may still send.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    /// The allowance of a new connection.
    pub(super) const fn new(now: Instant) -> Self {
        Self { left: BURST, since: now }
    }

    /// Earns frames by work that was done: an answer or a chunk of one that was sent.
    pub(super) fn earn(&mut self, frames: u32) {
        self.left = self.left.saturating_add(frames).min(BURST);
    }

    /// Spends frames; `false` where these are too many.
    pub(super) fn spend(&mut self, frames: u32, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.since).as_secs();
        if seconds > 0 {
            self.since += Duration::from_secs(seconds);
            self.earn(u32::try_from(seconds).unwrap_or(u32::MAX).saturating_mul(PER_SECOND));
        }
        let enough = frames <= self.left;
        self.left = self.left.saturating_sub(frames);
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_a_flood_is_not() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        assert!(allowance.spend(BURST, start));
        assert!(!allowance.spend(1, start));
        assert!(!Allowance::new(start).spend(BURST + 1, start));
    }

    #[test]
    fn time_and_work_earn_more_up_to_a_burst() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        for second in 1..100 {
            assert!(allowance.spend(PER_SECOND, start + Duration::from_secs(second)));
        }
        for _ in 0..10 * BURST {
            allowance.earn(1);
            assert!(allowance.spend(1, start + Duration::from_secs(99)), "each request that is cancelled was answered");
        }
        assert!(!allowance.spend(BURST + 1, start + Duration::from_secs(100_000)), "what is earned is limited");
    }
}
