//! TLS in both directions, with rustls: certificates, keys and authorities from PEM files. Knows no HTTP.

pub mod client;
pub mod pem;
