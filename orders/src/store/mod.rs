//! Keeps orders. `OrdersRepo` is a handle that hides the actors and the database behind it; Diesel is used nowhere else.
//!
//! Writes go to one actor that gathers them while the batch before is being committed (`writer`, `batch`); reads go to a
//! pool of actors with a connection each (`readers`). The queues are bounded by permits that the handle takes first,
//! because a mailbox of actix is not bounded: `Addr::send` queues even where it is full.

mod batch;
mod connection;
mod error;
mod fail_stop;
mod location;
mod metrics;
mod migrations;
mod readers;
mod schema;
mod target;
mod writer;

#[cfg(test)]
mod tests;

use std::{num::NonZeroUsize, sync::Arc, time::Instant};

use actix::Addr;
use chassis::{config::StartError, identity::UserId};
use prometheus_client::registry::Registry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

pub(crate) use self::error::StoreError;
pub use self::location::DatabaseLocation;
use self::{
    metrics::StoreMetrics,
    readers::{Get, List, Reader},
    target::Target,
    writer::{Create, Writer},
};
use crate::domain::{Listed, NewOrder, Order, OrderId, Page};

/// Orders that may wait to be committed: each has at most 4 × (500 + 200) bytes of text, 2.8 MiB together.
const WRITES_WAITING_MAX: usize = 1024;
/// Reads that may wait for a connection: a page has at most 500 orders, and only as many pages as there are
/// connections are being made at a time.
const READS_WAITING_MAX: usize = 1024;

/// The orders. A clone is another handle to the same store.
#[derive(Clone)]
pub(crate) struct OrdersRepo {
    writer: Addr<Writer>,
    readers: Addr<Reader>,
    write_permits: Arc<Semaphore>,
    read_permits: Arc<Semaphore>,
    failed: watch::Receiver<bool>,
}

impl OrdersRepo {
    /// Opens the database, brings its schema up to date and starts the actors. It needs an actix system around it.
    ///
    /// # Errors
    /// Says what is wrong with the database, or with the place where it should be.
    pub(crate) fn open(
        location: &DatabaseLocation,
        readers: NonZeroUsize,
        registry: &mut Registry,
    ) -> Result<Self, StartError> {
        let target = Target::prepare(location)?;
        let connection = migrations::open(&target)?;
        let pool = connection::reader_pool(&target, readers)?;
        let metrics = StoreMetrics::register(registry);
        let (failed_sender, failed) = watch::channel(false);
        let writer = writer::start(target, connection, metrics.clone(), failed_sender)?;
        let readers = readers::start(&pool, readers, &metrics);
        Ok(Self {
            writer,
            readers,
            write_permits: Arc::new(Semaphore::new(WRITES_WAITING_MAX)),
            read_permits: Arc::new(Semaphore::new(READS_WAITING_MAX)),
            failed,
        })
    }

    /// Makes an order. Resolves once it is durable on disk.
    ///
    /// The order is made even where the caller stops waiting: it is in the queue then.
    pub(crate) async fn create(&self, order: NewOrder) -> Result<Order, StoreError> {
        let permit = permit(&self.write_permits)?;
        self.writer.send(Create { order, permit }).await.map_err(|_| StoreError::Closed)?
    }

    /// The orders of `owner`, newest first.
    pub(crate) async fn list(&self, owner: UserId, page: Page) -> Result<Listed, StoreError> {
        let permit = permit(&self.read_permits)?;
        self.readers.send(List { owner, page, since: Instant::now(), permit }).await.map_err(|_| StoreError::Closed)?
    }

    /// The order with this number.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub(crate) async fn get(&self, id: OrderId) -> Result<Order, StoreError> {
        let permit = permit(&self.read_permits)?;
        self.readers.send(Get { id, since: Instant::now(), permit }).await.map_err(|_| StoreError::Closed)?
    }

    /// Whether reads and writes are answered: the message goes through the same queues as they do.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        let permit = permit(&self.read_permits)?;
        self.readers.send(readers::Ping { permit }).await.map_err(|_| StoreError::Closed)??;
        self.writer.send(writer::Ping).await.map_err(|_| StoreError::Closed)?
    }

    /// Resolves when a write had an unknown outcome: from then on nothing is written any more. Never resolves otherwise.
    pub(crate) async fn failed(&self) {
        let mut failed = self.failed.clone();
        if failed.wait_for(|failed| *failed).await.is_err() {
            // The writer is gone without having failed: the service is shutting down.
            std::future::pending::<()>().await;
        }
    }

    /// Whether a write had an unknown outcome.
    pub(crate) fn has_failed(&self) -> bool {
        *self.failed.borrow()
    }

    /// Commits the writes that wait, refuses later ones and closes the database.
    pub(crate) async fn shutdown(&self) {
        if self.writer.send(writer::Shutdown).await.is_err() {
            log::debug!("the writer is closed already");
        }
    }
}

/// The permit travels with the message, and not with the caller, who may stop waiting while the message is still queued.
fn permit(permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, StoreError> {
    Arc::clone(permits).try_acquire_owned().map_err(|_| StoreError::Busy)
}
