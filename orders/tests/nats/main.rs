//! The orders service and NATS: what is published, whatever fails.
//!
//! `cargo test -p orders --test nats`. They start real servers, and need `nats-server` (Debian's package of this name).

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]
#![expect(dead_code, reason = "what all tests of orders share is more than these need")]

#[path = "../it/clients.rs"]
mod clients;
#[path = "../it/fixture.rs"]
mod fixture;
#[path = "../it/place.rs"]
mod place;
#[path = "../it/process.rs"]
mod process;

#[path = "server.rs"]
mod nats;
mod relay;
