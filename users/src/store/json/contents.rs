//! What is in the files of the store: all users, sessions and changes, read together as a start does. Changes no file.

use std::{collections::HashMap, path::Path, sync::Arc};

use chassis::{config::StartError, identity::UserId, timestamp::Timestamp};

use super::{
    folder,
    log_file::{LOG_FILE, OLD_LOG_FILE},
    log_line::{self, Change, Damage, Decoded},
    record::{self, Meta},
    session_record::StoredSessions,
    sessions::{LiveSessions, Sessions},
    staged::Tables,
    table::{Table, Users},
};
use crate::domain::{EndedSession, SessionId, User};

pub(super) const USERS_FILE: &str = "users.json";
pub(super) const SESSIONS_FILE: &str = "sessions.json";
pub(super) const META_FILE: &str = "users.meta.json";

/// What was read from the files.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(super) tables: Tables,
    /// The sessions that have ended, the oldest first.
    pub(super) ended: Vec<EndedSession>,
    pub(super) next_id: i64,
}

/// What is written to new files.
#[derive(Clone, Copy)]
pub(super) struct Contents<'a> {
    pub(super) users: &'a Users,
    pub(super) sessions: &'a LiveSessions,
    pub(super) ended: &'a [EndedSession],
    pub(super) next_id: i64,
}

impl Loaded {
    pub(crate) fn is_empty(&self) -> bool {
        self.tables.users.users().is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.tables.users.users().len()
    }

    pub(crate) const fn has_admin(&self) -> bool {
        self.tables.users.active_admins() > 0
    }

    /// The next id, never used before.
    pub(crate) const fn next_id(&self) -> UserId {
        UserId(self.next_id)
    }

    /// The highest cost of all password hashes.
    pub(crate) fn hash_cost_max(&self) -> Option<u32> {
        self.tables.users.hash_cost_max()
    }

    pub(super) fn contents(&self) -> Contents<'_> {
        Contents {
            users: self.tables.users.users(),
            sessions: self.tables.sessions.live(),
            ended: &self.ended,
            next_id: self.next_id,
        }
    }
}

/// What was read from the logs.
#[derive(Default)]
pub(super) struct Logs {
    pub(super) old: Option<Decoded>,
    pub(super) current: Decoded,
    pub(super) current_bytes: usize,
    /// Number of changes in both.
    pub(super) changes: usize,
}

/// What the files have, as [`check`] found them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) users: usize,
    /// The next id, never used before.
    pub(crate) next_id: UserId,
    /// Changes in the log, which the next start moves into `users.json`.
    pub(crate) logged_changes: usize,
    /// Size of a write that a crash cut short, and that was never acknowledged. The next start removes it.
    pub(crate) cut_bytes: usize,
}

impl Logs {
    pub(super) const fn cut_bytes(&self) -> usize {
        self.current_bytes - self.current.whole_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.old.is_none() && self.current_bytes == 0
    }
}

/// Reads all files as a start does, and changes none.
///
/// # Errors
/// Lists everything that is wrong with them.
pub(super) fn check(folder: &Path) -> Result<Summary, StartError> {
    let (loaded, logs) = load(folder)?;
    Ok(Summary {
        users: loaded.count(),
        next_id: loaded.next_id(),
        logged_changes: logs.changes,
        cut_bytes: logs.cut_bytes(),
    })
}

/// Reads all users as a start does, and changes no file.
///
/// # Errors
/// Lists everything that is wrong with the files.
pub(super) fn read(folder: &Path) -> Result<Loaded, StartError> {
    load(folder).map(|(loaded, _)| loaded)
}

/// Reads all files, and changes none.
pub(super) fn load(folder: &Path) -> Result<(Loaded, Logs), StartError> {
    let mut mistakes = Vec::new();
    let mistake = |name: &str, what: &str| format!("{}: {what}", folder.join(name).display());
    let meta = folder::read(folder, META_FILE)?.map_or(Ok(Meta::new(0)), |bytes| Meta::parse(&bytes));
    let meta = meta.unwrap_or_else(|what| {
        mistakes.push(mistake(META_FILE, &what));
        Meta::new(0)
    });
    let mut parsed = folder::read(folder, USERS_FILE)?.map(|bytes| record::parse(&bytes)).unwrap_or_default();
    let stored = folder::read(folder, SESSIONS_FILE)?
        .map_or(Ok(StoredSessions::default()), |bytes| StoredSessions::parse(&bytes));
    let stored = stored.unwrap_or_else(|what| {
        mistakes.push(mistake(SESSIONS_FILE, &what));
        StoredSessions::default()
    });
    let mut logs = read_logs(folder)?.unwrap_or_else(|(name, damage)| {
        mistakes.push(mistake(name, &explain(&damage)));
        Logs::default()
    });
    let next_id = logs.old.as_ref().map_or(0, |old| old.next_id).max(logs.current.next_id).max(meta.next_id);
    let replayed = replay(parsed.users, stored, &mut logs);
    let users = Table::from_users(replayed.users, &mut parsed.mistakes);
    mistakes.extend(parsed.mistakes.iter().map(|what| mistake(USERS_FILE, what)));
    if !mistakes.is_empty() {
        let listed = mistakes.join("\n  ");
        return Err(StartError::failed(format!("nothing was changed, but the data cannot be used:\n  {listed}")));
    }
    Ok((loaded(users, replayed.sessions, replayed.ended, next_id), logs))
}

/// What was read, with the next id behind all ids.
pub(super) fn loaded(
    users: Table,
    mut live: LiveSessions,
    ended: HashMap<SessionId, Timestamp>,
    next_id: i64,
) -> Loaded {
    let after_max = users.id_max().map_or(1, |id| id.0 + 1);
    // Those of users who are gone are in no file of ours, but in files that were put together by hand.
    live.retain(|_, session| users.get(session.user_id).is_ok());
    let mut ended: Vec<_> = ended.into_iter().map(|(id, at)| EndedSession { id, at }).collect();
    ended.sort_by_key(|ended| ended.at);
    Loaded { tables: Tables { users, sessions: Sessions::new(live) }, ended, next_id: next_id.max(after_max) }
}

/// Reads the old log, if there is one, and the current one.
fn read_logs(folder: &Path) -> Result<Result<Logs, (&'static str, Damage)>, StartError> {
    let old = match folder::read(folder, OLD_LOG_FILE)?.map(|bytes| log_line::decode(&bytes, None, false)) {
        Some(Err(damage)) => return Ok(Err((OLD_LOG_FILE, damage))),
        Some(Ok(old)) => Some(old),
        None => None,
    };
    let bytes = folder::read(folder, LOG_FILE)?.unwrap_or_default();
    let seq = old.as_ref().and_then(|old| old.seq);
    let current = log_line::decode(&bytes, seq, true);
    let logs = current.map(|current| {
        let changes = old.as_ref().map_or(0, |old| old.changes.len()) + current.changes.len();
        Logs { old, current, current_bytes: bytes.len(), changes }
    });
    Ok(logs.map_err(|damage| (LOG_FILE, damage)))
}

fn explain(Damage { offset, what }: &Damage) -> String {
    format!(
        "is damaged at byte {offset}: {what}. Restore the folder from a backup, or see what `users repair` can keep of it"
    )
}

/// What there is after all changes.
pub(super) struct Replayed {
    pub(super) users: Vec<User>,
    pub(super) sessions: LiveSessions,
    pub(super) ended: HashMap<SessionId, Timestamp>,
}

/// Applies the changes of the logs, which are taken out of them.
pub(super) fn replay(users: Vec<User>, stored: StoredSessions, logs: &mut Logs) -> Replayed {
    let (mut sessions, mut ended) = stored.into_maps();
    let mut last: HashMap<UserId, Option<Arc<User>>> = HashMap::new();
    let old = logs.old.as_mut().map(|old| std::mem::take(&mut old.changes)).unwrap_or_default();
    for change in old.into_iter().chain(std::mem::take(&mut logs.current.changes)) {
        match change {
            Change::User { id, after } => drop(last.insert(id, after)),
            Change::Session(session) => drop(sessions.insert(session.id, session)),
            Change::SessionEnded(EndedSession { id, at }) => drop(ended.insert(id, at)),
        }
    }
    // A log may begin before the files were written: what it says of a session that has ended since revives nothing.
    sessions.retain(|id, _| !ended.contains_key(id));
    let unchanged = users.into_iter().filter(|user| !last.contains_key(&user.id)).collect::<Vec<_>>();
    let changed = last.into_values().flatten().map(Arc::unwrap_or_clone);
    Replayed { users: unchanged.into_iter().chain(changed).collect(), sessions, ended }
}
