//! The accounts service from outside: real sockets, real files, and the real process where it is killed or its disk fails.

#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

mod fixture;
mod process;

mod crash;
mod direct;
mod faults;
mod hashing;
mod listing;
mod login;
mod openapi;
mod rules;
mod start;
mod users;
mod wire;
