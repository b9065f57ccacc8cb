//! The actors that read: threads with a connection each, which cannot write. They know no database: [`Reads`] does.

use std::{sync::Mutex, thread, time::Instant};

use actix::{Actor, Addr, Handler, Message, SyncArbiter, SyncContext};
use chassis::store::{AbortOnPanic, Admitted, StoreFault};

use super::{database::Reads, error::StoreError, metrics::StoreMetrics};
use crate::domain::{Event, EventId, Filter, Order, OrderId, OrderPage, PageRequest};

/// Starts one actor for each connection.
pub(super) fn start(connections: Vec<Box<dyn Reads>>, metrics: &StoreMetrics) -> Addr<Reader> {
    let (count, connections, metrics) = (connections.len(), Mutex::new(connections), metrics.clone());
    let thread = || thread::Builder::new().name("orders-reader".to_owned());
    SyncArbiter::start_with_thread_builder(count, thread, move || Reader {
        // Called once on each thread. An actor is never started again, because a panic ends the process.
        connection: connections.lock().ok().and_then(|mut connections| connections.pop()),
        metrics: metrics.clone(),
        _abort_on_panic: AbortOnPanic("orders reader"),
    })
}

/// Reads orders.
pub(super) struct Reader {
    connection: Option<Box<dyn Reads>>,
    metrics: StoreMetrics,
    _abort_on_panic: AbortOnPanic,
}

impl Actor for Reader {
    type Context = SyncContext<Self>;
}

impl Reader {
    /// Reads, and records how long the message has waited since `queued_at` and how long the read takes.
    pub(super) fn read<T>(
        &mut self,
        queued_at: Instant,
        read: impl FnOnce(&mut dyn Reads) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let start = Instant::now();
        self.metrics.read_wait_seconds.observe((start - queued_at).as_secs_f64());
        let found = read(self.connection.as_deref_mut().ok_or(StoreFault::Stopping)?);
        self.metrics.read_seconds.observe(start.elapsed().as_secs_f64());
        found
    }
}

/// Reads a page of a list.
#[derive(Message)]
#[rtype(result = "Result<OrderPage, StoreError>")]
pub(super) struct List {
    pub(super) filter: Filter,
    pub(super) page: PageRequest,
}

impl Handler<Admitted<List>> for Reader {
    type Result = Result<OrderPage, StoreError>;

    fn handle(&mut self, admitted: Admitted<List>, _: &mut Self::Context) -> Self::Result {
        let List { filter, page } = admitted.message;
        self.read(admitted.queued_at, |connection| connection.list(filter, page))
    }
}

/// Reads one order.
#[derive(Message)]
#[rtype(result = "Result<Order, StoreError>")]
pub(super) struct Get {
    pub(super) id: OrderId,
}

impl Handler<Admitted<Get>> for Reader {
    type Result = Result<Order, StoreError>;

    fn handle(&mut self, admitted: Admitted<Get>, _: &mut Self::Context) -> Self::Result {
        self.read(admitted.queued_at, |connection| connection.get(admitted.message.id))
    }
}

/// Reads the events after one of them.
#[derive(Message)]
#[rtype(result = "Result<Vec<Event>, StoreError>")]
pub(super) struct Events {
    pub(super) after: EventId,
    pub(super) limit: usize,
}

impl Handler<Admitted<Events>> for Reader {
    type Result = Result<Vec<Event>, StoreError>;

    fn handle(&mut self, admitted: Admitted<Events>, _: &mut Self::Context) -> Self::Result {
        let Events { after, limit } = admitted.message;
        self.read(admitted.queued_at, |connection| connection.events(after, limit))
    }
}

/// Reads which event is the newest.
#[derive(Message)]
#[rtype(result = "Result<EventId, StoreError>")]
pub(super) struct NewestEvent;

impl Handler<Admitted<NewestEvent>> for Reader {
    type Result = Result<EventId, StoreError>;

    fn handle(&mut self, admitted: Admitted<NewestEvent>, _: &mut Self::Context) -> Self::Result {
        self.read(admitted.queued_at, |connection| connection.newest_event())
    }
}
