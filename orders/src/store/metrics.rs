//! What the store tells about itself: how writes are gathered, what a commit costs, how long reads wait.

use chassis::metrics::seconds_histogram;
use prometheus_client::{
    metrics::{gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Powers of two up to the largest batch.
const BATCH_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// The metrics of the store.
#[derive(Clone, Debug)]
pub(super) struct StoreMetrics {
    pub(super) batch_size: Histogram,
    pub(super) commit_seconds: Histogram,
    pub(super) writes_waiting: Gauge,
    pub(super) read_wait_seconds: Histogram,
}

impl StoreMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            batch_size: Histogram::new(BATCH_BUCKETS),
            commit_seconds: seconds_histogram(),
            writes_waiting: Gauge::default(),
            read_wait_seconds: seconds_histogram(),
        };
        registry.register("orders_batch_size", "Orders committed together", metrics.batch_size.clone());
        registry.register(
            "orders_commit_duration_seconds",
            "Seconds of a batch, from BEGIN to durable",
            metrics.commit_seconds.clone(),
        );
        registry.register(
            "orders_writes_waiting",
            "Orders that wait for the next batch",
            metrics.writes_waiting.clone(),
        );
        registry.register(
            "orders_read_wait_seconds",
            "Seconds that a read waited for a connection",
            metrics.read_wait_seconds.clone(),
        );
        metrics
    }
}
