//! The actor that owns the users. Checks a change against everything staged, gathers it with others while one write is
//! under way, and shows and answers it only once it is durable. Knows no HTTP.
//!
//! `latest` has every staged change and is what new changes are checked against; `visible` has the durable ones and is
//! what is read. A write that fails is taken back from `latest`. Nothing here waits for the disk, so that a read costs
//! microseconds even while an fsync stalls.

use std::{collections::VecDeque, mem, process, sync::Arc, thread, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Message, ResponseFuture, WrapFuture};
use chassis::{identity::UserId, timestamp::Timestamp};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    task::{JoinError, spawn_blocking},
};

use super::{
    StoreError,
    files::{Files, Loaded},
    folder::WriteError,
    metrics::StoreMetrics,
    staged::{self, Staged},
    table::Table,
};
use crate::domain::{Protection, User};

/// After a failed fsync the answers have so long to leave before the process ends.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// A message with its place in the queue, which is free again when the message has been answered. The place travels
/// with the message because whoever sent it may stop waiting, and its memory is taken all the same.
pub(super) struct Admitted<M> {
    pub(super) verb: M,
    pub(super) permit: OwnedSemaphorePermit,
}

impl<M: Message> Message for Admitted<M> {
    type Result = M::Result;
}

/// Ends the process if the actor panics: its state may be half changed, and a service without its store is no service.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            log::error!("the users store panicked; the process ends");
            process::abort();
        }
    }
}

enum Phase {
    Open,
    /// What was staged is still written; then these are told.
    Closing(Vec<oneshot::Sender<()>>),
    /// An fsync failed and the process is about to end.
    Dying,
}

pub(super) struct StoreActor {
    pub(super) latest: Table,
    pub(super) visible: Table,
    pub(super) protection: Protection,
    next_id: i64,
    next_id_durable: i64,
    queue: VecDeque<Staged>,
    /// The batch that is being written; empty while nothing is.
    writing: Vec<Staged>,
    phase: Phase,
    files: Arc<Files>,
    metrics: StoreMetrics,
    _guard: AbortOnPanic,
}

impl Actor for StoreActor {
    type Context = Context<Self>;
}

impl StoreActor {
    pub(super) fn new(files: Files, loaded: Loaded, protection: Protection, metrics: StoreMetrics) -> Self {
        Self {
            latest: loaded.table.clone(),
            visible: loaded.table,
            protection,
            next_id: loaded.next_id,
            next_id_durable: loaded.next_id_durable,
            queue: VecDeque::new(),
            writing: Vec::new(),
            phase: Phase::Open,
            files: Arc::new(files),
            metrics,
            _guard: AbortOnPanic,
        }
    }

    /// Whether messages are still taken.
    pub(super) const fn check_open(&self) -> Result<(), StoreError> {
        match self.phase {
            Phase::Open => Ok(()),
            Phase::Closing(_) | Phase::Dying => Err(StoreError::Stopping),
        }
    }

    /// An id that nobody has had.
    pub(super) const fn next_id(&self) -> UserId {
        UserId(self.next_id)
    }

    /// The next id has been given away. It stays so even if that change fails on the disk.
    pub(super) const fn spend_id(&mut self) {
        self.next_id += 1;
    }

    /// Stages a change that has passed every check, and resolves once it is durable.
    pub(super) fn stage(
        &mut self,
        context: &mut Context<Self>,
        permit: OwnedSemaphorePermit,
        before: Option<Arc<User>>,
        after: Option<Arc<User>>,
    ) -> ResponseFuture<Result<(), StoreError>> {
        let (reply, answered) = oneshot::channel();
        if let Some(id) = after.as_ref().or(before.as_ref()).map(|user| user.id) {
            let change = Staged { id, before, after, reply, _permit: permit };
            change.apply(&mut self.latest);
            self.queue.push_back(change);
            self.metrics.waiting_changes.inc();
            self.write_next(context);
        }
        Box::pin(async { answered.await.unwrap_or(Err(StoreError::Stopping)) })
    }

    /// Writes the next batch, unless one is being written. `spawn` and not `wait`: the mailbox goes on meanwhile.
    fn write_next(&mut self, context: &mut Context<Self>) {
        if !self.writing.is_empty() || self.queue.is_empty() {
            return;
        }
        self.writing = staged::next_batch(&mut self.queue);
        self.metrics.batch_changes.observe(self.writing.len() as f64);
        let mut users = self.visible.users().clone();
        self.writing.iter().for_each(|change| change.apply_to(&mut users));
        let next_id = self.next_id;
        let moved = (next_id > self.next_id_durable).then_some(next_id);
        let files = Arc::clone(&self.files);
        let written = spawn_blocking(move || files.save(moved, &users));
        context.spawn(written.into_actor(self).map(move |outcome, actor, context| {
            actor.written(outcome, next_id, context);
        }));
    }

    fn written(
        &mut self,
        outcome: Result<Result<(), WriteError>, JoinError>,
        next_id: i64,
        context: &mut Context<Self>,
    ) {
        let batch = mem::take(&mut self.writing);
        self.metrics.waiting_changes.dec_by(i64::try_from(batch.len()).unwrap_or(i64::MAX));
        match outcome {
            Ok(Ok(())) => self.commit(batch, next_id),
            Ok(Err(error)) => self.fail(batch, error),
            Err(error) => {
                log::error!("the writing of users panicked; the process ends: {error}");
                process::abort();
            }
        }
        self.write_next(context);
        self.close_if_done();
    }

    fn commit(&mut self, batch: Vec<Staged>, next_id: i64) {
        self.next_id_durable = next_id;
        batch.iter().for_each(|change| change.apply(&mut self.visible));
        staged::answer(batch, &Ok(()));
    }

    /// Takes back the batch, and with it everything that was checked against it.
    fn fail(&mut self, batch: Vec<Staged>, error: WriteError) {
        self.metrics.failed_writes.inc();
        let gathered: Vec<Staged> = self.queue.drain(..).collect();
        self.metrics.waiting_changes.set(0);
        for change in batch.iter().chain(&gathered).rev() {
            change.undo(&mut self.latest);
        }
        let is_fatal = matches!(error, WriteError::Unknown(_));
        let outcome = StoreError::from(error);
        if is_fatal {
            self.die(&outcome);
            // These have not been written at all.
            staged::answer(gathered, &Err(StoreError::Stopping));
        } else {
            staged::answer(gathered, &Err(outcome.clone()));
        }
        staged::answer(batch, &Err(outcome));
    }

    /// Refuses everything from now on, and ends the process as soon as the answers have had time to leave. The next
    /// start reads what is on the disk.
    fn die(&mut self, why: &StoreError) {
        log::error!("an fsync failed, and what is on the disk is unknown; the process ends: {}", why.chain());
        self.phase = Phase::Dying;
        thread::spawn(|| {
            thread::sleep(LAST_WORDS);
            process::abort();
        });
    }

    /// Ends the actor's work once it is told to and everything staged has been written.
    pub(super) fn close(&mut self) -> oneshot::Receiver<()> {
        let (told, closed) = oneshot::channel();
        match &mut self.phase {
            Phase::Open => self.phase = Phase::Closing(vec![told]),
            Phase::Closing(waiting) => waiting.push(told),
            // The process is about to end: nobody is told that all is well.
            Phase::Dying => drop(told),
        }
        self.close_if_done();
        closed
    }

    fn close_if_done(&mut self) {
        if let Phase::Closing(waiting) = &mut self.phase
            && self.writing.is_empty()
        {
            self.files.unlock();
            for told in waiting.drain(..) {
                // Whoever asked may have given up waiting.
                let _ = told.send(());
            }
        }
    }
}

/// The time at which a change happens.
pub(super) fn now() -> Timestamp {
    Timestamp::of(std::time::SystemTime::now())
}
