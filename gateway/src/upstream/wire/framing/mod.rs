//! Finds where an answer begins and ends on a connection to an upstream (RFC 9112, section 6), and what is wrong with
//! it. Pure: bytes in, bytes out; knows no sockets.
//!
//! ```text
//! Idle ── request sent ──► Head ──► Sized, Chunked ──► Idle   the connection is kept, or poisoned
//!                           │ ├───► ToClose                   neither length nor chunks: ends with the connection
//!                           │ └───► Tunnel                    101: not HTTP any more
//!                           └─ 1xx: removed
//! ```
//!
//! A connection is poisoned when no request may follow the one in progress: the answer was invalid, or the upstream
//! sent bytes that belong to no answer. Such bytes could otherwise be taken for the answer to the next request
//! (response smuggling).

mod chunks;
mod head;
mod machine;

pub(crate) use self::{
    head::{HIDDEN_CODING, HIDDEN_FORGERY, HIDDEN_LENGTH, HIDDEN_UPGRADE},
    machine::{Framing, FramingError, Step},
};
