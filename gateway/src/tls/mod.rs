//! TLS in both directions, with rustls: certificates, keys and authorities from PEM files. Knows no HTTP.

pub mod accept;
pub mod server;

pub mod client;

pub mod stream;

pub mod pem;
pub mod renewed;
