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
    sync::{oneshot, watch},
    task::{JoinError, spawn_blocking},
};

use super::{
    contents::{Contents, Loaded},
    events,
    files::{CompactionDue, Files},
    folder::WriteError,
    log_line::Change,
    sessions::{EndedSessions, LiveSessions},
    staged::{self, Effect, Staged, Tables},
    table::Users,
};
use crate::{
    audit::{Audit, Event, Initiator},
    domain::{EndedSession, Protection, Session, SessionLimits},
    store::{error::StoreError, metrics::StoreMetrics},
};

/// How long the answers have to leave the process before it aborts after a failed fsync.
const ABORT_DELAY: Duration = Duration::from_millis(250);

enum State {
    Open,
    /// Told to stop: what was staged is still written, and then these are notified.
    Closing(Vec<oneshot::Sender<()>>),
    /// Everything is in the files, and the folder is unlocked.
    Closed,
    /// An fsync failed and the process is about to abort.
    Failed,
}

/// What is being done with the files beside writing batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upkeep {
    Idle,
    /// The log is large: before the next batch is written, a new log begins.
    RotationDue,
    /// A new log is being begun; no batch is written meanwhile.
    Rotating,
    /// New files are being written, beside the batches.
    Compacting,
    /// The last time that new files are written, after the last batch.
    Finishing,
}

/// What the store allows.
pub(crate) struct Rules {
    pub(crate) protection: Protection,
    pub(crate) sessions: SessionLimits,
}

/// Where the store reports what it has done.
pub(crate) struct Reports {
    pub(crate) audit: Audit,
    pub(crate) metrics: StoreMetrics,
    /// The number of sessions that have ended, for those who wait for the next one.
    pub(crate) ended_count: watch::Sender<u64>,
}

/// Everything as of one moment.
struct Snapshot {
    users: Users,
    sessions: LiveSessions,
    ended: Vec<EndedSession>,
    next_id: i64,
}

impl Snapshot {
    fn contents(&self) -> Contents<'_> {
        let Self { users, sessions, ended, next_id } = self;
        Contents { users, sessions, ended, next_id: *next_id }
    }
}

pub(crate) struct StoreActor {
    pub(super) latest: Tables,
    pub(super) visible: Tables,
    /// The sessions that have ended, durably.
    pub(super) ended: EndedSessions,
    /// How many sessions have ended, for those who wait for the next one.
    ended_count: watch::Sender<u64>,
    pub(super) protection: Protection,
    pub(super) session_limits: SessionLimits,
    next_id: i64,
    queue: VecDeque<Staged>,
    /// The batch that is being written; empty while there is none.
    writing: Vec<Staged>,
    /// What else is being done with the files.
    upkeep: Upkeep,
    state: State,
    pub(super) files: Arc<Files>,
    audit: Audit,
    metrics: StoreMetrics,
    _abort_on_panic: AbortOnPanic,
}

impl Actor for StoreActor {
    type Context = Context<Self>;
}

impl StoreActor {
    pub(crate) fn new(files: Files, loaded: Loaded, rules: Rules, reports: Reports) -> Self {
        let Reports { audit, metrics, ended_count } = reports;
        let mut actor = Self {
            latest: loaded.tables.clone(),
            visible: loaded.tables,
            ended: EndedSessions::new(loaded.ended),
            ended_count,
            protection: rules.protection,
            session_limits: rules.sessions,
            next_id: loaded.next_id,
            queue: VecDeque::new(),
            writing: Vec::new(),
            upkeep: Upkeep::Idle,
            state: State::Open,
            files: Arc::new(files),
            audit,
            metrics,
            _abort_on_panic: AbortOnPanic("users store"),
        };
        actor.forget_ended_sessions();
        actor
    }

    /// Whether messages are still accepted.
    pub(super) const fn check_open(&self) -> Result<(), StoreFault> {
        match self.state {
            State::Open => Ok(()),
            State::Closing(_) | State::Closed | State::Failed => Err(StoreFault::Stopping),
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
        effects: Vec<Effect>,
        initiator: Initiator,
    ) -> ResponseFuture<Result<(), StoreError>> {
        let (reply, answered) = oneshot::channel();
        let events = events::of_effects(&effects, initiator, &self.latest.users);
        let change = Staged { effects, events, reply, permit };
        change.apply(&mut self.latest);
        self.queue.push_back(change);
        self.write_next_batch(context);
        Box::pin(async { answered.await.unwrap_or(Err(StoreFault::Stopping)).map_err(StoreError::from) })
    }

    /// Writes the next batch, unless one is being written already. `spawn` and not `wait`, which would leave messages in
    /// the mailbox meanwhile.
    fn write_next_batch(&mut self, context: &mut Context<Self>) {
        if !self.writing.is_empty() || self.queue.is_empty() || self.upkeep == Upkeep::Rotating {
            return;
        }
        self.writing = staged::next_batch(&mut self.queue);
        let changes: Vec<Change> = self.writing.iter().flat_map(Staged::to_changes).collect();
        let events = self.writing.iter_mut().flat_map(|change| mem::take(&mut change.events)).collect();
        let next_id = self.next_id;
        let (files, audit) = (Arc::clone(&self.files), self.audit.clone());
        let started = Instant::now();
        let written = spawn_blocking(move || audited(&audit, events, || files.append(&changes, next_id)));
        context.spawn(written.into_actor(self).map(move |outcome, actor, context| {
            actor.batch_written(joined(outcome), started.elapsed());
            actor.go_on(context);
        }));
    }

    /// Begins whatever is next, after something has been done with the files.
    fn go_on(&mut self, context: &mut Context<Self>) {
        self.rotate_if_due(context);
        self.write_next_batch(context);
        self.close_if_done(context);
    }

    fn batch_written(&mut self, outcome: Result<CompactionDue, StoreFault>, elapsed: Duration) {
        let batch = mem::take(&mut self.writing);
        self.metrics.commits.batch_finished(batch.len(), elapsed, outcome.is_ok());
        match outcome {
            Ok(CompactionDue(is_due)) => {
                batch.iter().for_each(|change| change.apply(&mut self.visible));
                self.count_sessions(batch.iter().flat_map(|change| &change.effects));
                staged::answer(batch, &Ok(()));
                if is_due && self.upkeep == Upkeep::Idle {
                    self.upkeep = Upkeep::RotationDue;
                }
            }
            Err(fault) => self.undo(batch, fault),
        }
    }

    /// Counts what has happened to sessions, and remembers those that have ended.
    fn count_sessions<'a>(&mut self, effects: impl Iterator<Item = &'a Effect>) {
        let metrics = &self.metrics.sessions;
        for effect in effects {
            match effect {
                Effect::User { .. } => {}
                Effect::Session { before: None, .. } => drop(metrics.opened.inc()),
                Effect::Session { before: Some(_), .. } => drop(metrics.refreshed.inc()),
                Effect::SessionEnded { ended, reason, .. } => {
                    metrics.ended(*reason).inc();
                    self.ended.push(*ended);
                }
            }
        }
        self.forget_ended_sessions();
        let count = self.ended.count();
        self.ended_count.send_if_modified(|known| mem::replace(known, count) != count);
    }

    /// Forgets sessions that ended so long ago that no access token of them is valid.
    pub(super) fn forget_ended_sessions(&mut self) {
        let kept_since = SystemTime::now().checked_sub(self.session_limits.ended_kept);
        if let Some(kept_since) = kept_since {
            self.ended.forget_until(kept_since.into());
        }
        self.metrics.sessions.count(self.visible.sessions.live().len(), self.ended.kept().len());
    }

    /// Removes the sessions of a user, or of all, that have ended by time. Nothing is written: whoever reads the record
    /// finds out as well.
    pub(super) fn remove_expired_sessions(&mut self, user: Option<UserId>) {
        let (limits, now) = (self.session_limits, now());
        let is_over = |session: &Session| session.is_expired(&limits, now);
        self.latest.sessions.remove_where(user, is_over);
        self.visible.sessions.remove_where(user, is_over);
    }

    /// Everything as it is now, to be written to new files.
    ///
    /// The copies of the maps are a pointer for each record: tens of milliseconds with a million users, once in about a
    /// million changes.
    fn snapshot(&mut self) -> Snapshot {
        self.remove_expired_sessions(None);
        self.forget_ended_sessions();
        Snapshot {
            users: self.visible.users.users().clone(),
            sessions: self.visible.sessions.live().clone(),
            ended: self.ended.kept().iter().copied().collect(),
            next_id: self.next_id,
        }
    }

    /// Begins a new log between two batches, so that all changes of the old one are visible.
    fn rotate_if_due(&mut self, context: &mut Context<Self>) {
        if self.upkeep != Upkeep::RotationDue || !self.writing.is_empty() || !matches!(self.state, State::Open) {
            return;
        }
        self.upkeep = Upkeep::Rotating;
        let files = Arc::clone(&self.files);
        let rotated = spawn_blocking(move || files.rotate());
        context.spawn(rotated.into_actor(self).map(|outcome, actor, context| {
            match joined(outcome) {
                Ok(()) => actor.compact(context),
                Err(error) => actor.upkeep_failed(error),
            }
            actor.go_on(context);
        }));
    }

    /// Writes everything to new files as it is now, while changes go into the new log.
    fn compact(&mut self, context: &mut Context<Self>) {
        self.upkeep = Upkeep::Compacting;
        let (files, snapshot) = (Arc::clone(&self.files), self.snapshot());
        let started = Instant::now();
        let compacted = spawn_blocking(move || files.compact(snapshot.contents()));
        context.spawn(compacted.into_actor(self).map(move |outcome, actor, context| {
            match joined(outcome) {
                Ok(()) => {
                    actor.upkeep = Upkeep::Idle;
                    actor.metrics.compaction_seconds.observe(started.elapsed().as_secs_f64());
                }
                Err(error) => actor.upkeep_failed(error),
            }
            actor.go_on(context);
        }));
    }

    /// The log has everything that the files lack, so that nothing is lost. It is tried again later.
    fn upkeep_failed(&mut self, error: WriteError) {
        self.upkeep = Upkeep::Idle;
        self.metrics.failed_compactions.inc();
        let fault = StoreFault::from(error);
        if matches!(fault, StoreFault::OutcomeUnknown(_)) {
            self.fail(&fault);
        } else {
            log::error!("cannot compact the log of the users, which goes on growing: {}", fault.chain());
        }
    }

    /// Undoes the batch that failed, and with it everything that was checked against it.
    fn undo(&mut self, batch: Vec<Staged>, fault: StoreFault) {
        let gathered: Vec<Staged> = self.queue.drain(..).collect();
        for change in batch.iter().chain(&gathered).rev() {
            change.undo(&mut self.latest);
        }
        if matches!(fault, StoreFault::OutcomeUnknown(_)) {
            self.fail(&fault);
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
        // These have not been written at all, and are not any more.
        staged::answer(self.queue.drain(..).collect(), &Err(StoreFault::Stopping));
        thread::spawn(|| {
            thread::sleep(ABORT_DELAY);
            process::abort();
        });
    }

    /// Refuses new messages, and resolves once everything staged has been written.
    pub(super) fn close(&mut self, context: &mut Context<Self>) -> oneshot::Receiver<()> {
        let (waiter, closed) = oneshot::channel();
        match &mut self.state {
            State::Open => self.state = State::Closing(vec![waiter]),
            State::Closing(waiters) => waiters.push(waiter),
            State::Closed => notify(waiter),
            // The process is about to abort: dropping the sender reports that the store did not end in order.
            State::Failed => drop(waiter),
        }
        self.close_if_done(context);
        closed
    }

    /// Moves the log into new files after the last batch, so that an orderly end leaves all users in one file.
    fn close_if_done(&mut self, context: &mut Context<Self>) {
        let is_idle = self.writing.is_empty() && matches!(self.upkeep, Upkeep::Idle | Upkeep::RotationDue);
        if !matches!(self.state, State::Closing(_)) || !is_idle {
            return;
        }
        self.upkeep = Upkeep::Finishing;
        let (files, snapshot) = (Arc::clone(&self.files), self.snapshot());
        let audit = self.audit.clone();
        let finished = spawn_blocking(move || {
            if let Err(fault) = audit.stop_blocking() {
                log::warn!("the end of the service is not in the audit log: {}", fault.chain());
            }
            files.finish(snapshot.contents())
        });
        context.spawn(finished.into_actor(self).map(|outcome, actor, _| actor.finished(joined(outcome))));
    }

    fn finished(&mut self, outcome: Result<(), WriteError>) {
        if let Err(error) = outcome {
            let fault = StoreFault::from(error);
            log::warn!("the log of the users could not be compacted; the next start reads it: {}", fault.chain());
        }
        self.files.unlock();
        if let State::Closing(waiters) = mem::replace(&mut self.state, State::Closed) {
            waiters.into_iter().for_each(notify);
        }
    }
}

/// Makes changes durable, once the audit log says so durably. A crash in between leaves lines about changes that were not
/// made; where they fail, the log says that, too.
fn audited(
    audit: &Audit,
    events: Vec<Event>,
    write: impl FnOnce() -> Result<CompactionDue, WriteError>,
) -> Result<CompactionDue, StoreFault> {
    audit.record_blocking(events.clone())?;
    write().map_err(|error| {
        events.into_iter().for_each(|event| audit.note(event.failed()));
        error.into()
    })
}

fn notify(waiter: oneshot::Sender<()>) {
    // The caller may have stopped waiting.
    let _ = waiter.send(());
}

/// What a job with the files returned. After a panic in it, nothing is known about them.
fn joined<T>(outcome: Result<T, JoinError>) -> T {
    outcome.unwrap_or_else(|error| {
        log::error!("a job of the users store panicked; the process ends: {error}");
        process::abort();
    })
}

/// The time at which a change happens.
pub(super) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}
