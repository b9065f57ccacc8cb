//! What operators see of requests: metrics, the access log, the last errors and the state of reloads. This module only
//! gathers; what there is to count, each part of the gateway counts for itself (`auth/metrics.rs`, `upstream/metrics.rs`).

pub(crate) mod settings;

pub(crate) mod access_log;
pub(crate) mod recent_errors;
pub(crate) mod reload_status;

mod histogram;
pub(crate) mod history;
pub(crate) mod metrics;
pub(crate) mod route;
