//! The issuers whose tokens are accepted: the gateway itself, and external issuers known by their JWKS.
//!
//! The tricky part is an external issuer that rotates its keys: see [`external`].

pub(crate) mod external;
mod jwks;
mod metadata;
pub(crate) mod own;
pub(crate) mod verifying_key;
