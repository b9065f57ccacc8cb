//! HTTP/2 of clients over real sockets, before real upstreams.
//!
//! No library for HTTP/2 lets its user do what is wrong, so that [`client`] writes frames itself: [`frame`] and [`hpack`]
//! are what it writes them with. [`cases`] has what clients can do wrong, as data; the other files have what must be so
//! over time.

mod cases;
mod chaos;
mod client;
mod drain;
mod ends;
mod frame;
mod gateway;
mod hpack;
mod limits;
mod messages;
mod programs;
mod restarts;
mod windows;
