//! The accounts service: who may sign in, and as what.
//!
//! In the order to read: what an account is (`domain`), what is recorded for an audit (`audit`), how passwords are hashed and
//! users are stored, what clients see (`http`), what people who run it can do (`tools`, by way of `control`), and how it all
//! starts.

mod domain;

mod audit;

mod passwords;
mod store;

mod control;
mod http;

mod config;
mod first_users;
mod server;
mod tools;

pub use audit::{AuditSettings, Opener};
pub use config::{Args, Settings};
pub use control::AccountSettings;
pub use domain::SessionLimits;
pub use server::Server;
pub use tools::Command;
