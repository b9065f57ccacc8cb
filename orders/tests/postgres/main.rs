//! The orders service on PostgreSQL: the tests that it passes on SQLite, and what only a server can do to it.
//!
//! `cargo test -p orders --test postgres`. They start real servers, and need the programs of PostgreSQL (Debian: `postgresql`),
//! `nats-server`, `pgrep` and `setpriv`.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "../it/access.rs"]
mod access;
#[path = "../it/change.rs"]
mod change;
#[path = "../it/checker.rs"]
mod checker;
#[path = "../it/clients.rs"]
mod clients;
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
#[path = "../it/linearizability.rs"]
mod linearizability;
#[path = "../it/list.rs"]
mod list;
#[path = "../nats/server.rs"]
mod nats;
#[path = "../it/operations.rs"]
mod operations;
#[path = "../it/process.rs"]
mod process;
#[path = "../it/read.rs"]
mod read;
#[path = "../nats/relay.rs"]
mod relay;

mod failures;
mod place;
mod proxy;
mod replicas;
mod server;
mod start;
mod tls;
mod transfer;
