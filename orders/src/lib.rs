//! Orders: a signed-in user makes them and sees their own. A library, so that `stack` and tests can start it.

// Start and stop.
mod config;
mod server;

// From the edge inwards: what clients see, what an order is, how it is kept.
mod domain;
mod http;
mod store;

pub use config::{Args, Settings};
pub use server::Server;
pub use store::DatabaseLocation;
