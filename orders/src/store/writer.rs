//! The actor that owns the connection for writing: it gathers changes into batches and commits them. It knows no database:
//! the [`Committer`] makes a batch durable.
//!
//! It runs on a thread of its own (an arbiter with no other actor) and blocks that thread while it commits. Changes that
//! arrive meanwhile stay in the mailbox, where permits bound them; afterwards they form the next batch.
//!
//! The tricky part is how it gathers. The first change that arrives makes the actor notify itself to commit. Actix handles
//! what is in the mailbox before such a notification, so that every change that has arrived by then is part of the batch.
//! Only the size of batches depends on that order, and a test holds it.
//!
//! Why not a `SyncArbiter`, as for reading: it hands one message at a time to its thread, which could never see what else
//! is waiting.

use std::{collections::VecDeque, time::Instant};

use actix::{Actor, AsyncContext, Context, Handler, Message};
use chassis::store::{AbortOnPanic, Admitted, BatchLimits, Permit, Shutdown, StoreFault};
use tokio::sync::{oneshot, watch};

use super::{
    database::{Committer, Outcome},
    metrics::StoreMetrics,
};
use crate::domain::Change;

/// Maximum size of a batch. A commit of 256 changes takes only milliseconds more than the fsync in it, and 256 KiB stay in
/// the page cache of SQLite (16 MiB), so that only the COMMIT writes to the disk.
const BATCH: BatchLimits = BatchLimits { changes_max: 256, bytes_max: 256 * 1024 };

/// Gathers and commits changes.
pub(super) struct Writer {
    committer: Box<dyn Committer>,
    gathered: VecDeque<Waiting>,
    is_closed: bool,
    failed: watch::Sender<bool>,
    committed: watch::Sender<()>,
    metrics: StoreMetrics,
    _abort_on_panic: AbortOnPanic,
}

/// A change that waits to be committed.
struct Waiting {
    change: Change,
    answer: oneshot::Sender<Outcome>,
    /// Held until the answer, even if the caller has stopped waiting: it is what bounds the queue.
    permit: Permit,
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.change.bytes()
    }

    fn answer(self, answer: Outcome) {
        drop(self.permit);
        // The caller may have stopped waiting; the change is made nevertheless.
        let _ = self.answer.send(answer);
    }
}

impl Actor for Writer {
    type Context = Context<Self>;
}

impl Writer {
    /// A writer that owns `committer`. `failed` becomes true when a write has an unknown outcome; `committed` changes with
    /// each batch.
    pub(super) fn new(
        committer: Box<dyn Committer>,
        failed: watch::Sender<bool>,
        committed: watch::Sender<()>,
        metrics: StoreMetrics,
    ) -> Self {
        Self {
            committer,
            gathered: VecDeque::new(),
            is_closed: false,
            failed,
            committed,
            metrics,
            _abort_on_panic: AbortOnPanic("orders writer"),
        }
    }

    /// Whether changes are still accepted.
    fn check_open(&self) -> Result<(), StoreFault> {
        if self.is_closed || *self.failed.borrow() { Err(StoreFault::Stopping) } else { Ok(()) }
    }

    /// Commits the next batch and answers it, then lets the committer do what the database needs, where it delays no answer.
    fn commit_next_batch(&mut self) {
        let batch = BATCH.take(&mut self.gathered, Waiting::bytes);
        match self.check_open().and_then(|()| self.commit(&batch)) {
            Ok(answers) => {
                self.committed.send_replace(());
                batch.into_iter().zip(answers).for_each(|(waiting, answer)| waiting.answer(answer));
            }
            Err(fault) => batch.into_iter().for_each(|waiting| waiting.answer(Err(fault.clone().into()))),
        }
        self.committer.maintain();
    }

    fn commit(&mut self, batch: &[Waiting]) -> Result<Vec<Outcome>, StoreFault> {
        let start = Instant::now();
        let changes: Vec<&Change> = batch.iter().map(|waiting| &waiting.change).collect();
        let committed = self.committer.commit(&changes);
        self.metrics.commits.batch_finished(batch.len(), start.elapsed(), committed.is_ok());
        if let Err(fault @ StoreFault::OutcomeUnknown(_)) = &committed {
            let chain = fault.chain();
            log::error!("a commit failed, so that the state of the disk is unknown; the process ends: {chain}");
            // Before the answers, so that a caller who has one finds the store failed.
            self.failed.send_replace(true);
        }
        committed
    }
}

/// Makes one change, of whatever kind: all of them are gathered together.
///
/// The answer goes through a channel of its own and not through the result of the message: actix would deliver that only
/// when the actor pauses, after the commits of later batches.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Write {
    pub(super) change: Change,
    pub(super) answer: oneshot::Sender<Outcome>,
}

impl Handler<Admitted<Write>> for Writer {
    type Result = ();

    fn handle(&mut self, Admitted { message, permit, .. }: Admitted<Write>, context: &mut Context<Self>) {
        let waiting = Waiting { change: message.change, answer: message.answer, permit };
        if let Err(fault) = self.check_open() {
            return waiting.answer(Err(fault.into()));
        }
        if self.gathered.is_empty() {
            context.notify(Commit);
        }
        self.gathered.push_back(waiting);
    }
}

/// Commits a batch. The actor sends it to itself as long as there are changes to commit.
#[derive(Message)]
#[rtype(result = "()")]
struct Commit;

impl Handler<Commit> for Writer {
    type Result = ();

    fn handle(&mut self, _: Commit, context: &mut Context<Self>) {
        self.commit_next_batch();
        if !self.gathered.is_empty() {
            context.notify(Commit);
        }
    }
}

impl Handler<Shutdown> for Writer {
    type Result = Result<(), StoreFault>;

    fn handle(&mut self, _: Shutdown, _: &mut Context<Self>) -> Self::Result {
        while !self.gathered.is_empty() {
            self.commit_next_batch();
        }
        if !self.is_closed {
            self.is_closed = true;
            self.committer.close();
        }
        Ok(())
    }
}
