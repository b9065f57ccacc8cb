//! How long requests take: a histogram that counts without a lock. Knows no routes.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};

/// Upper bounds in microseconds: from 100 µs (a page of the gateway, from memory) to a minute (the longest wait for a head).
const BOUNDS_MICROS: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];
/// One more for everything above: 19 counters of 8 bytes.
const BUCKETS: usize = BOUNDS_MICROS.len() + 1;

/// Counts durations by bucket.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_micros: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub(crate) fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Returns upper bound in seconds and count of each bucket, not cumulated; the last has no bound.
    pub(crate) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS_MICROS.iter().map(|micros| Duration::from_micros(*micros).as_secs_f64());
        // The encoder writes it as `+Inf`; without a bucket of that name, Prometheus calculates no quantile.
        let bounds = bounds.chain([f64::INFINITY]);
        bounds.zip(self.buckets.iter().map(|count| count.load(Ordering::Relaxed))).collect()
    }

    /// Returns the number of durations.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Writes this histogram and another one, as if they were one, in the format of Prometheus.
    ///
    /// # Errors
    /// The writer fails.
    pub(crate) fn encode_with(&self, other: &Self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let pairs = self.buckets().into_iter().zip(other.buckets());
        let buckets: Vec<(f64, u64)> = pairs.map(|((bound, one), (_, more))| (bound, one + more)).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let micros = |histogram: &Self| histogram.sum_micros.load(Ordering::Relaxed);
        let seconds = Duration::from_micros(micros(self) + micros(other)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        let histogram = Histogram::default();
        for micros in [0, 100, 101, 60_000_000, 60_000_001, u64::MAX / 2] {
            histogram.observe(Duration::from_micros(micros));
        }
        let counts: Vec<u64> = histogram.buckets().iter().map(|(_, count)| *count).collect();
        assert_eq!((counts[0], counts[1], counts[17], counts[18]), (2, 1, 1, 2));
        assert_eq!(counts.iter().sum::<u64>(), 6);
    }
}
