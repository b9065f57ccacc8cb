//! The orders in an SQLite database. Diesel is used nowhere else.
//!
//! In the order to read: [`target`] and [`connection`] (how the database is opened), [`migrations`] and [`schema`] (its
//! tables), [`batch`] (one transaction for many changes) and [`changes`] (each of them, with [`keys`] and [`events`]), and the actors: [`writer`], which gathers and commits, and
//! [`readers`]. [`probe`] is for readiness, [`wal`] keeps the log of the database short. [`maintenance`] for the tools.
//! [`fault`] classifies the errors of SQLite.

pub(super) mod connection;
pub(crate) mod maintenance;
pub(super) mod migrations;
pub(super) mod probe;
pub(super) mod readers;
pub(super) mod target;
pub(super) mod writer;

mod batch;
mod changes;
mod events;
mod fault;
mod keys;
pub(super) mod schema;
mod wal;
