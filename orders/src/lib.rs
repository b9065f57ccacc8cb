//! The orders service: signed-in users create orders and see their own.
//!
//! In the order to read: what an order is (`domain`), how orders are stored, what clients see (`http`), how others hear of it
//! (`relay`), and how it all starts.

mod domain;

mod store;

mod representation;

mod http;
mod relay;
mod tls;

mod config;
mod server;
mod tools;

pub use config::{Args, Settings};
pub use relay::EventsServer;
pub use server::Server;
pub use store::{DatabaseLocation, ServerLocation};
pub use tools::Command;
