//! Commits a batch of changes in one transaction. Knows no actor and sends no answers.
//!
//! Each change has a savepoint of its own, so that one that is refused fails alone. After an error the connection is opened again, because SQLite may have rolled back by itself and Diesel would not know.

use std::time::SystemTime;

use chassis::{store::StoreFault, timestamp::Timestamp};
use diesel::{prelude::*, result::Error as DieselError};

use super::{
    changes,
    connection::{self, Checkpoint, Role},
    events, fault, keys,
    target::Target,
    wal::WriteAheadLog,
};
use crate::{
    domain::Change,
    store::database::{Committer, Outcome},
};

/// The connection for writing.
pub(super) struct Connection {
    target: Target,
    /// `None` after an error, until the next batch.
    connection: Option<SqliteConnection>,
    log: WriteAheadLog,
}

impl Connection {
    pub(super) const fn new(target: Target, connection: SqliteConnection, log: WriteAheadLog) -> Self {
        Self { target, connection: Some(connection), log }
    }

    fn transaction(&mut self, changes: &[&Change]) -> Result<Vec<Outcome>, StoreFault> {
        let connection = self.connection()?;
        let mut has_begun = false;
        let mut failure = None;
        let committed = connection.immediate_transaction(|connection| {
            has_begun = true;
            let outcomes = apply_all(connection, changes);
            // Kept aside: if the rollback fails too, Diesel reports that error instead.
            outcomes.map_err(|error| {
                failure = Some(fault::of_statement("change the orders", error));
                DieselError::RollbackTransaction
            })
        });
        committed.map_err(|error| match failure {
            Some(failure) => failure,
            None if has_begun => fault::of_commit(error),
            None => fault::of_statement("begin a transaction", error),
        })
    }

    fn connection(&mut self) -> Result<&mut SqliteConnection, StoreFault> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                // SQLite would make an empty database where there is none.
                self.target.check_in_place()?;
                connection::open(&self.target, Role::Writer)?
            }
        };
        Ok(self.connection.insert(connection))
    }
}

impl Committer for Connection {
    fn commit(&mut self, changes: &[&Change]) -> Result<Vec<Outcome>, StoreFault> {
        // After the transaction: what is answered has then been in place after it was durable.
        let committed = self.transaction(changes).and_then(|outcomes| self.target.check_in_place().map(|()| outcomes));
        match &committed {
            Ok(outcomes) => self.log.committed(outcomes.len()),
            Err(_) => self.connection = None,
        }
        committed
    }

    /// Keeps the log of the database short. A failure loses nothing: the log stays as it is, and the next attempt copies all of
    /// it.
    fn maintain(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        if let Err(fault) = self.log.checkpoint_if_due(connection) {
            log::warn!("the log of the database could not be copied into it and will be later: {}", fault.chain());
        }
    }

    /// Brings the statistics of the database up to date, empties the log and closes the connection.
    fn close(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if let Err(fault) = connection::optimize(&mut connection) {
            log::warn!("the statistics of the database could not be brought up to date: {}", fault.chain());
        }
        if let Err(fault) = connection::checkpoint(&mut connection, Checkpoint::Truncate) {
            log::warn!("the log of the database could not be copied into it and will be later: {}", fault.chain());
        }
    }
}

/// Applies all changes of a batch, one after another and all at the same time: they become visible together, and the ids of
/// orders say which came first.
fn apply_all(connection: &mut SqliteConnection, changes: &[&Change]) -> Result<Vec<Outcome>, DieselError> {
    let now = time_of_batch(connection, SystemTime::now().into())?;
    keys::forget_old(connection, now)?;
    changes.iter().map(|change| changes::apply(connection, change, now)).collect()
}

/// The time of a batch that begins when the clock shows `clock`: never before the last event. So a clock that is set back,
/// here or on another machine that had this database before, puts no order behind an older one, and no cursor loses its place.
fn time_of_batch(connection: &mut SqliteConnection, clock: Timestamp) -> Result<Timestamp, DieselError> {
    Ok(events::last_time(connection)?.map_or(clock, |last| last.max(clock)))
}
