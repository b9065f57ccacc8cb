//! Keeps the orders. [`OrdersRepo`] is a handle that hides the actors and the database behind it: callers see methods,
//! orders and [`StoreError`], and neither messages nor mailboxes.
//!
//! Writes are messages to the one actor that owns the connection for writing ([`writer`]); reads go to a pool of actors
//! with a connection each ([`readers`]). What both ask of a database is in [`database`], and [`sqlite`] and [`postgres`] do it. Each has a queue of its own, bounded by permits, so that writes waiting for the
//! disk leave room for reads. A write is answered once it is durable.

mod database;
mod error;
mod listing;
mod location;
mod metrics;
mod migration;
pub(crate) mod postgres;
mod probe;
mod readers;
mod schema;
mod sqlite;
mod transfer;
mod writer;

#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;

use actix::{Actor, Addr};
use actix_rt::{Arbiter, ArbiterHandle};
use chassis::{
    config::StartError,
    store::{Queue, StoreFault, lifecycle, metrics::store_registry},
    trace::TraceParent,
};
use prometheus_client::registry::Registry;
use tokio::sync::{oneshot, watch};

pub(crate) use self::error::StoreError;
pub use self::location::{DatabaseLocation, ServerLocation};
use self::{
    database::Database,
    metrics::StoreMetrics,
    probe::Probe,
    readers::{Events, Get, List, NewestEvent, Reader},
    writer::{Write, Writer},
};
pub(crate) use self::{sqlite::maintenance, transfer::transfer};
use crate::domain::{
    Change, Event, EventId, Filter, IdempotencyKey, NewOrder, Order, OrderId, OrderPage, PageRequest, StatusChange,
    Written,
};

/// Maximum number of queued writes: four full batches of 256. Each has at most 4 × (500 + 200) bytes of text, 2.8 MiB
/// together.
const WRITES_MAX: usize = 1024;
/// Maximum number of queued reads. A page has at most 500 orders, and only as many pages are made at a time as there are
/// connections.
const READS_MAX: usize = 1024;

/// The orders. A clone is another handle to the same store.
#[derive(Clone)]
pub(crate) struct OrdersRepo {
    writer: Addr<Writer>,
    arbiter: ArbiterHandle,
    readers: Addr<Reader>,
    reads: Queue,
    writes: Queue,
    probe: Probe,
    failed: watch::Receiver<bool>,
    committed: watch::Receiver<()>,
}

impl OrdersRepo {
    /// Opens the database, brings its schema up to date and starts the actors: the writer on a thread of its own, and
    /// `readers` threads that read. Needs an actix `System`.
    ///
    /// # Errors
    /// Names the database and what is wrong with it, or with the place where it should be.
    pub(crate) fn open(
        location: &DatabaseLocation,
        readers: NonZeroUsize,
        registry: &mut Registry,
    ) -> Result<Self, StartError> {
        let registry = store_registry("orders", registry);
        let metrics = StoreMetrics::register(registry);
        let Database { committer, readers, probe } = open_database(location, readers, &metrics)?;
        let (readers, probe) = (readers::start(readers, &metrics), Probe::new(probe));
        let (failed_sender, failed) = watch::channel(false);
        let (committed_sender, committed) = watch::channel(());
        let arbiter = Arbiter::new().handle();
        let writer = Writer::start_in_arbiter(&arbiter, move |context| {
            // Permits bound what is sent: the mailbox has room for all of it, and for the shutdown.
            context.set_mailbox_capacity(WRITES_MAX + 1);
            Writer::new(committer, failed_sender, committed_sender, metrics)
        });
        let reads = Queue::register("reads", READS_MAX, registry);
        let writes = Queue::register("writes", WRITES_MAX, registry);
        log::info!(database:% = location; "the database is open");
        Ok(Self { writer, arbiter, readers, reads, writes, probe, failed, committed })
    }

    /// Creates an order, unless a request with this key has done so already. Resolves once the order is durable on disk.
    ///
    /// # Errors
    /// [`Refusal::KeyReused`](crate::domain::Refusal::KeyReused) where that was another request.
    pub(crate) async fn create(
        &self,
        order: NewOrder,
        key: Option<IdempotencyKey>,
        trace: Option<TraceParent>,
    ) -> Result<Written, StoreError> {
        self.write(Change::Create { order, key, trace }).await
    }

    /// Changes the status of an order. Resolves once that is durable on disk.
    ///
    /// # Errors
    /// The [`Refusal`](crate::domain::Refusal) of the order as it is when its turn comes.
    pub(crate) async fn set_status(&self, change: StatusChange) -> Result<Order, StoreError> {
        self.write(Change::SetStatus(change)).await.map(|written| written.order)
    }

    /// The change is made even if the caller stops waiting: the message is queued by then.
    async fn write(&self, change: Change) -> Result<Written, StoreError> {
        let (answer, answered) = oneshot::channel();
        let message = self.writes.admit(Write { change, answer })?;
        // The permit bounds the mailbox. If the actor has ended, the message is dropped, and with it `answer`.
        self.writer.do_send(message);
        answered.await.unwrap_or(Err(StoreFault::Stopping.into()))
    }

    /// A page of a list, newest first.
    pub(crate) async fn list(&self, filter: Filter, page: PageRequest) -> Result<OrderPage, StoreError> {
        self.reads.send(&self.readers, List { filter, page }).await
    }

    /// The order with this id.
    ///
    /// # Errors
    /// [`Refusal::NotFound`](crate::domain::Refusal::NotFound) where there is none.
    pub(crate) async fn get(&self, id: OrderId) -> Result<Order, StoreError> {
        self.reads.send(&self.readers, Get { id }).await
    }

    /// The events after this one, in the order in which they happened.
    pub(crate) async fn events(&self, after: EventId, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.reads.send(&self.readers, Events { after, limit }).await
    }

    /// The newest event; [`EventId::BEGINNING`] where there is none.
    pub(crate) async fn newest_event(&self) -> Result<EventId, StoreError> {
        self.reads.send(&self.readers, NewestEvent).await
    }

    /// Changes whenever this process has committed something, and is closed when it does so no more.
    pub(crate) fn committed(&self) -> watch::Receiver<()> {
        self.committed.clone()
    }

    /// Whether the store serves: reads can be answered, and the writer has neither failed nor ended. It says nothing about
    /// how long either takes: callers who have to wait too long are answered [`StoreFault::Busy`].
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn ping(&self) -> Result<(), StoreFault> {
        if self.has_failed() || !self.writer.connected() {
            return Err(StoreFault::Stopping);
        }
        self.probe.check().await
    }

    /// Resolves when a write had an unknown outcome, after which nothing is written any more; otherwise never.
    pub(crate) async fn failed(&self) {
        let mut failed = self.failed.clone();
        if failed.wait_for(|failed| *failed).await.is_err() {
            // The writer has ended without a failure: the service is shutting down.
            std::future::pending::<()>().await;
        }
    }

    /// Whether a write had an unknown outcome.
    pub(crate) fn has_failed(&self) -> bool {
        *self.failed.borrow()
    }

    /// Makes durable and answers what was sent before, refuses what comes later, and closes the database.
    ///
    /// # Errors
    /// The store did not end in time, or not in order.
    pub(crate) async fn shutdown(&self) -> Result<(), StartError> {
        self.probe.close().await;
        lifecycle::shut_down(&self.writer, &self.arbiter).await
    }
}

fn open_database(
    location: &DatabaseLocation,
    readers: NonZeroUsize,
    metrics: &StoreMetrics,
) -> Result<Database, StartError> {
    match location {
        DatabaseLocation::File(file) => sqlite::open(Some(file), readers, metrics),
        DatabaseLocation::Memory => sqlite::open(None, readers, metrics),
        DatabaseLocation::Server(location) => postgres::open(location, readers),
    }
}
