//! HTTP/2 of clients (RFC 9113): a dispatcher of our own on the `h2` crate, which keeps the promises that HTTP/1.1 has.
//!
//! `h2` reads and writes frames, and keeps the windows and the states of streams. It cannot know what a gateway must
//! watch: how long a head, an answer or an idle connection may take, what a client may ask for without ever using it,
//! and that a request whose client has gone must end at once. That is done here.
//!
//! One task serves a connection. [`serve`] has its loop; each request is a future of [`stream`], and all of them are
//! owned by the loop, so that nothing outlives its connection. [`head`] converts between the heads of HTTP/2 and those
//! that the rest of the gateway has; [`upload`] is the body of a request. What the client sends is watched without
//! decoding it: [`watched_io`] shows the bytes to [`frames`], which counts the frames that cost more than they are
//! worth; [`allowance`] decides when they are too many, and [`patience`] how long the connection waits. The last three are
//! pure.
//!
//! # The tricky part
//! Nothing may wait only for a client. A stream whose window stays closed, a head that is never finished, a client that
//! reads nothing: each has a timer that runs while nobody polls what it guards.

mod allowance;
mod frames;
mod head;
mod patience;
pub(super) mod serve;
pub(super) mod stream;
mod upload;
mod watched_io;
