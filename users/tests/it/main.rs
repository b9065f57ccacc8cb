//! The accounts service from outside: real sockets, real files, and the real process where it is killed or its disk fails.

#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

mod fixture;
mod process;

mod access;
mod audit;
mod audit_events;
mod control;
mod crashes;
mod disk;
mod failpoints;
mod guesses;
mod hashing;
mod http;
mod import;
mod listing;
mod login;
mod me;
mod openapi;
mod passwords;
mod power_loss;
mod rehearsal;
mod repair;
mod rules;
mod session_ends;
mod sessions;
mod start;
mod terminal;
mod tools;
mod users;
