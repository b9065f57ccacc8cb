//! Request bodies on their way to an upstream: limits on size, idleness and rate, and a bounded copy of the beginning so
//! that a body can be sent again. Knows no upstreams and no routes.

pub(crate) mod idle;
pub(crate) mod replay;
pub(crate) mod upload;
