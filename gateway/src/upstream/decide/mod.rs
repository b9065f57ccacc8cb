//! The decisions about upstreams: which targets are eligible, which one is chosen, when a breaker opens, whether a
//! request is sent again. Pure: knows no sockets and reads no clock, so that each decision has a table of tests.

pub(crate) mod balance;
pub(crate) mod breaker;
pub(crate) mod budget;
pub(crate) mod failure_kind;
pub(crate) mod outcome;
pub(crate) mod pool;
pub(crate) mod retry;
