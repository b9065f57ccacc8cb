//! Makes the answer to the client from that of the upstream.

pub(crate) mod deadline;
pub(crate) mod download;
pub(crate) mod headers;
pub(crate) mod post_process;
pub(crate) mod respond;
