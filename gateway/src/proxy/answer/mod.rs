//! Makes the answer to the client from that of the upstream: [`respond`] decides between streaming it ([`download`]) and
//! giving it to a hook ([`post_process`]); [`websocket`] answers for a connection that switches protocols, and [`own`] where there is no upstream. [`headers`] are those
//! of all three, with the [`addresses`] in them, and [`deadline`] ends an answer in time.

pub(super) mod addresses;
pub(super) mod deadline;
mod download;
mod headers;
pub(super) mod own;
mod post_process;
pub(super) mod respond;
pub(super) mod websocket;
