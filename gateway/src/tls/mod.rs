//! TLS in both directions, with rustls: certificates, keys and authorities from PEM files. Knows no HTTP.

pub(crate) mod accept;
pub(crate) mod server;

pub(crate) mod client;

pub(crate) mod stream;

pub(crate) mod pem;
pub(crate) mod renewed;
