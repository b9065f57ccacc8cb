//! The actor that owns the users. It checks a change against everything staged, gathers it with others while one write
//! is in progress, and shows and answers it only once it is durable. Knows no HTTP.
//!
//! The tricky part is that there are two tables. `latest` has every staged change and is what new changes are checked
//! against; `visible` has the durable ones and is what readers see. A write that fails is undone in `latest`. The actor
//! itself never waits for the disk, so that a read takes microseconds even while an fsync stalls.

use std::{
    collections::VecDeque,
    mem, process,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, ResponseFuture, WrapFuture};
use chassis::{
    identity::UserId,
    store::{AbortOnPanic, Permit, StoreFault},
    timestamp::Timestamp,
};
use tokio::{
    sync::oneshot,
    task::{JoinError, spawn_blocking},
};

use super::{
    files::{Files, Loaded},
    folder::WriteError,
    staged::{self, Staged},
    table::Table,
};
use crate::{
    domain::{Protection, User},
    store::{error::StoreError, metrics::StoreMetrics},
};

/// How long the answers have to leave the process before it aborts after a failed fsync.
const ABORT_DELAY: Duration = Duration::from_millis(250);

enum State {
    Open,
    /// Told to stop: what was staged is still written, and then these are notified.
    Closing(Vec<oneshot::Sender<()>>),
    /// An fsync failed and the process is about to abort.
    Failed,
}

pub(crate) struct StoreActor {
    pub(super) latest: Table,
    pub(super) visible: Table,
    pub(super) protection: Protection,
    next_id: i64,
    next_id_durable: i64,
    queue: VecDeque<Staged>,
    /// The batch that is being written; empty while there is none.
    writing: Vec<Staged>,
    state: State,
    pub(super) files: Arc<Files>,
    metrics: StoreMetrics,
    _abort_on_panic: AbortOnPanic,
}

impl Actor for StoreActor {
    type Context = Context<Self>;
}

impl StoreActor {
    pub(crate) fn new(files: Files, loaded: Loaded, protection: Protection, metrics: StoreMetrics) -> Self {
        Self {
            latest: loaded.table.clone(),
            visible: loaded.table,
            protection,
            next_id: loaded.next_id,
            next_id_durable: loaded.next_id_durable,
            queue: VecDeque::new(),
            writing: Vec::new(),
            state: State::Open,
            files: Arc::new(files),
            metrics,
            _abort_on_panic: AbortOnPanic("users store"),
        }
    }

    /// Whether messages are still accepted.
    pub(super) const fn check_open(&self) -> Result<(), StoreFault> {
        match self.state {
            State::Open => Ok(()),
            State::Closing(_) | State::Failed => Err(StoreFault::Stopping),
        }
    }

    /// The next id, never used before.
    pub(super) const fn next_id(&self) -> UserId {
        UserId(self.next_id)
    }

    /// Marks the next id as used. It stays so even if the change that uses it fails on the disk.
    pub(super) const fn use_next_id(&mut self) {
        self.next_id += 1;
    }

    /// Stages a change that has passed every check, and resolves once it is durable.
    pub(super) fn stage(
        &mut self,
        context: &mut Context<Self>,
        permit: Permit,
        before: Option<Arc<User>>,
        after: Option<Arc<User>>,
    ) -> ResponseFuture<Result<(), StoreError>> {
        let (reply, answered) = oneshot::channel();
        if let Some(id) = after.as_ref().or(before.as_ref()).map(|user| user.id) {
            let change = Staged { id, before, after, reply, permit };
            change.apply(&mut self.latest);
            self.queue.push_back(change);
            self.write_next_batch(context);
        }
        Box::pin(async { answered.await.unwrap_or(Err(StoreFault::Stopping)).map_err(StoreError::from) })
    }

    /// Writes the next batch, unless one is being written already. `spawn` and not `wait`, which would leave messages in
    /// the mailbox meanwhile.
    fn write_next_batch(&mut self, context: &mut Context<Self>) {
        if !self.writing.is_empty() || self.queue.is_empty() {
            return;
        }
        self.writing = staged::next_batch(&mut self.queue);
        let mut users = self.visible.users().clone();
        self.writing.iter().for_each(|change| change.apply_to(&mut users));
        let next_id = self.next_id;
        let next_id_to_save = (next_id > self.next_id_durable).then_some(next_id);
        let files = Arc::clone(&self.files);
        let started = Instant::now();
        let written = spawn_blocking(move || files.save(next_id_to_save, &users));
        context.spawn(written.into_actor(self).map(move |outcome, actor, context| {
            actor.batch_written(outcome, started.elapsed(), next_id);
            actor.write_next_batch(context);
            actor.close_if_done();
        }));
    }

    fn batch_written(&mut self, outcome: Result<Result<(), WriteError>, JoinError>, elapsed: Duration, next_id: i64) {
        let batch = mem::take(&mut self.writing);
        self.metrics.commits.batch_finished(batch.len(), elapsed, matches!(outcome, Ok(Ok(()))));
        match outcome {
            Ok(Ok(())) => self.commit(batch, next_id),
            Ok(Err(error)) => self.undo(batch, error),
            Err(error) => {
                log::error!("writing the users panicked; the process ends: {error}");
                process::abort();
            }
        }
    }

    fn commit(&mut self, batch: Vec<Staged>, next_id: i64) {
        self.next_id_durable = next_id;
        batch.iter().for_each(|change| change.apply(&mut self.visible));
        staged::answer(batch, &Ok(()));
    }

    /// Undoes the batch that failed, and with it everything that was checked against it.
    fn undo(&mut self, batch: Vec<Staged>, error: WriteError) {
        let gathered: Vec<Staged> = self.queue.drain(..).collect();
        for change in batch.iter().chain(&gathered).rev() {
            change.undo(&mut self.latest);
        }
        let fault = StoreFault::from(error);
        if matches!(fault, StoreFault::OutcomeUnknown(_)) {
            self.fail(&fault);
            // These have not been written at all.
            staged::answer(gathered, &Err(StoreFault::Stopping));
        } else {
            staged::answer(gathered, &Err(fault.clone()));
        }
        staged::answer(batch, &Err(fault));
    }

    /// Refuses everything from now on, and aborts the process as soon as the answers have had time to leave. The next
    /// start reads what is on the disk.
    fn fail(&mut self, fault: &StoreFault) {
        log::error!("an fsync failed, so that the state of the disk is unknown; the process ends: {}", fault.chain());
        self.state = State::Failed;
        thread::spawn(|| {
            thread::sleep(ABORT_DELAY);
            process::abort();
        });
    }

    /// Refuses new messages, and resolves once everything staged has been written.
    pub(super) fn close(&mut self) -> oneshot::Receiver<()> {
        let (waiter, closed) = oneshot::channel();
        match &mut self.state {
            State::Open => self.state = State::Closing(vec![waiter]),
            State::Closing(waiters) => waiters.push(waiter),
            // The process is about to abort: dropping the sender reports that the store did not end in order.
            State::Failed => drop(waiter),
        }
        self.close_if_done();
        closed
    }

    fn close_if_done(&mut self) {
        if let State::Closing(waiters) = &mut self.state
            && self.writing.is_empty()
        {
            self.files.unlock();
            for waiter in waiters.drain(..) {
                // The caller may have stopped waiting.
                let _ = waiter.send(());
            }
        }
    }
}

/// The time at which a change happens.
pub(super) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}
