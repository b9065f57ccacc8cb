//! The body of a request on its way to an upstream: limits on its size, idle time and rate, and a bounded copy of its
//! beginning, so that a small one can be sent again. Knows no upstreams and no routes.
//!
//! The tricky part is that awc consumes a body, and a retry needs it again: see [`replay`].

pub(crate) mod idle;
pub(crate) mod replay;
pub(crate) mod trailers;
pub(crate) mod upload;
