//! What the tests of every service share (feature `testing`; never part of a build).
//!
//! Tests call services as clients do: over sockets, and with any bytes. In the order to read:
//!
//! - [`wait`]: wait until a condition holds, and fail with its description when it never does.
//! - [`message`]: reads heads, bodies and chunks of HTTP/1.1, and the requests that a stand-in for a service receives.
//! - [`Answer`], [`Connection`], [`Call`]: an answer, a connection that can send any bytes, and a well-formed request.
//! - [`Running`] and [`Process`]: a service in a thread of this process, and a program in a process of its own, whose log
//!   is read and which can be killed.
//! - [`Signer`] and [`User`]: play the gateway for the services behind it.
//! - [`FaultyDisk`]: a disk that is full, fails or stalls on demand.
//! - [`Recording`] and [`VolatileDisk`]: what a program did with its files, and what a power loss would have left of it.
//! - [`Dice`]: random decisions that can be made again.
//! - [`Clock`]: the time of day, which can be set.
//!
//! Nothing here knows a service; what only one crate's tests need stays in its `tests/it`.

#![expect(clippy::expect_used, reason = "a test stops at the first thing that is not as it should be")]

mod answer;
mod call;
mod clock;
mod connection;
mod dice;
mod faulty_disk;
pub mod message;
mod preload;
mod process;
mod recording;
mod running;
mod signer;
mod volatile_disk;
pub mod wait;

pub use self::{
    answer::Answer,
    call::{Call, call, get, post},
    clock::Clock,
    connection::{Connection, exchange, exchange_raw},
    dice::Dice,
    faulty_disk::{FailingCalls, FaultyDisk},
    message::Received,
    process::Process,
    recording::{Event, Recording},
    running::{Running, Serving},
    signer::{Signer, User},
    volatile_disk::VolatileDisk,
    wait::{PATIENCE, until, until_some},
};
