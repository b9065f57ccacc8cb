//! Rate limits. Knows no routes, no callers and no answers; who is counted together, the caller says.
//!
//! [`rate`] is what is configured, [`local`] counts in this process, and [`fields`] tells clients what is left. A limiter
//! that several gateways share stands beside [`local`], with an `admit` that waits for the shared store.

pub(crate) mod fields;
pub(crate) mod local;
pub(crate) mod rate;
