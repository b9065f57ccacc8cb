//! Changes on their way to the disk: gathered, written in batches, then made visible or undone. Knows no actor.

use std::{collections::VecDeque, sync::Arc};

use chassis::{
    identity::UserId,
    store::{BatchLimits, Permit, StoreFault},
};
use tokio::sync::oneshot;

use super::{log_line::Change, record, table::Table};
use crate::domain::User;

/// Maximum size of a batch, so that its first change does not wait long for the last: 512 changes of at most about 2 KiB
/// each are 1 MiB.
const BATCH: BatchLimits = BatchLimits { changes_max: 512, bytes_max: 1024 * 1024 };

/// A change that has passed all checks, with the sender of its answer.
pub(super) struct Staged {
    pub(super) id: UserId,
    pub(super) before: Option<Arc<User>>,
    pub(super) after: Option<Arc<User>>,
    pub(super) reply: oneshot::Sender<Result<(), StoreFault>>,
    /// Held until the answer, even if the caller has stopped waiting: it is what bounds the queue.
    pub(super) permit: Permit,
}

impl Staged {
    /// Makes the change in a table.
    pub(super) fn apply(&self, table: &mut Table) {
        set(table, self.id, self.after.as_ref());
    }

    /// Undoes the change. Later changes of the table must have been undone before.
    pub(super) fn undo(&self, table: &mut Table) {
        set(table, self.id, self.before.as_ref());
    }

    /// The change as the log has it.
    pub(super) fn to_change(&self) -> Change {
        Change { id: self.id, after: self.after.clone() }
    }

    fn bytes(&self) -> usize {
        self.after.as_ref().map_or(0, record::size_bytes)
    }
}

fn set(table: &mut Table, id: UserId, user: Option<&Arc<User>>) {
    match user {
        Some(user) => table.put(Arc::clone(user)),
        None => table.remove(id),
    }
}

/// Takes the next batch from the front of the queue.
pub(super) fn next_batch(queue: &mut VecDeque<Staged>) -> Vec<Staged> {
    BATCH.take(queue, Staged::bytes)
}

/// Answers every change of a batch.
pub(super) fn answer(batch: Vec<Staged>, outcome: &Result<(), StoreFault>) {
    for change in batch {
        drop(change.permit);
        // The caller may have stopped waiting; the change is valid nevertheless.
        let _ = change.reply.send(outcome.clone());
    }
}
