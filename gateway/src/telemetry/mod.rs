//! What operators see of requests: metrics, the access log, the last errors and the state of reloads. Only gathers: each
//! part of the gateway counts for itself.

pub(crate) mod settings;

pub(crate) mod access_log;
pub(crate) mod recent_errors;
pub(crate) mod reload_status;

pub(crate) mod histogram;
pub(crate) mod metrics;
pub(crate) mod route;
