//! Changes on their way to the disk: gathered, written in batches, then visible, or taken back. Knows no actor.

use std::{collections::VecDeque, sync::Arc};

use chassis::identity::UserId;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    StoreError, record,
    table::{Table, Users},
};
use crate::domain::User;

/// A batch has at most so many changes, so that the first of them does not wait long for the last.
const BATCH_CHANGES_MAX: usize = 512;
/// And at most about so many bytes: 512 changes of 2 KiB each.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// A change that has passed all checks, and whoever waits for it.
pub(super) struct Staged {
    pub(super) id: UserId,
    pub(super) before: Option<Arc<User>>,
    pub(super) after: Option<Arc<User>>,
    pub(super) reply: oneshot::Sender<Result<(), StoreError>>,
    /// Held until the answer, whether or not anybody still waits for it: it is what bounds the queue.
    pub(super) _permit: OwnedSemaphorePermit,
}

impl Staged {
    /// Makes the change in a table.
    pub(super) fn apply(&self, table: &mut Table) {
        set(table, self.id, self.after.as_ref());
    }

    /// Takes the change back. Later changes of the table must have been taken back before.
    pub(super) fn undo(&self, table: &mut Table) {
        set(table, self.id, self.before.as_ref());
    }

    /// Makes the change in a plain map.
    pub(super) fn apply_to(&self, users: &mut Users) {
        match &self.after {
            Some(user) => users.insert(self.id, Arc::clone(user)),
            None => users.remove(&self.id),
        };
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

/// Takes the next batch from the front of the queue; it has at least one change unless the queue is empty.
pub(super) fn next_batch(queue: &mut VecDeque<Staged>) -> Vec<Staged> {
    let mut bytes = 0;
    let fitting = queue.iter().take(BATCH_CHANGES_MAX).take_while(|change| {
        let is_first = bytes == 0;
        bytes += change.bytes().max(1);
        is_first || bytes <= BATCH_BYTES_MAX
    });
    let count = fitting.count();
    queue.drain(..count).collect()
}

/// Answers every change of a batch.
pub(super) fn answer(batch: Vec<Staged>, outcome: &Result<(), StoreError>) {
    for change in batch {
        // Whoever asked may have gone; the change stands all the same.
        let _ = change.reply.send(outcome.clone());
    }
}

#[cfg(test)]
mod tests {
    use chassis::timestamp::Timestamp;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::domain::{FullName, NewUser, UserName, UserType};

    fn queue(count: usize, full_name: &str) -> VecDeque<Staged> {
        let new = NewUser {
            username: UserName::parse("ann").unwrap(),
            email: None,
            full_name: Some(FullName::parse(full_name).unwrap()),
            user_type: UserType::Default,
            hashed_password: "$2b$12$16kNu5IW80k1Tw7xz2H3iOCsz0.oMZ7q5OSGa/OIfOae0WGFe8aI2".parse().unwrap(),
            created_by: None,
        };
        let user = Arc::new(new.into_user(UserId(1), Timestamp::of_unix_micros(0).unwrap()));
        let permits = Arc::new(Semaphore::new(count));
        let staged = |_| Staged {
            id: UserId(1),
            before: None,
            after: Some(Arc::clone(&user)),
            reply: oneshot::channel().0,
            _permit: Arc::clone(&permits).try_acquire_owned().unwrap(),
        };
        (0..count).map(staged).collect()
    }

    #[test]
    fn a_batch_is_bounded_and_nothing_is_left_behind() {
        for (count, name, expected) in [
            (0, "", vec![]),
            (1, "", vec![1]),
            (512, "", vec![512]),
            (513, "", vec![512, 1]),
            (1100, "", vec![512, 512, 76]),
        ] {
            let mut queue = queue(count, name);
            let mut sizes = Vec::new();
            while !queue.is_empty() {
                sizes.push(next_batch(&mut queue).len());
            }
            assert_eq!(sizes, expected);
        }
    }
}
