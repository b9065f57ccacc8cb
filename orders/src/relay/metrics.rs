//! The metrics of the relay: what waits to be published, and whether anything is.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// The metrics of the relay. A clone counts into the same metrics.
#[derive(Clone, Debug, Default)]
pub(super) struct RelayMetrics {
    pub(super) waiting: Gauge,
    pub(super) oldest_waiting_seconds: Gauge<f64, AtomicU64>,
    pub(super) publishing: Gauge,
    pub(super) published: Counter,
}

impl RelayMetrics {
    /// Registers the metrics.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("orders_events");
        let Self { waiting, oldest_waiting_seconds, publishing, published } = metrics.clone();
        registry.register("waiting", "Events that are not published yet", waiting);
        let age = "Seconds since the oldest event that is not published yet";
        registry.register("oldest_waiting_seconds", age, oldest_waiting_seconds);
        registry.register("publishing", "Whether events can be published: 1 or 0", publishing);
        registry.register("published", "Events that this process has published", published);
        metrics
    }
}
