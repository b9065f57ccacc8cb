//! The decisions about upstreams, pure: which target, whether to retry, when to eject. Knows no sockets and reads no clock.

pub(crate) mod balance;
pub(crate) mod breaker;
pub(crate) mod budget;
pub(crate) mod failure_kind;
pub(crate) mod outcome;
pub(crate) mod pool;
pub(crate) mod retry;
