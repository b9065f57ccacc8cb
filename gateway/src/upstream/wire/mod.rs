//! The bytes between the gateway and a target: awc, the connection below it, and the framing guard between the two.

pub(crate) mod client;
pub(crate) mod connect;
pub(crate) mod failure;
pub(crate) mod framing;
mod guard;
pub(crate) mod tunnel;
