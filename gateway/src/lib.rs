//! The API gateway: signs people in, checks every request and forwards it. One YAML file puts it before any services.
//!
//! In the order to read: the life of a request is [`proxy`]; it calls [`routing`], [`auth`], [`limit`] and
//! [`upstream`], which know nothing of each other; [`config`] makes them all from the YAML; [`server`] serves,
//! one [`connection`] at a time.

pub mod builder;
pub mod commands;
pub mod server;
pub mod settings;

pub mod connection;
pub mod drain;

pub mod proxy;

pub mod auth;
pub mod builtin;
pub mod docs;
pub mod hooks;
pub mod limit;
pub mod routing;
pub mod tls;
pub mod upstream;

pub mod config;
pub mod reload;
pub mod worker;

pub mod access_log;
pub mod admin;
pub mod metrics;

pub use builder::{Builder, Gateway};
pub use server::Server;
pub use settings::{Args, Settings};

/// The routes of this stack.
pub const STACK_YAML: &str = include_str!("../gateway.yaml");
