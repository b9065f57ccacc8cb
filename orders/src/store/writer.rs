//! The actor that gathers: while one batch is being committed, the orders that arrive make up the next one.
//!
//! Why not a `SyncArbiter`, as for reading: it hands one message at a time to a blocked thread, which could never see
//! what else is waiting. So an asynchronous actor gathers, on an arbiter of its own so that it competes with no HTTP
//! worker, and a dedicated thread (`batch`) blocks. An fsync then costs as much for a hundred orders as for one.

use std::{collections::VecDeque, sync::mpsc};

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, Arbiter, AsyncContext, Context, Handler, Message, ResponseFuture,
    WrapFuture,
};
use chassis::config::StartError;
use diesel::sqlite::SqliteConnection;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use super::{
    StoreError,
    batch::{self, Job, Write},
    fail_stop::AbortOnPanic,
    metrics::StoreMetrics,
    target::Target,
};
use crate::domain::{NewOrder, Order};

/// A commit of so many orders still takes only milliseconds more than the fsync in it.
const BATCH_ORDERS_MAX: usize = 256;
/// A batch stays in the page cache of SQLite (16 MiB), so that only its COMMIT writes to the disk.
const BATCH_BYTES_MAX: usize = 256 * 1024;

/// Starts the actor and its thread.
///
/// # Errors
/// Fails if the operating system gives no thread.
pub(super) fn start(
    target: Target,
    connection: SqliteConnection,
    metrics: StoreMetrics,
    failed: watch::Sender<bool>,
) -> Result<Addr<Writer>, StartError> {
    let thread = batch::spawn(target, connection, metrics.clone(), failed).map_err(StartError::failed)?;
    Ok(Writer::start_in_arbiter(&Arbiter::new().handle(), move |_| Writer {
        thread,
        gathered: VecDeque::new(),
        is_committing: false,
        closing: None,
        metrics,
        _fail_stop: AbortOnPanic("writer"),
    }))
}

/// Gathers orders into batches.
pub(super) struct Writer {
    thread: mpsc::Sender<Job>,
    gathered: VecDeque<Write>,
    is_committing: bool,
    /// Whom to tell when everything is committed; `Some` refuses new orders.
    closing: Option<Vec<oneshot::Sender<()>>>,
    metrics: StoreMetrics,
    _fail_stop: AbortOnPanic,
}

impl Actor for Writer {
    type Context = Context<Self>;

    /// The arbiter was made for this actor.
    fn stopped(&mut self, _: &mut Self::Context) {
        Arbiter::current().stop();
    }
}

impl Writer {
    /// Goes on to the next batch, or ends, unless a batch is being committed.
    fn go_on(&mut self, context: &mut Context<Self>) {
        if !self.is_committing {
            let writes = take_batch(&mut self.gathered);
            if writes.is_empty() { self.close_if_asked(context) } else { self.commit(writes, context) }
        }
    }

    fn commit(&mut self, writes: Vec<Write>, context: &mut Context<Self>) {
        let (done, is_done) = oneshot::channel();
        self.is_committing = true;
        self.hand_over(Job::Commit { writes, done });
        // `spawn` and not `wait`: the actor goes on taking messages meanwhile.
        context.spawn(is_done.into_actor(self).map(|_, writer, context| {
            writer.is_committing = false;
            writer.go_on(context);
        }));
    }

    fn close_if_asked(&mut self, context: &mut Context<Self>) {
        let Some(waiting) = self.closing.as_mut().filter(|waiting| !waiting.is_empty()) else { return };
        let waiting = std::mem::take(waiting);
        let (closed, is_closed) = oneshot::channel();
        self.hand_over(Job::Close(closed));
        context.spawn(is_closed.into_actor(self).map(|_, _, context| {
            for told in waiting {
                // Whoever asked may have gone.
                let _ = told.send(());
            }
            context.stop();
        }));
    }

    /// The thread ends before this actor only by a panic, which ends the process. Should it be gone all the same, the
    /// job is dropped, and with it the senders of its answers, which whoever waits for one reads as `Closed`.
    fn hand_over(&self, job: Job) {
        if self.thread.send(job).is_err() {
            log::error!("the thread that commits orders is gone");
        }
    }
}

/// Takes the next orders, in the order in which they came: always one, and more while they fit.
fn take_batch(gathered: &mut VecDeque<Write>) -> Vec<Write> {
    let mut bytes = 0;
    let count = gathered.iter().take(BATCH_ORDERS_MAX).take_while(|write| {
        let fits = bytes < BATCH_BYTES_MAX;
        bytes += write.order.address.as_str().len() + write.order.item.as_str().len();
        fits
    });
    let count = count.count();
    gathered.drain(..count).collect()
}

/// Makes an order.
pub(super) struct Create {
    pub(super) order: NewOrder,
    pub(super) permit: OwnedSemaphorePermit,
}

impl Message for Create {
    type Result = Result<Order, StoreError>;
}

impl Handler<Create> for Writer {
    type Result = ResponseFuture<Result<Order, StoreError>>;

    fn handle(&mut self, message: Create, context: &mut Self::Context) -> Self::Result {
        let (answer, answered) = oneshot::channel();
        if self.closing.is_none() {
            self.metrics.writes_waiting.inc();
            self.gathered.push_back(Write { order: message.order, answer, permit: message.permit });
            self.go_on(context);
        }
        Box::pin(async move { answered.await.unwrap_or(Err(StoreError::Closed)) })
    }
}

/// Asks whether the thread takes jobs.
pub(super) struct Ping;

impl Message for Ping {
    type Result = Result<(), StoreError>;
}

impl Handler<Ping> for Writer {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(&mut self, _: Ping, _: &mut Self::Context) -> Self::Result {
        let (pong, answered) = oneshot::channel();
        self.hand_over(Job::Ping(pong));
        Box::pin(async move { answered.await.map_err(|_| StoreError::Closed) })
    }
}

/// Commits what waits, refuses what comes later, closes the database and ends the actor.
///
/// Why a message: it comes after the orders in the mailbox, where `Context::stop` would drop them.
pub(super) struct Shutdown;

impl Message for Shutdown {
    type Result = ();
}

impl Handler<Shutdown> for Writer {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Shutdown, context: &mut Self::Context) -> Self::Result {
        let (told, closed) = oneshot::channel();
        self.closing.get_or_insert_default().push(told);
        self.go_on(context);
        Box::pin(async move {
            // An error means that it is closed already.
            let _ = closed.await;
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chassis::identity::UserId;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::domain::{Address, Item};

    fn gathered(count: usize, address_bytes: usize) -> VecDeque<Write> {
        let permits = Arc::new(Semaphore::new(count));
        let write = |_| Write {
            order: NewOrder {
                address: Address::parse(&"a".repeat(address_bytes)).unwrap(),
                item: Item::parse("a book").unwrap(),
                created_by: UserId(7),
            },
            answer: oneshot::channel().0,
            permit: Arc::clone(&permits).try_acquire_owned().unwrap(),
        };
        (0..count).map(write).collect()
    }

    #[test]
    fn a_batch_is_capped_in_orders() {
        let mut waiting = gathered(BATCH_ORDERS_MAX + 3, 1);
        let sizes: Vec<usize> = (0..3).map(|_| take_batch(&mut waiting).len()).collect();
        assert_eq!(sizes, [BATCH_ORDERS_MAX, 3, 0]);
    }

    #[test]
    fn a_batch_is_capped_in_bytes() {
        let mut waiting = gathered(BATCH_ORDERS_MAX, 500);
        waiting.iter_mut().for_each(|write| write.order.address = Address::unchecked(&"a".repeat(4000)));
        let batch = take_batch(&mut waiting);
        assert_eq!(batch.len(), BATCH_BYTES_MAX.div_ceil(4000 + "a book".len()));
        assert_eq!(batch.len() + waiting.len(), BATCH_ORDERS_MAX, "the rest waits");
    }

    #[test]
    fn an_order_that_is_larger_than_a_batch_goes_alone() {
        let mut waiting = gathered(2, 1);
        waiting.iter_mut().for_each(|write| write.order.address = Address::unchecked(&"a".repeat(BATCH_BYTES_MAX)));
        assert_eq!(take_batch(&mut waiting).len(), 1);
    }
}
