//! The services behind the gateway: their targets, the capacity they have, the connections to them. Knows no routes and
//! no callers.
//!
//! [`handle`] is the live state that all workers share. The decisions it takes are in [`decide`], which is pure; the bytes
//! are moved in [`wire`].

pub(crate) mod settings;

mod failures;
pub(crate) mod handle;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod target;

pub(crate) mod decide;
pub(crate) mod wire;
