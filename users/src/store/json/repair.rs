//! Reads of damaged files what can be read, says what is lost, and writes the rest anew. The damaged files are kept aside.
//!
//! The tricky part is that what is lost may still have to be known. A lost line may have given ids to users who were deleted
//! again, so that the next id is far behind all that are known. And it may have given a name to another user, so that what is
//! left has a name twice: the user who was changed last keeps it.

use std::{
    cmp::Reverse,
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use chassis::{config::StartError, identity::UserId, store::StoreFault, timestamp::Timestamp};
use prometheus_client::registry::Registry;

use super::{
    contents::{self, Loaded, Logs, META_FILE, SESSIONS_FILE, USERS_FILE},
    files,
    folder::{self, Folder, WriteError},
    log_file::{LOG_FILE, OLD_LOG_FILE},
    log_line::{self, Damage},
    record::{self, Meta},
    session_record::StoredSessions,
    table::Table,
};
use crate::{
    domain::{ID_MAX, User},
    store::metrics::StoreMetrics,
};

const NAMES: [&str; 5] = [META_FILE, SESSIONS_FILE, USERS_FILE, LOG_FILE, OLD_LOG_FILE];

/// How many ids are skipped where some that were given may be unknown: more users than one log can have made.
const SKIPPED_IDS: i64 = 1_000_000;

/// What can be kept of damaged files. The folder is locked.
pub(crate) struct Repair {
    folder: Folder,
    kept: Loaded,
    losses: Vec<String>,
}

impl Repair {
    /// Locks the folder, and reads what can be read. Changes none of the files.
    ///
    /// # Errors
    /// Another process uses the folder, or a file cannot be read at all.
    pub(crate) fn prepare(path: &Path) -> Result<Self, StartError> {
        let metrics = StoreMetrics::register(&mut Registry::default());
        let folder = Folder::open(path, metrics.fsync_seconds)?;
        let mut losses = Vec::new();
        let kept = read(path, &mut losses)?;
        Ok(Self { folder, kept, losses })
    }

    /// What is lost, or may be. Nothing where no file is damaged.
    pub(crate) fn losses(&self) -> &[String] {
        &self.losses
    }

    /// The number of users that are kept.
    pub(crate) fn users(&self) -> usize {
        self.kept.count()
    }

    /// Whether somebody is left who may manage users.
    pub(crate) const fn has_admin(&self) -> bool {
        self.kept.has_admin()
    }

    /// Copies the damaged files into a new folder, and replaces them. Returns the path of that folder.
    ///
    /// # Errors
    /// Something cannot be written. The copies stay; to repair once more is safe.
    pub(crate) fn apply(&self) -> Result<PathBuf, StartError> {
        let aside = self.folder.path(&format!("damaged-{}", Timestamp::from(SystemTime::now())));
        let failed = |what: &dyn std::fmt::Display| StartError::failed(format!("cannot repair the files: {what}"));
        self.keep_aside(&aside).map_err(|error| failed(&format!("{}: {error}", aside.display())))?;
        self.replace().map_err(|error| failed(&StoreFault::from(error).chain()))?;
        Ok(aside)
    }

    fn keep_aside(&self, aside: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(aside)?;
        for name in NAMES {
            match fs::copy(self.folder.path(name), aside.join(name)) {
                Ok(_) => File::open(aside.join(name))?.sync_all()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        File::open(aside)?.sync_all()?;
        self.folder.sync_folder()
    }

    /// The old log is removed before the current one, as in a compaction.
    fn replace(&self) -> Result<(), WriteError> {
        files::write_all(&self.folder, self.kept.contents())?;
        for name in [OLD_LOG_FILE, LOG_FILE] {
            if self.folder.path(name).exists() {
                self.folder.remove(name)?;
            }
        }
        Ok(())
    }
}

/// Reads the files, and adds what is lost.
fn read(folder: &Path, losses: &mut Vec<String>) -> Result<Loaded, StartError> {
    let mut are_ids_lost = false;
    let meta = folder::read(folder, META_FILE)?.map_or(Ok(Meta::new(0)), |bytes| Meta::parse(&bytes));
    let meta = meta.unwrap_or_else(|what| {
        are_ids_lost = true;
        losses.push(format!("{META_FILE} {what}"));
        Meta::new(0)
    });
    let users = folder::read(folder, USERS_FILE)?.map(|bytes| record::salvage(&bytes)).unwrap_or_default();
    losses.extend(users.mistakes.iter().map(|what| format!("{USERS_FILE}: {what}; this user is lost")));
    let sessions = folder::read(folder, SESSIONS_FILE)?.map(|bytes| StoredSessions::parse(&bytes));
    let sessions = sessions.unwrap_or_else(|| Ok(StoredSessions::default())).unwrap_or_else(|what| {
        losses.push(format!(
            "{SESSIONS_FILE} {what}; everybody has to sign in again, and access tokens of sessions that were ended are \
             accepted until they expire"
        ));
        StoredSessions::default()
    });
    let old = folder::read(folder, OLD_LOG_FILE)?.map(|bytes| log_line::salvage(&bytes, None, false));
    let seq = old.as_ref().and_then(|(old, _)| old.seq);
    let (current, damaged) = log_line::salvage(&folder::read(folder, LOG_FILE)?.unwrap_or_default(), seq, true);
    let (old, old_damaged) = old.map_or((None, Vec::new()), |(old, damaged)| (Some(old), damaged));
    are_ids_lost |= !damaged.is_empty() || !old_damaged.is_empty();
    for (name, damaged) in [(OLD_LOG_FILE, old_damaged), (LOG_FILE, damaged)] {
        losses.extend(damaged.iter().map(|damage| describe(name, damage)));
    }
    let mut logs = Logs { old, current, ..Logs::default() };
    let next_id = logs.old.as_ref().map_or(0, |old| old.next_id).max(logs.current.next_id).max(meta.next_id);
    let mut replayed = contents::replay(users.users, sessions, &mut logs);
    replayed.users = without_doubles(replayed.users, losses);
    let mut loaded =
        contents::loaded(Table::from_users(replayed.users, losses), replayed.sessions, replayed.ended, next_id);
    if are_ids_lost {
        loaded.next_id = (loaded.next_id + SKIPPED_IDS).min(ID_MAX + 1);
        losses.push(format!("ids that were given may be unknown: the next id is {}", loaded.next_id));
    }
    Ok(loaded)
}

fn describe(name: &str, Damage { offset, what }: &Damage) -> String {
    format!(
        "{name} is damaged at byte {offset}: {what}; the changes that were there are lost: users may be as they were before \
         them, with an old password or role, and users who were deleted may be back"
    )
}

/// Leaves out users whose id, name or address somebody has who was changed later.
fn without_doubles(mut users: Vec<User>, losses: &mut Vec<String>) -> Vec<User> {
    users.sort_by_key(|user| (Reverse(user.updated_at), user.id));
    let mut table = Table::default();
    users.retain(|user| {
        let is_free =
            table.get(user.id).is_err() && table.check_unique(None, &user.username, user.email.as_ref()).is_ok();
        if is_free {
            table.put(std::sync::Arc::new(user.clone()));
        } else {
            losses.push(left_out(user.id, user.username.as_str()));
        }
        is_free
    });
    users
}

fn left_out(id: UserId, username: &str) -> String {
    format!(
        "user {id} (`{username}`) has the id, name or address of another one who was changed later; this user is lost"
    )
}
