//! The issuers whose tokens are accepted: the gateway itself, and others known by their JWKS.

pub(crate) mod foreign;
pub(crate) mod jwks;
pub(crate) mod own;
