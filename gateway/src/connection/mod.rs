//! Connections of clients, from the first byte to the last. Knows no routes and no upstreams. Requests of HTTP/2 are read
//! in [`http2`]; those of HTTP/1.1 by actix-http, which this module calls "the server", and of which the rest is about.
//!
//! # Why connections wait outside of actix-http
//! A connection that the server holds costs about 20 KiB: two buffers of 8 KiB, and a future as large as the largest
//! state that a request can be in. Most connections of most gateways are idle. So a connection belongs to the server
//! only while there is something to do: it starts when the first bytes arrive, and an idle one is detached and waits in
//! [`connections`], where it costs about 1 KiB, until it can be read again. Two more things are done here because the
//! server cannot do them: a head that arrives byte by byte is ended after a fixed time, and what the server would
//! refuse with a bare status is answered with a problem.
//!
//! # The tricky part
//! The server has no call to give a connection back. What it gets is a [`ClientStream`], a handle to the stream, and
//! that handle reports the end of the stream when the server is to release it: the server drops its handle, and the
//! stream goes on. This is correct only when the server holds no byte of the next request in its buffers. Whether that
//! is so is decided in [`phase`], which sees every byte and every request but knows neither sockets nor time.

mod client_stream;
mod connections;
mod http2;
mod peer;
mod phase;
pub(crate) mod settings;
mod stall;
pub(crate) mod write;

pub(crate) use self::{
    client_stream::{ActiveRequest, ClientStream},
    connections::Connections,
    http2::{serve::Http2, stream::AnswerDeadline},
    peer::Peer,
    stall::WritePace,
};
