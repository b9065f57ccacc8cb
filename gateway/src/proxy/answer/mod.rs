//! Makes the answer to the client from that of the upstream: [`respond`] decides between streaming it ([`download`]) and
//! giving it to a hook ([`post_process`]); [`headers`] are those of both; [`deadline`] ends it in time.

pub(super) mod deadline;
mod download;
pub(super) mod headers;
mod post_process;
pub(super) mod respond;
