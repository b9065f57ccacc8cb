//! The orders in an SQLite database.
//!
//! In the order to read: [`target`] and [`connection`] (how the database is opened), [`migrations`], [`batch`] (one
//! transaction for many changes) and [`changes`] (each of them, with [`keys`] and [`events`]), and [`reads`]. [`wal`] keeps the
//! log of the database short. [`maintenance`] is for the tools. [`fault`] classifies the errors of SQLite.

mod batch;
mod changes;
pub(super) mod connection;
mod events;
mod fault;
mod keys;
pub(crate) mod maintenance;
mod migrations;
mod reads;
pub(super) mod target;
mod wal;

use std::{iter, num::NonZeroUsize, path::Path};

use chassis::{config::StartError, store::StoreFault};

use self::{batch::Connection, reads::ReadConnection, target::Target, wal::WriteAheadLog};
use super::{
    database::{Database, Reads},
    metrics::StoreMetrics,
};

/// Opens the database in a file, or one in memory, and brings its schema up to date, with `readers` connections for reading. All of them are opened now, so
/// that an error shows at the start.
///
/// # Errors
/// Names the database and what is wrong with it, or with the place where it should be.
pub(super) fn open(file: Option<&Path>, readers: NonZeroUsize, metrics: &StoreMetrics) -> Result<Database, StartError> {
    let target = Target::prepare(file)?;
    let connection = migrations::open(&target)?;
    let reading = || -> Result<Box<dyn Reads>, StoreFault> { Ok(Box::new(ReadConnection::open(&target)?)) };
    let opened = iter::repeat_with(reading).take(readers.get()).collect::<Result<_, _>>();
    let failed = |fault: StoreFault| StartError::failed(format!("cannot use the database {target}: {}", fault.chain()));
    let (readers, probe) = (opened.map_err(failed)?, reading().map_err(failed)?);
    let log = WriteAheadLog::new(target.clone(), metrics.log.clone());
    Ok(Database { committer: Box::new(Connection::new(target, connection, log)), readers, probe })
}
