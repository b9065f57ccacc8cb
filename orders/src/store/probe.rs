//! Checks whether the database can be read, for readiness. It has a connection of its own, so that neither a full queue nor
//! another process that holds the write lock makes a service look as if it could serve nothing.

use std::sync::Arc;

use chassis::store::StoreFault;
use tokio::{sync::Mutex, task::spawn_blocking};

use super::database::Reads;

/// A clone uses the same connection. Probes take turns, so that they keep one thread busy at most.
#[derive(Clone)]
pub(super) struct Probe(
    /// `None` after the store has been closed.
    Arc<Mutex<Option<Box<dyn Reads>>>>,
);

impl Probe {
    pub(super) fn new(connection: Box<dyn Reads>) -> Self {
        Self(Arc::new(Mutex::new(Some(connection))))
    }

    /// Checks that the database is in place and can be read.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn check(&self) -> Result<(), StoreFault> {
        let mut connection = Arc::clone(&self.0).lock_owned().await;
        let checked = spawn_blocking(move || connection.as_mut().ok_or(StoreFault::Stopping)?.check());
        checked.await.unwrap_or(Err(StoreFault::Stopping))
    }

    /// Closes the connection; the check fails from now on.
    pub(super) async fn close(&self) {
        *self.0.lock().await = None;
    }
}
