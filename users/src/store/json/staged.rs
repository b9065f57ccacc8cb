//! Changes on their way to the disk: gathered, written in batches, then made visible or undone. Knows no actor.
//!
//! A change is what one request asked for. It may have several effects, a new password and the end of sessions for
//! example, which are never in different batches, and so become durable together or not at all.

use std::{collections::VecDeque, sync::Arc};

use chassis::{
    identity::UserId,
    store::{BatchLimits, Permit, StoreFault},
};
use tokio::sync::oneshot;

use super::{log_line::Change, record, session_record, sessions::Sessions, table::Table};
use crate::audit::Event;
use crate::domain::{EndReason, EndedSession, Session, User};

/// Maximum size of a batch, so that its first change does not wait long for the last: 512 changes of at most about 2 KiB
/// each are 1 MiB. The ends of all sessions of a user take up to 8 KiB more.
const BATCH: BatchLimits = BatchLimits { changes_max: 512, bytes_max: 1024 * 1024 };

/// Size of the record of an ended session.
const END_BYTES: usize = 80;

/// Users and sessions.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    pub(super) users: Table,
    pub(super) sessions: Sessions,
}

/// A change that has passed all checks, with the sender of its answer.
pub(super) struct Staged {
    pub(super) effects: Vec<Effect>,
    /// What the audit log says of it.
    pub(super) events: Vec<Event>,
    pub(super) reply: oneshot::Sender<Result<(), StoreFault>>,
    /// Held until the answer, even if the caller has stopped waiting: it is what bounds the queue.
    pub(super) permit: Permit,
}

/// What a change does to one record.
pub(super) enum Effect {
    /// A user is created, changed or deleted.
    User {
        id: UserId,
        before: Option<Arc<User>>,
        after: Option<Arc<User>>,
    },
    /// A session is opened or refreshed.
    Session {
        before: Option<Arc<Session>>,
        after: Arc<Session>,
    },
    SessionEnded {
        before: Arc<Session>,
        ended: EndedSession,
        reason: EndReason,
    },
}

impl Effect {
    fn apply(&self, tables: &mut Tables) {
        match self {
            Self::User { id, after, .. } => set(&mut tables.users, *id, after.as_ref()),
            Self::Session { after, .. } => tables.sessions.put(Arc::clone(after)),
            Self::SessionEnded { ended, .. } => tables.sessions.remove(ended.id),
        }
    }

    fn undo(&self, tables: &mut Tables) {
        match self {
            Self::User { id, before, .. } => set(&mut tables.users, *id, before.as_ref()),
            Self::Session { before: None, after } => tables.sessions.remove(after.id),
            Self::Session { before: Some(before), .. } | Self::SessionEnded { before, .. } => {
                tables.sessions.put(Arc::clone(before));
            }
        }
    }

    fn to_change(&self) -> Change {
        match self {
            Self::User { id, after, .. } => Change::User { id: *id, after: after.clone() },
            Self::Session { after, .. } => Change::Session(Arc::clone(after)),
            Self::SessionEnded { ended, .. } => Change::SessionEnded(*ended),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::User { after, .. } => after.as_ref().map_or(0, record::size_bytes),
            Self::Session { after, .. } => session_record::size_bytes(after),
            Self::SessionEnded { .. } => END_BYTES,
        }
    }
}

impl Staged {
    /// Makes the change in the tables.
    pub(super) fn apply(&self, tables: &mut Tables) {
        self.effects.iter().for_each(|effect| effect.apply(tables));
    }

    /// Undoes the change. Later changes of the tables must have been undone before.
    pub(super) fn undo(&self, tables: &mut Tables) {
        self.effects.iter().rev().for_each(|effect| effect.undo(tables));
    }

    /// The change as the log has it.
    pub(super) fn to_changes(&self) -> impl Iterator<Item = Change> {
        self.effects.iter().map(Effect::to_change)
    }

    fn bytes(&self) -> usize {
        self.effects.iter().map(Effect::bytes).sum()
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
