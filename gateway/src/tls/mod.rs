//! TLS in both directions, with rustls: certificates, keys and authorities from PEM files. Knows no HTTP.
//!
//! The tricky part is renewal without a restart: see [`file_backed`].

pub(crate) mod accept;
pub(crate) mod server;

pub(crate) mod client;

pub(crate) mod handshake_failures;
pub(crate) mod stream;

mod file_backed;
mod pem;
