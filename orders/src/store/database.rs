//! What the actors of the store ask of a database, of whatever kind. Knows neither actors nor any database.

use std::time::Duration;

use chassis::store::StoreFault;

use super::error::StoreError;
use crate::domain::{Change, Event, EventId, Filter, Order, OrderId, OrderPage, PageRequest, Written};

/// How long an idempotency key is remembered, and longer only while more than [`KEYS_DELETED_MAX`] are too old. Clients try again
/// within minutes, and people within a day.
pub(super) const KEYS_KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Maximum number of keys that one batch deletes: twice as many as it can add (256), so that they become fewer.
pub(super) const KEYS_DELETED_MAX: i64 = 512;

/// The parts of an open database. Each is owned by one actor, and blocks its thread while it works.
pub(super) struct Database {
    pub(super) committer: Box<dyn Committer>,
    /// One for each actor that reads.
    pub(super) readers: Vec<Box<dyn Reads>>,
    /// For readiness, so that a full queue does not make a service look as if it could serve nothing.
    pub(super) probe: Box<dyn Reads>,
}

/// The outcome of one change in a batch that was committed.
pub(super) type Outcome = Result<Written, StoreError>;

/// Makes changes durable.
pub(super) trait Committer: Send {
    /// Commits all changes in one transaction, and returns the outcome of each once they are durable.
    ///
    /// # Errors
    /// A fault that is not that of a single change: none of them was committed, or, after
    /// [`OutcomeUnknown`](StoreFault::OutcomeUnknown), that is unknown.
    fn commit(&mut self, changes: &[&Change]) -> Result<Vec<Outcome>, StoreFault>;

    /// Does what the database needs between two batches, where it delays no answer.
    fn maintain(&mut self);

    /// Closes the connection. Nothing is committed afterwards.
    fn close(&mut self);
}

/// Reads what was committed.
pub(super) trait Reads: Send {
    /// A page of a list, newest first.
    fn list(&mut self, filter: Filter, page: PageRequest) -> Result<OrderPage, StoreError>;

    /// The order with this id.
    ///
    /// # Errors
    /// [`Refusal::NotFound`](crate::domain::Refusal::NotFound) where there is none.
    fn get(&mut self, id: OrderId) -> Result<Order, StoreError>;

    /// The events after this one, in the order in which they happened.
    fn events(&mut self, after: EventId, limit: usize) -> Result<Vec<Event>, StoreError>;

    /// The newest event; [`EventId::BEGINNING`] where there is none.
    fn newest_event(&mut self) -> Result<EventId, StoreError>;

    /// Checks that the database is in place and can be read.
    ///
    /// # Errors
    /// Why not.
    fn check(&mut self) -> Result<(), StoreFault>;
}
