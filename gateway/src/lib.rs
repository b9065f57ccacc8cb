//! The API gateway: signs people in, checks every request and forwards it. One YAML file puts it before any HTTP services.
//!
//! # Embedding it
//!
//! The binary is [`main`]. A program of your own embeds the gateway to add [hooks]: functions in Rust that a route of the
//! YAML refers to by name. It collects them with a [`Builder`], loads the configuration, and runs a [`Server`]:
//!
//! ```no_run
//! use chassis::{config::{StartError, environment}, server::shutdown_signal};
//! use gateway::{Gateway, Server, Settings, bearer};
//!
//! fn main() -> Result<(), StartError> {
//!     let builder = Gateway::builder().authorizer("owner", |request| async move {
//!         let user = request.claims().and_then(|claims| claims.get("sub")?.as_str());
//!         let owns = user.is_some_and(|user| request.path.ends_with(&format!("/{user}")));
//!         if owns { Ok(()) } else { Err(bearer::insufficient("sub")) }
//!     });
//!     actix_rt::System::new().block_on(async {
//!         let config = builder.load("gateway.yaml".as_ref(), &environment)?;
//!         Server::bind(config, Settings::default())?.run_until(shutdown_signal()).await
//!     })
//! }
//! ```
//!
//! # Reading it
//!
//! The modules stand on floors: each imports only modules on lower floors, and `.ci/layers` refuses the rest. From the
//! ground up (`cargo doc --document-private-items` shows all of them):
//!
//! | floor | modules | what they know |
//! |---|---|---|
//! | ground | `files`, `tls`, `body`, `rules` | files, sockets, streams and header fields |
//! | parts | `routing`, `limit`, `auth`, `upstream`, `connection` | one concern each, nothing of each other |
//! | products | `hooks`, `session_feed`, `telemetry`, `route`, `config`, `runtime` | the parts put together: one route, one configuration, one snapshot |
//! | surfaces | `pages`, `admin`, `reload`, `drain`, `settings`, `builder` | what operators and clients see of the gateway itself |
//! | request | `proxy` | the life of a request, in seven steps |
//! | process | `server`, `commands` | listeners, threads, the command line |
//!
//! To follow one request, read `proxy::forward`, then the module of each step that it calls. What changes while the gateway
//! runs is in `runtime`: a request keeps the snapshot that it began with.

mod files;

mod body;
mod rules;
mod tls;

mod auth;
mod connection;
mod limit;
mod routing;
mod upstream;

pub mod hooks;
mod session_feed;
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
pub use reload::source::{Fingerprint, Source};
pub use server::Server;
pub use settings::{Args, Settings};

/// Answers for hooks that check credentials themselves: 401 and 403 with the challenges of RFC 6750, section 3.
///
/// ```
/// use chassis::problem::{Code, Problem};
///
/// assert_eq!(gateway::bearer::invalid("the token is of another tenant").code(), Code::TokenInvalid);
/// assert_eq!(gateway::bearer::insufficient("tenant").code(), Code::InsufficientScope);
/// ```
pub mod bearer {
    pub use crate::auth::bearer::{expired, insufficient, invalid};
}

/// Creates the key files that a gateway and its services start with. Existing files are kept.
///
/// ```
/// # fn main() -> Result<(), String> {
/// # let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
/// # let folder = folder.path();
/// gateway::keys::create_signing_key(&folder.join("tokens"))?;
/// gateway::keys::create_internal_key(&folder.join("users.key"))?;
/// assert!(folder.join("tokens/signing-key.pem").exists());
/// # Ok(())
/// # }
/// ```
pub mod keys {
    pub use crate::auth::keys::files::{create_internal_key, create_private_file, create_signing_key};
}

/// The configuration of this stack: the routes of users and orders.
///
/// ```
/// assert!(gateway::STACK_YAML.contains("POST /api/login"));
/// ```
pub const STACK_YAML: &str = include_str!("../gateway.yaml");
