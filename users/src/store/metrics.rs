//! The metrics of the store: those of group commit, and how long an fsync and a compaction take.

use chassis::{metrics::seconds_histogram, store::CommitMetrics};
use prometheus_client::{
    metrics::{counter::Counter, histogram::Histogram},
    registry::Registry,
};

/// The metrics of the store. A clone counts into the same metrics.
#[derive(Clone)]
pub(super) struct StoreMetrics {
    pub(super) commits: CommitMetrics,
    pub(super) fsync_seconds: Histogram,
    pub(super) compaction_seconds: Histogram,
    pub(super) failed_compactions: Counter,
}

impl StoreMetrics {
    /// Registers the metrics.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            commits: CommitMetrics::register(registry),
            fsync_seconds: seconds_histogram(),
            compaction_seconds: seconds_histogram(),
            failed_compactions: Counter::default(),
        };
        let Self { fsync_seconds, compaction_seconds, failed_compactions, .. } = metrics.clone();
        registry.register("fsync_duration_seconds", "Seconds of one fsync of a file or folder", fsync_seconds);
        let help = "Seconds to write all users to a new file and remove the old log";
        registry.register("compaction_duration_seconds", help, compaction_seconds);
        registry.register("failed_compactions", "Logs that could not be compacted", failed_compactions);
        metrics
    }
}
