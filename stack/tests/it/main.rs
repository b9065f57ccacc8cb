//! The whole system from outside: the `stack` binary as a process, called through the gateway over real sockets.

#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

mod crashes;
mod documentation;
mod ended_sessions;
mod fixture;
mod load;
mod login;
mod me;
mod orders;
mod pages;
mod sessions;
mod start;
mod tokens;
mod users;
