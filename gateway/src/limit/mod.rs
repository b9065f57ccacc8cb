//! Rate limits: [`rate`] counts requests in this process, [`fields`] tells clients what is left. Knows no routes and no
//! requests; who is counted together, the caller says.
//!
//! A limiter that several gateways share will stand beside [`rate`] with the same `admit`, which then has to wait.

pub(crate) mod fields;
pub(crate) mod rate;
