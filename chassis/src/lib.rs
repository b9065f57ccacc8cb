//! What every service shares (the "microservice chassis" pattern). Knows no domain: neither users nor orders nor routes.
//!
//! In the order to read: how a service is configured and started, the middleware around its endpoints, what its handlers
//! and its store use, and what it shows to operators.

// Start and stop.
pub mod config;
pub mod logging;
pub mod server;

// Around every request.
pub mod identity;
pub mod middleware;
pub mod problem;
pub mod trace;

// For handlers.
pub mod conditional;
pub mod extract;
pub mod fields;
pub mod openapi;
pub mod page;
pub mod timestamp;

// For stores.
pub mod store;

// For operators.
mod exposition;
pub mod health;
pub mod metrics;
pub mod probe;
pub mod process;

#[cfg(feature = "testing")]
pub mod testing;
