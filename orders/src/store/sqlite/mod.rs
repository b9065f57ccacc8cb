//! The orders in an SQLite database. Diesel is used nowhere else.
//!
//! In the order to read: [`target`] and [`connection`] (how the database is opened), [`migrations`] and [`schema`] (its
//! tables), [`batch`] (one transaction for many changes) and [`changes`] (each of them, with [`keys`] and [`events`]), and
//! the actors that read: [`readers`]. [`probe`] is for readiness, [`wal`] keeps the log of the database short.
//! [`maintenance`] is for the tools. [`fault`] classifies the errors of SQLite. [`backend`] opens all of it.

pub(super) mod backend;
pub(super) mod batch;
pub(super) mod connection;
pub(crate) mod maintenance;
pub(super) mod probe;
pub(super) mod readers;
pub(super) mod target;

mod changes;
mod events;
mod fault;
mod keys;
mod migrations;
pub(super) mod schema;
mod wal;
