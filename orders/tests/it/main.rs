//! The orders service from outside: real sockets, real files, and where a process has to die, the real program.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod access;
mod change;
mod checker;
mod clients;
mod crashes;
mod create;
mod disk;
mod events;
mod fixture;
mod idempotency;
mod linearizability;
mod list;
mod openapi;
mod operations;
mod place;
mod process;
mod read;
mod start;
mod storage;
mod tools;
