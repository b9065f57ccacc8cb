//! The metrics of group commit, the same in every service but for the prefix: `users_store_…`, `orders_store_…`.

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, histogram::Histogram},
    registry::Registry,
};

use crate::metrics::seconds_histogram;

/// Powers of two up to the largest batch of any store.
const BATCH_SIZE_BUCKETS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The part of the registry in which the store of `service` registers its metrics: those below, those of its queues,
/// and its own.
pub fn store_registry<'a>(service: &str, registry: &'a mut Registry) -> &'a mut Registry {
    registry.sub_registry_with_prefix(format!("{service}_store"))
}

/// How many writes a batch has, and how long it takes to make them durable. A clone counts into the same metrics.
#[derive(Clone, Debug)]
pub struct CommitMetrics {
    batch_size: Histogram,
    commit_seconds: Histogram,
    failed_commits: Counter,
}

impl CommitMetrics {
    /// Registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            batch_size: Histogram::new(BATCH_SIZE_BUCKETS),
            commit_seconds: seconds_histogram(),
            failed_commits: Counter::default(),
        };
        let Self { batch_size, commit_seconds, failed_commits } = metrics.clone();
        registry.register("batch_size", "Writes made durable together", batch_size);
        registry.register("commit_duration_seconds", "Seconds to make a batch durable", commit_seconds);
        registry.register("failed_commits", "Batches that could not be made durable", failed_commits);
        metrics
    }

    /// Counts a batch that was made durable, or failed, after `elapsed`.
    pub fn batch_finished(&self, writes: usize, elapsed: Duration, is_durable: bool) {
        self.batch_size.observe(u32::try_from(writes).map_or(f64::INFINITY, f64::from));
        self.commit_seconds.observe(elapsed.as_secs_f64());
        if !is_durable {
            self.failed_commits.inc();
        }
    }
}
