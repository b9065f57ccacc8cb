//! Checks whether the database can be read, for readiness. It has a connection of its own, so that neither a full queue nor
//! another process that holds the write lock makes a service look as if it could serve nothing.

use std::sync::Arc;

use chassis::store::StoreFault;
use diesel::prelude::*;
use tokio::{sync::Mutex, task::spawn_blocking};

use super::{
    connection::{self, Role},
    fault,
    schema::orders,
    target::Target,
};

/// A clone uses the same connection. Probes take turns, so that they keep one thread busy at most.
#[derive(Clone)]
pub(crate) struct Probe {
    target: Target,
    /// `None` after the store has been closed.
    connection: Arc<Mutex<Option<SqliteConnection>>>,
}

impl Probe {
    /// Opens the connection.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub(crate) fn open(target: &Target) -> Result<Self, StoreFault> {
        let connection = connection::open(target, Role::Reader)?;
        Ok(Self { target: target.clone(), connection: Arc::new(Mutex::new(Some(connection))) })
    }

    /// Checks that the database is at its path and can be read.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn check(&self) -> Result<(), StoreFault> {
        let mut connection = Arc::clone(&self.connection).lock_owned().await;
        let target = self.target.clone();
        let checked = spawn_blocking(move || {
            target.check_in_place()?;
            read(connection.as_mut().ok_or(StoreFault::Stopping)?)
        });
        checked.await.unwrap_or(Err(StoreFault::Stopping))
    }

    /// Closes the connection; the check fails from now on.
    pub(crate) async fn close(&self) {
        *self.connection.lock().await = None;
    }
}

fn read(connection: &mut SqliteConnection) -> Result<(), StoreFault> {
    let found = orders::table.select(orders::id).first::<i64>(connection).optional();
    found.map(drop).map_err(|error| fault::of_statement("read the database", error))
}
