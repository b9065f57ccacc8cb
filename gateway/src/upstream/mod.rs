//! The services behind the gateway: their targets, their capacity, the connections to them. Knows no routes and no
//! callers.
//!
//! [`handle`] is the live state that all workers share: it asks [`decide`], which is pure, and does what was decided.
//! Bytes are moved in [`wire`]. An attempt passes these in order: capacity (`admit`), a target (`begin_attempt`: health
//! and breaker say which are eligible, the balancing which of them), the exchange, and its outcome, which goes back to
//! the breaker.
//!
//! The tricky parts: choosing a target takes no lock although breakers change all the time (see [`target_breaker`]), a
//! reload must not forget what is known about a target (see [`target`]), and awc cannot be trusted to find the end of an
//! answer (see [`wire`]).

pub(crate) mod settings;

mod failures;
pub(crate) mod handle;
pub(crate) mod health;
pub(crate) mod metrics;
mod target;
mod target_breaker;

pub(crate) mod decide;
pub(crate) mod wire;
