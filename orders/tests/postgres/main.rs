//! The orders service on PostgreSQL: the tests that it passes on SQLite, and what only a server can do to it.
//!
//! `cargo test -p orders --test postgres`. They start real servers, and need the programs of PostgreSQL (Debian: `postgresql`) and
//! `pgrep` and `setpriv`.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "../it/access.rs"]
mod access;
#[path = "../it/change.rs"]
mod change;
#[path = "../it/crashes.rs"]
mod crashes;
#[path = "../it/create.rs"]
mod create;
#[path = "../it/events.rs"]
mod events;
#[path = "../it/fixture.rs"]
mod fixture;
#[path = "../it/idempotency.rs"]
mod idempotency;
#[path = "../it/list.rs"]
mod list;
#[path = "../it/operations.rs"]
mod operations;
#[path = "../it/process.rs"]
mod process;
#[path = "../it/read.rs"]
mod read;

mod failures;
mod place;
mod proxy;
mod replicas;
mod server;
mod start;
mod tls;
mod transfer;
