//! What the store shows to operators.

use chassis::metrics::seconds_histogram;
use prometheus_client::{
    metrics::{
        counter::Counter,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::Registry,
};

use super::WRITES_MAX;

/// Powers of two up to a full batch.
const BATCH_BUCKETS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The metrics of the store.
#[derive(Clone)]
pub(super) struct StoreMetrics {
    pub(super) batch_changes: Histogram,
    pub(super) write_seconds: Histogram,
    pub(super) fsync_seconds: Histogram,
    pub(super) waiting_changes: Gauge,
    pub(super) failed_writes: Counter,
}

impl StoreMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            batch_changes: Histogram::new(BATCH_BUCKETS),
            write_seconds: seconds_histogram(),
            fsync_seconds: seconds_histogram(),
            waiting_changes: Gauge::default(),
            failed_writes: Counter::default(),
        };
        let Self { batch_changes, write_seconds, fsync_seconds, waiting_changes, failed_writes } = metrics.clone();
        registry.register("users_store_batch_changes", "Changes that one write made durable", batch_changes);
        registry.register("users_store_write_seconds", "Seconds to make one batch durable", write_seconds);
        registry.register("users_store_fsync_seconds", "Seconds of one fsync of a file or folder", fsync_seconds);
        registry.register("users_store_waiting_changes", "Changes not durable yet", waiting_changes);
        let waiting_max = ConstGauge::new(i64::try_from(WRITES_MAX).unwrap_or(i64::MAX));
        registry.register("users_store_waiting_changes_max", "Changes that there is room for", waiting_max);
        registry.register("users_store_failed_writes", "Writes that failed", failed_writes);
        metrics
    }
}
