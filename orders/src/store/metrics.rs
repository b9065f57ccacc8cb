//! The metrics of the store: those of group commit, and how long reads wait and take.

use chassis::{metrics::seconds_histogram, store::CommitMetrics};
use prometheus_client::{metrics::histogram::Histogram, registry::Registry};

/// The metrics of the store. A clone counts into the same metrics.
#[derive(Clone, Debug)]
pub(super) struct StoreMetrics {
    pub(super) commits: CommitMetrics,
    pub(super) read_wait_seconds: Histogram,
    pub(super) read_seconds: Histogram,
}

impl StoreMetrics {
    /// Registers the metrics.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            commits: CommitMetrics::register(registry),
            read_wait_seconds: seconds_histogram(),
            read_seconds: seconds_histogram(),
        };
        let Self { read_wait_seconds, read_seconds, .. } = metrics.clone();
        registry.register("read_wait_seconds", "Seconds that a read waited for a connection", read_wait_seconds);
        registry.register("read_duration_seconds", "Seconds that a read took, without waiting", read_seconds);
        metrics
    }
}
