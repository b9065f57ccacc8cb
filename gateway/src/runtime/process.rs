//! What lives as long as the process, whatever is reloaded: metrics, health, the last errors.

use chassis::health::Health;
use prometheus_client::registry::Registry;

use crate::{
    rules::via::Pseudonym,
    telemetry::{metrics::GatewayMetrics, recent_errors::RecentErrors, reload_status::ReloadStatus},
};

/// Lives as long as the process, whatever is reloaded.
pub(crate) struct Process {
    pub(crate) health: Health,
    /// What this instance is called in `Via`.
    pub(crate) via: Pseudonym,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) errors: RecentErrors,
    pub(crate) reload: ReloadStatus,
}

impl Process {
    /// What there is before there is a configuration.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        Self {
            health: Health::default(),
            via: Pseudonym::new(),
            metrics: GatewayMetrics::register(registry),
            errors: RecentErrors::default(),
            reload: ReloadStatus::register(registry),
        }
    }
}
