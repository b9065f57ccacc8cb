//! Counts latencies, and says how long so many of them took at most. Bounded: 8 KiB, however many are counted. Pure.

use std::time::Duration;

/// Number of buckets for each doubling: each is 4.4 % wide, which is what a quantile may be wrong by.
const PER_DOUBLING: f64 = 16.0;
/// The first bucket ends at 10 µs. 24 doublings later is 168 s, and the last one has whatever takes longer.
const FIRST_SECONDS: f64 = 10e-6;
const BUCKETS: usize = 24 * 16;

/// Latencies, counted by their logarithm.
pub(super) struct Latencies([u64; BUCKETS]);

impl Latencies {
    pub(super) const fn none() -> Self {
        Self([0; BUCKETS])
    }

    pub(super) fn count(&mut self, latency: Duration) {
        let bucket = (0..BUCKETS).find(|&bucket| latency <= end(bucket)).unwrap_or(BUCKETS - 1);
        self.0[bucket] += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }

    /// How long `percent` of them took at most; `None` without any.
    pub(super) fn percentile(&self, percent: u64) -> Option<Duration> {
        let total: u64 = self.0.iter().sum();
        let wanted = (total * percent).div_ceil(100);
        let mut seen = 0;
        let reached = |count: &u64| {
            seen += count;
            seen >= wanted
        };
        (total > 0).then(|| self.0.iter().position(reached).map(end)).flatten()
    }
}

/// The longest latency of a bucket.
fn end(bucket: usize) -> Duration {
    let doublings = u32::try_from(bucket).map_or(f64::INFINITY, f64::from) / PER_DOUBLING;
    Duration::from_secs_f64(FIRST_SECONDS * doublings.exp2())
}
