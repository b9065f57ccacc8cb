//! The thread that commits: one transaction for each batch of orders, on a connection of its own.
//!
//! An order is answered when its transaction is durable, never before. After an error the connection is opened anew,
//! because SQLite may have rolled back by itself and Diesel would not know.

use std::{
    io,
    sync::mpsc,
    thread,
    time::{Instant, SystemTime},
};

use chassis::timestamp::Timestamp;
use diesel::{prelude::*, result::Error as DieselError};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use super::{
    StoreError,
    connection::{self, Checkpoint, Role},
    error::is_fault_of_the_order,
    fail_stop::AbortOnPanic,
    metrics::StoreMetrics,
    schema::{NewOrderRow, OrderRow, orders},
    target::Target,
};
use crate::domain::{NewOrder, Order};

/// Each order writes a page or two of 4 KiB to the log: it is copied into the database at about 4 to 8 MiB.
const CHECKPOINT_AFTER_ORDERS: usize = 1000;

type Answer = Result<Order, StoreError>;

/// An order that waits to be committed.
pub(super) struct Write {
    pub(super) order: NewOrder,
    pub(super) answer: oneshot::Sender<Answer>,
    /// Given back when the order is answered.
    pub(super) permit: OwnedSemaphorePermit,
}

impl Write {
    fn answer(self, answer: Answer) {
        // Whoever asked may be gone; the order is made all the same.
        let _ = self.answer.send(answer);
        drop(self.permit);
    }
}

/// What the thread is asked to do, one after the other.
pub(super) enum Job {
    /// Commit these orders and answer them.
    Commit { writes: Vec<Write>, done: oneshot::Sender<()> },
    /// Answer that the thread is alive.
    Ping(oneshot::Sender<()>),
    /// Close the database and end.
    Close(oneshot::Sender<()>),
}

/// Starts the thread.
///
/// # Errors
/// Fails if the operating system gives no thread.
pub(super) fn spawn(
    target: Target,
    connection: SqliteConnection,
    metrics: StoreMetrics,
    failed: watch::Sender<bool>,
) -> io::Result<mpsc::Sender<Job>> {
    let (sender, jobs) = mpsc::channel();
    let committer = Committer { target, connection: Some(connection), metrics, failed, orders_since_checkpoint: 0 };
    thread::Builder::new().name("orders-writer".to_owned()).spawn(move || {
        let _fail_stop = AbortOnPanic("writer thread");
        committer.run(&jobs);
    })?;
    Ok(sender)
}

struct Committer {
    target: Target,
    /// `None` after an error, until the next batch.
    connection: Option<SqliteConnection>,
    metrics: StoreMetrics,
    failed: watch::Sender<bool>,
    orders_since_checkpoint: usize,
}

impl Committer {
    fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Commit { writes, done } => {
                    self.commit(writes);
                    // The writer hands over the next batch while this thread tidies up.
                    let _ = done.send(());
                    self.checkpoint_when_due();
                }
                Job::Ping(pong) => drop(pong.send(())),
                Job::Close(closed) => {
                    self.close();
                    let _ = closed.send(());
                    return;
                }
            }
        }
    }

    fn commit(&mut self, writes: Vec<Write>) {
        let start = Instant::now();
        let outcome = self.transaction(&writes);
        self.metrics.batch_size.observe(count_as_f64(writes.len()));
        self.metrics.commit_seconds.observe(start.elapsed().as_secs_f64());
        // Before the answers: whoever has one does not find it counted as waiting.
        self.metrics.writes_waiting.dec_by(i64::try_from(writes.len()).unwrap_or(i64::MAX));
        self.orders_since_checkpoint += writes.len();
        match outcome {
            Ok(answers) => writes.into_iter().zip(answers).for_each(|(write, answer)| write.answer(answer)),
            Err(error) => {
                self.connection = None;
                self.metrics.failed_commits.inc();
                if matches!(error, StoreError::OutcomeUnknown(_)) {
                    // Before the answers: whoever sees one, finds the store failed.
                    self.failed.send_replace(true);
                }
                writes.into_iter().for_each(|write| write.answer(Err(error.clone())));
            }
        }
    }

    /// Commits all orders in one transaction. An order that is itself to blame fails alone; `Err` is for all of them.
    fn transaction(&mut self, writes: &[Write]) -> Result<Vec<Answer>, StoreError> {
        if *self.failed.borrow() {
            return Err(StoreError::Closed);
        }
        let connection = self.connection()?;
        // One moment for all: they become visible together, and their ids say which was first.
        let now = Timestamp::of(SystemTime::now());
        let mut has_begun = false;
        let mut failure = None;
        let committed = connection.immediate_transaction(|connection| {
            has_begun = true;
            let answers: Result<_, _> = writes.iter().map(|write| insert(connection, &write.order, now)).collect();
            // Kept aside: where the rollback fails too, Diesel tells of that instead.
            answers.map_err(|error| {
                failure = Some(StoreError::of_statement("insert an order", error));
                DieselError::RollbackTransaction
            })
        });
        committed.map_err(|error| match failure {
            Some(failure) => failure,
            None if has_begun => StoreError::of_commit(error),
            None => StoreError::of_statement("begin a transaction", error),
        })
    }

    fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => connection::open(&self.target, Role::Writer)?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Copies the log into the database, where it does not delay the answers. A failure loses nothing, since the log
    /// stays as it is, and the next try writes all of it again.
    fn checkpoint_when_due(&mut self) {
        if self.orders_since_checkpoint < CHECKPOINT_AFTER_ORDERS {
            return;
        }
        self.orders_since_checkpoint = 0;
        self.checkpoint(Checkpoint::Passive);
    }

    fn checkpoint(&mut self, how: Checkpoint) {
        let Some(connection) = &mut self.connection else { return };
        if let Err(error) = connection::checkpoint(connection, how) {
            log::warn!(error:% = error; "the log of the database could not be copied into it; it is tried again later");
        }
    }

    fn close(&mut self) {
        if let Some(connection) = &mut self.connection
            && let Err(error) = connection::optimize(connection)
        {
            log::warn!(error:% = error; "the statistics of the database could not be brought up to date");
        }
        self.checkpoint(Checkpoint::Truncate);
        self.connection = None;
    }
}

/// Inserts one order within a savepoint, so that it leaves nothing behind if it fails.
///
/// # Errors
/// An error that is not the fault of the order, and so ends the transaction.
fn insert(connection: &mut SqliteConnection, order: &NewOrder, now: Timestamp) -> Result<Answer, DieselError> {
    let inserted = connection.transaction(|connection| {
        diesel::insert_into(orders::table)
            .values(NewOrderRow::of(order, now))
            .returning(OrderRow::as_returning())
            .get_result(connection)
    });
    match inserted {
        Ok(row) => Ok(row.parse()),
        Err(error) if is_fault_of_the_order(&error) => Ok(Err(StoreError::failed("insert an order", error))),
        Err(error) => Err(error),
    }
}

fn count_as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
