//! What lives as long as the process, whatever is reloaded: metrics, health, the last errors.

use chassis::health::Health;
use prometheus_client::registry::Registry;

use super::request_count::RequestCount;
use crate::{
    rules::via::Pseudonym,
    telemetry::{metrics::GatewayMetrics, recent_errors::RecentErrors, reload_status::ReloadStatus},
};

/// The parts that every snapshot shares.
pub(crate) struct Process {
    pub(crate) health: Health,
    /// The name of this instance in `Via`.
    pub(crate) via: Pseudonym,
    pub(crate) metrics: GatewayMetrics,
    /// All requests, also those of earlier snapshots.
    pub(crate) requests: RequestCount,
    pub(crate) errors: RecentErrors,
    pub(crate) reload: ReloadStatus,
}

impl Process {
    /// Makes the parts and registers their metrics.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        Self {
            health: Health::default(),
            via: Pseudonym::new(),
            metrics: GatewayMetrics::register(registry),
            requests: RequestCount::default(),
            errors: RecentErrors::default(),
            reload: ReloadStatus::register(registry),
        }
    }
}
