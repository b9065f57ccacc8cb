//! The metrics of the store: those of group commit, and the time that an fsync takes.

use chassis::{metrics::seconds_histogram, store::CommitMetrics};
use prometheus_client::{metrics::histogram::Histogram, registry::Registry};

/// The metrics of the store. A clone counts into the same metrics.
#[derive(Clone)]
pub(super) struct StoreMetrics {
    pub(super) commits: CommitMetrics,
    pub(super) fsync_seconds: Histogram,
}

impl StoreMetrics {
    /// Registers the metrics.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self { commits: CommitMetrics::register(registry), fsync_seconds: seconds_histogram() };
        let help = "Seconds of one fsync of a file or folder";
        registry.register("fsync_duration_seconds", help, metrics.fsync_seconds.clone());
        metrics
    }
}
