//! The bytes between the gateway and a target: awc, the connections below it, and the framing guard between the two.
//! Knows no routes and no callers.
//!
//! Everything that awc cannot do, or does wrongly, is dealt with in here and nowhere else: another client could replace
//! it in this module alone. The tricky part is [`guard`].

pub(crate) mod client;
pub(crate) mod connect;
pub(crate) mod failure;
pub(crate) mod framing;
mod guard;
pub(crate) mod tunnel;
mod upload_writer;
