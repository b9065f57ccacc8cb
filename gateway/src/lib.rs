//! The API gateway: signs people in, checks every request and forwards it. One YAML file puts it before any services.

mod body;
mod rules;
mod tls;

mod auth;
mod connection;
mod limit;
mod routing;
mod upstream;

pub mod hooks;
mod telemetry;

pub mod config;
mod route;
mod runtime;

mod admin;
mod drain;
mod pages;
mod reload;

mod builder;
mod proxy;
mod server;
mod settings;

mod commands;

pub use builder::{Builder, Gateway};
pub use commands::main;
pub use reload::source::Source;
pub use server::Server;
pub use settings::{Args, Settings};

/// Problems for hooks that stand in for the bearer token (RFC 6750).
pub mod bearer {
    pub use crate::auth::bearer::{expired, insufficient, invalid};
}

/// Makes the key files that a gateway and its services start with.
pub mod keys {
    pub use crate::auth::keys::files::{create_internal_key, create_private_file, create_signing_key};
}

/// The routes of this stack.
pub const STACK_YAML: &str = include_str!("../gateway.yaml");
