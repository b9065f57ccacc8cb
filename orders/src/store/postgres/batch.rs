//! Commits a batch of changes in one transaction. Knows no actor and sends no answers.
//!
//! Transactions that write take turns, in this process and in all others, by an advisory lock: so the numbers of events become
//! visible in their order, a key cannot be used twice at once, and what was read cannot change before it is written.
//!
//! The tricky part is a connection that is lost. Before COMMIT is sent, nothing can have been done, and the batch is tried
//! again. Afterwards it may have been: each transaction writes its own number into a row of this process (`writers`), and with
//! a new connection the number is looked up, under the lock, which is free only once the server has ended the old transaction.

use std::time::{Duration, Instant, SystemTime};

use chassis::store::{StoreFault, fault::Cause};
use diesel::{prelude::*, result::Error as DieselError};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use super::{
    connection::{Role, Server},
    draft::{Draft, Needs},
    executor::within,
    fault, statements,
};
use crate::{
    domain::Change,
    store::database::{Committer, Outcome},
};

/// Held by the transaction that writes: "orders" in ASCII. Each database has its own locks.
const LOCK: i64 = 0x6f72_6465_7273;
/// How long a batch is tried again where the server cannot be reached or interrupts it. A failover takes longer; callers are
/// told to try again then.
const RETRY_MAX: Duration = Duration::from_secs(8);
/// Pause between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// How long one attempt may take, with the time that the server needs to notice that a statement has taken too long.
const ATTEMPT_MAX: Duration = Duration::from_secs(15);
/// How long the outcome of a COMMIT is looked for, before callers are told that it is unknown.
const LOOK_UP_MAX: Duration = Duration::from_secs(30);
/// How long the row of a process that has ended is kept.
const WRITERS_KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

diesel::table! {
    writers (id) {
        id -> BigInt,
        batch -> BigInt,
        committed_at -> BigInt,
    }
}

/// The connection for writing.
pub(super) struct Connection {
    server: Server,
    /// `None` after an error, until the next attempt.
    connection: Option<AsyncPgConnection>,
    /// The row of this process in `writers`.
    writer: i64,
    /// The number of the last batch that was tried.
    batch: i64,
}

/// Why an attempt failed.
enum Failure {
    /// Nothing was committed.
    Nothing(StoreFault),
    /// Nothing was committed, because of one of the changes.
    Change(DieselError),
    /// COMMIT failed. What the outcomes are, if it was done nevertheless.
    Commit(Vec<Outcome>, Cause),
}

impl Failure {
    fn before_commit(error: DieselError) -> Self {
        if fault::is_of_the_change(&error) {
            Self::Change(error)
        } else {
            Self::Nothing(fault::of_statement("change the orders", error))
        }
    }
}

impl Connection {
    /// A connection that has been opened for writing. Registers this process.
    ///
    /// # Errors
    /// The database cannot be written to.
    pub(super) async fn register(server: Server, mut connection: AsyncPgConnection) -> QueryResult<Self> {
        let now = micros(SystemTime::now());
        let too_old = now.saturating_sub(i64::try_from(WRITERS_KEPT_FOR.as_micros()).unwrap_or(i64::MAX));
        diesel::delete(writers::table.filter(writers::committed_at.lt(too_old))).execute(&mut connection).await?;
        let row = diesel::insert_into(writers::table).values((writers::batch.eq(0), writers::committed_at.eq(now)));
        let writer = row.returning(writers::id).get_result(&mut connection).await?;
        Ok(Self { server, connection: Some(connection), writer, batch: 0 })
    }

    /// Commits these changes together.
    async fn commit_together(&mut self, changes: &[&Change]) -> Result<Vec<Outcome>, Failure> {
        let give_up_at = Instant::now() + RETRY_MAX;
        loop {
            self.batch += 1;
            let fault = match self.attempt(changes).await {
                Ok(outcomes) => return Ok(outcomes),
                Err(Failure::Change(error)) => return Err(Failure::Change(error)),
                Err(Failure::Nothing(fault)) => fault,
                Err(Failure::Commit(outcomes, cause)) => match self.look_up().await {
                    Some(true) => return Ok(outcomes),
                    Some(false) => StoreFault::Busy(Some(cause)),
                    None => return Err(Failure::Nothing(StoreFault::OutcomeUnknown(cause))),
                },
            };
            if !matches!(fault, StoreFault::Busy(_)) || Instant::now() >= give_up_at {
                return Err(Failure::Nothing(fault));
            }
            log::warn!("a batch is tried again: {}", fault.chain());
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    async fn attempt(&mut self, changes: &[&Change]) -> Result<Vec<Outcome>, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.server.connect(Role::Writer).await.map_err(|fault| Failure::Nothing(fault.into()))?,
        };
        let prepared = within(ATTEMPT_MAX, self.prepare(&mut connection, changes)).await;
        let prepared = prepared.map_err(|elapsed| Failure::Nothing(StoreFault::Busy(Some(Cause::new(elapsed)))))?;
        let outcomes = prepared.map_err(Failure::before_commit)?;
        match within(ATTEMPT_MAX, connection.batch_execute("COMMIT")).await {
            Ok(Ok(())) => {
                self.connection = Some(connection);
                Ok(outcomes)
            }
            Ok(Err(error)) => Err(Failure::Commit(outcomes, Cause::new(error))),
            Err(elapsed) => Err(Failure::Commit(outcomes, Cause::new(elapsed))),
        }
    }

    /// Begins the transaction of a batch and does all but its COMMIT.
    async fn prepare(&self, connection: &mut AsyncPgConnection, changes: &[&Change]) -> QueryResult<Vec<Outcome>> {
        begin(connection).await?;
        let clock = SystemTime::now().into();
        // Never before the last event: see `time_of_batch` of SQLite.
        let now = statements::last_time(connection).await?.map_or(clock, |last| last.max(clock));
        statements::forget_old_keys(connection, now).await?;
        let known = statements::read(connection, &Needs::of(changes)).await?;
        let mut draft = Draft::new(known, now);
        let outcomes = changes.iter().map(|change| draft.apply(change)).collect();
        statements::write(connection, &draft).await?;
        self.mark(connection, now.unix_micros()).await?;
        Ok(outcomes)
    }

    /// Writes the number of the batch, which is committed with it.
    async fn mark(&self, connection: &mut AsyncPgConnection, now: i64) -> QueryResult<()> {
        let batch = (writers::batch.eq(self.batch), writers::committed_at.eq(now));
        diesel::insert_into(writers::table)
            .values((writers::id.eq(self.writer), batch))
            .on_conflict(writers::id)
            .do_update()
            .set(batch)
            .execute(connection)
            .await
            .map(drop)
    }

    /// Whether the last batch was committed; `None` if the server cannot be asked for too long.
    async fn look_up(&mut self) -> Option<bool> {
        let give_up_at = Instant::now() + LOOK_UP_MAX;
        while Instant::now() < give_up_at {
            match within(ATTEMPT_MAX, self.last_committed()).await {
                Ok(Ok(batch)) => {
                    log::warn!(
                        "a connection was lost during a COMMIT, which was {}",
                        if batch == self.batch { "done" } else { "not done" }
                    );
                    return Some(batch == self.batch);
                }
                Ok(Err(fault)) => log::warn!("the outcome of a COMMIT is looked for: {}", fault.chain()),
                Err(elapsed) => log::warn!("the outcome of a COMMIT is looked for: {elapsed}"),
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
        None
    }

    async fn last_committed(&mut self) -> Result<i64, StoreFault> {
        let mut connection = self.server.connect(Role::Writer).await?;
        let read = async {
            // The lock is free once the transaction whose outcome is looked for has ended.
            begin(&mut connection).await?;
            let batch =
                writers::table.find(self.writer).select(writers::batch).first(&mut connection).await.optional()?;
            connection.batch_execute("COMMIT").await?;
            Ok(batch.unwrap_or(0))
        };
        let batch = read.await.map_err(|error| fault::of_statement("look up a batch", error))?;
        self.connection = Some(connection);
        Ok(batch)
    }

    /// Commits the changes one by one, so that those that the database refuses fail alone.
    async fn commit_each(&mut self, changes: &[&Change]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for change in changes {
            outcomes.extend(match self.commit_together(&[change]).await {
                Ok(outcomes) => outcomes,
                Err(failure) => vec![Err(fault_of(failure).into())],
            });
        }
        outcomes
    }
}

impl Committer for Connection {
    fn commit(&mut self, changes: &[&Change]) -> Result<Vec<Outcome>, StoreFault> {
        self.server.executor().clone().block_on(async {
            match self.commit_together(changes).await {
                Ok(outcomes) => Ok(outcomes),
                Err(Failure::Change(_)) if changes.len() > 1 => Ok(self.commit_each(changes).await),
                Err(Failure::Change(error)) => Ok(vec![Err(fault_of(Failure::Change(error)).into())]),
                Err(failure) => Err(fault_of(failure)),
            }
        })
    }

    /// The server does what it needs by itself.
    fn maintain(&mut self) {}

    fn close(&mut self) {
        let connection = self.connection.take();
        self.server.executor().clone().block_on(async move { drop(connection) });
    }
}

fn fault_of(failure: Failure) -> StoreFault {
    match failure {
        Failure::Nothing(fault) => fault,
        Failure::Change(error) => StoreFault::failed("change an order", error),
        Failure::Commit(_, cause) => StoreFault::OutcomeUnknown(cause),
    }
}

/// Begins a transaction whose turn it is to write.
async fn begin(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    connection.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK})")).await
}

fn micros(time: SystemTime) -> i64 {
    chassis::timestamp::Timestamp::from(time).unix_micros()
}
