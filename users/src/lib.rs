//! The accounts service: who may sign in, and as what.
//!
//! In the order to read: what an account is, where it is kept, how passwords are hashed, what clients see, and how it
//! all starts.

mod domain;

mod passwords;
mod store;

mod http;

mod config;
mod first_users;
mod server;

pub use config::{Args, Settings};
pub use server::Server;
