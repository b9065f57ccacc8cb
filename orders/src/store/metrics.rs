//! What the store tells about itself: how writes are gathered, what a commit costs, how long reads wait and take.

use chassis::metrics::seconds_histogram;
use prometheus_client::{
    metrics::{
        counter::Counter,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::Registry,
};

use super::WRITES_WAITING_MAX;

/// Powers of two up to the largest batch.
const BATCH_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// The metrics of the store.
#[derive(Clone, Debug)]
pub(super) struct StoreMetrics {
    pub(super) batch_size: Histogram,
    pub(super) commit_seconds: Histogram,
    pub(super) failed_commits: Counter,
    pub(super) writes_waiting: Gauge,
    pub(super) read_wait_seconds: Histogram,
    pub(super) read_seconds: Histogram,
}

impl StoreMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            batch_size: Histogram::new(BATCH_BUCKETS),
            commit_seconds: seconds_histogram(),
            failed_commits: Counter::default(),
            writes_waiting: Gauge::default(),
            read_wait_seconds: seconds_histogram(),
            read_seconds: seconds_histogram(),
        };
        let waiting_max = ConstGauge::new(i64::try_from(WRITES_WAITING_MAX).unwrap_or(i64::MAX));
        registry.register("orders_batch_size", "Orders committed together", metrics.batch_size.clone());
        registry.register(
            "orders_commit_duration_seconds",
            "Seconds of a batch, from BEGIN to durable",
            metrics.commit_seconds.clone(),
        );
        registry.register(
            "orders_failed_commits",
            "Batches that could not be committed",
            metrics.failed_commits.clone(),
        );
        registry.register("orders_writes_waiting", "Orders not durable yet", metrics.writes_waiting.clone());
        registry.register("orders_writes_waiting_max", "Orders that there is room for", waiting_max);
        registry.register(
            "orders_read_wait_seconds",
            "Seconds that a read waited for a connection",
            metrics.read_wait_seconds.clone(),
        );
        registry.register(
            "orders_read_duration_seconds",
            "Seconds that a read took, without waiting",
            metrics.read_seconds.clone(),
        );
        metrics
    }
}
