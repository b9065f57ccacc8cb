//! The metrics of the store: those of group commit, the log of the database, and how long reads wait and take.

use chassis::{metrics::seconds_histogram, store::CommitMetrics};
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// The metrics of the store. A clone counts into the same metrics.
#[derive(Clone, Debug)]
pub(super) struct StoreMetrics {
    pub(super) commits: CommitMetrics,
    pub(super) log: LogMetrics,
    pub(super) read_wait_seconds: Histogram,
    pub(super) read_seconds: Histogram,
}

impl StoreMetrics {
    /// Registers the metrics.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            commits: CommitMetrics::register(registry),
            log: LogMetrics::register(registry),
            read_wait_seconds: seconds_histogram(),
            read_seconds: seconds_histogram(),
        };
        let Self { read_wait_seconds, read_seconds, .. } = metrics.clone();
        registry.register("read_wait_seconds", "Seconds that a read waited for a connection", read_wait_seconds);
        registry.register("read_duration_seconds", "Seconds that a read took, without waiting", read_seconds);
        metrics
    }
}

/// The write-ahead log of the database.
#[derive(Clone, Debug, Default)]
pub(super) struct LogMetrics {
    pub(super) bytes: Gauge,
    pub(super) truncations: Counter,
}

impl LogMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("log_bytes", "Size of the write-ahead log of the database", metrics.bytes.clone());
        registry.register(
            "log_truncations",
            "Times that the writer paused to truncate the log",
            metrics.truncations.clone(),
        );
        metrics
    }
}
