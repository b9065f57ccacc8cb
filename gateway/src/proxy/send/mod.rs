//! Sends a request to its upstream.

pub(crate) mod assertion;
pub(crate) mod attempts;
pub(crate) mod compose;
pub(crate) mod headers;
pub(crate) mod relay;
pub(crate) mod upgrade;
