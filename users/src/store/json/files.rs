//! Writes what the store has on the disk: `users.json` and `sessions.json`, all users and all sessions as of some moment,
//! `users.log`, the changes since, and `users.meta.json`, the next id.
//!
//! A batch of changes is one line at the end of the log and one fsync, so that a write costs the same with any number of
//! users. When the log is as large as the two files, it is compacted: the log becomes `users.log.old`, a new one begins,
//! and everything is written to new files while changes go on; then the old log is removed. Every start and every orderly
//! end do the same, and at the end no log is left.
//!
//! The tricky part is that a crash may come between any two of these steps. It does no harm because the log has whole
//! records: to apply a change again that `users.json` has already leads to the same user, as long as no later log is lost
//! before an earlier one. That is why the old log is removed, durably, before the current one is.
//!
//! The next id is in the log line of the user that it was given to, and in `users.meta.json` before a log is removed, so
//! that it is never given again, even if that user is deleted later.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chassis::{config::StartError, store::StoreFault};

use super::{
    contents::{self, Contents, Loaded, Logs, META_FILE, SESSIONS_FILE, USERS_FILE},
    folder::{Folder, WriteError},
    log_file::{LOG_FILE, LogFile, OLD_LOG_FILE},
    log_line::{self, Change},
    record::{self, Meta},
    session_record,
};
use crate::{
    domain::User,
    store::{error::OpenError, metrics::StoreMetrics},
};

/// Size from which a log is compacted, if the files are smaller than that: about 3,000 changes.
const LOG_BYTES_MIN: u64 = 1024 * 1024;

/// The files of the store.
pub(crate) struct Files {
    folder: Folder,
    log: Mutex<Log>,
}

/// The log, and what is counted in it.
struct Log {
    file: LogFile,
    /// The number of the last batch.
    seq: u64,
    /// The size from which the log is compacted.
    compacted_from_bytes: u64,
}

/// Whether the log has become so large that it should be compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CompactionDue(pub(super) bool);

impl Files {
    /// Opens the folder, reads what is in it, and writes it anew without a log.
    ///
    /// # Errors
    /// Lists everything that is wrong with the files, and leaves them as they are.
    pub(crate) fn open(path: &Path, metrics: &StoreMetrics) -> Result<(Self, Loaded), OpenError> {
        let folder = Folder::open(path, metrics.fsync_seconds.clone())?;
        let (loaded, logs) = contents::load(path)?;
        let log = recover(&folder, &loaded, &logs)?;
        Ok((Self { folder, log: Mutex::new(log) }, loaded))
    }

    /// Adds users before the store is used, durably: all of them or none.
    ///
    /// # Errors
    /// Says why they cannot be written.
    pub(crate) fn install(&self, loaded: &mut Loaded, users: Vec<User>) -> Result<(), StartError> {
        for user in users {
            loaded.next_id = loaded.next_id.max(user.id.0 + 1);
            loaded.tables.users.put(Arc::new(user));
        }
        self.compact(loaded.contents())
            .map_err(|error| StartError::failed(format!("cannot write the users: {}", StoreFault::from(error).chain())))
    }

    /// Makes a batch of changes durable, with the next id after them. Then returns whether the log should be compacted.
    ///
    /// # Errors
    /// Says whether the previous state is still there or the outcome is unknown.
    pub(super) fn append(&self, changes: &[Change], next_id: i64) -> Result<CompactionDue, WriteError> {
        self.folder.check_in_place().map_err(WriteError::Failed)?;
        let mut log = self.log();
        let line = log_line::encode(log.seq + 1, next_id, changes).map_err(|error| WriteError::Failed(error.into()))?;
        log.file.append(&self.folder, &line)?;
        log.seq += 1;
        Ok(CompactionDue(log.file.bytes() >= log.compacted_from_bytes))
    }

    /// Begins a new log. To be called when every change of the present one is visible, and none is being written.
    ///
    /// # Errors
    /// Says whether everything is as before or the outcome is unknown.
    pub(super) fn rotate(&self) -> Result<(), WriteError> {
        let mut log = self.log();
        let rotated = self.folder.check_in_place().map_err(WriteError::Failed);
        let rotated = rotated.and_then(|()| log.file.rotate(&self.folder));
        if rotated.is_err() {
            log.compacted_from_bytes = log.file.bytes().saturating_add(LOG_BYTES_MIN);
        }
        rotated
    }

    /// Writes everything to new files, and removes the old log. `contents` must have every change of the old log.
    ///
    /// # Errors
    /// Says whether the previous state is still there or the outcome is unknown.
    pub(super) fn compact(&self, contents: Contents<'_>) -> Result<(), WriteError> {
        let written = self.folder.check_in_place().map_err(WriteError::Failed);
        let written = written.and_then(|()| write_all(&self.folder, contents));
        let mut log = self.log();
        let compacted = written.and_then(|bytes| {
            log.file.remove_old(&self.folder)?;
            Ok(bytes)
        });
        // After a failure, not before the log has grown again: to write everything is expensive.
        let retry_from = log.file.bytes().saturating_add(LOG_BYTES_MIN);
        log.compacted_from_bytes = compacted.as_ref().map_or(retry_from, |bytes| LOG_BYTES_MIN.max(*bytes));
        compacted.map(drop)
    }

    /// Moves everything into new files and removes the log. Nothing may be appended any more.
    ///
    /// # Errors
    /// Nothing is lost: the log has what the files lack.
    pub(super) fn finish(&self, contents: Contents<'_>) -> Result<(), WriteError> {
        if self.log().file.has_changes() {
            self.compact(contents)?;
        }
        self.folder.check_in_place().map_err(WriteError::Failed)?;
        self.folder.remove(LOG_FILE)
    }

    /// Checks that the folder is still at its path.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn check_in_place(&self) -> Result<(), StoreFault> {
        self.folder.check_in_place().map_err(|error| StoreFault::failed("find the data folder", error))
    }

    /// Unlocks the folder for other processes.
    pub(super) fn unlock(&self) {
        self.folder.unlock();
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        // A panic in a job of the store ends the process.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what was read to new files and begins an empty log, once everything has been accepted.
///
/// After a failed fsync the page cache may show what the disk does not have, and another fsync of the same file or folder
/// reports success without writing it. Only what is written anew is certainly on the disk. Where there is no room for
/// that, the old files must do: a full disk is no reason to serve nobody.
fn recover(folder: &Folder, loaded: &Loaded, logs: &Logs) -> Result<Log, StartError> {
    let failed = |error| StartError::failed(format!("cannot recover {}: {error}", folder.path("").display()));
    folder.clean(&[META_FILE, SESSIONS_FILE, USERS_FILE, LOG_FILE, OLD_LOG_FILE]).map_err(failed)?;
    let cut = logs.cut_bytes();
    if cut > 0 {
        let file = folder.path(LOG_FILE);
        log::warn!(file:% = file.display(), bytes = cut; "removed the end of the log, a write that a crash interrupted");
    }
    match rewrite(folder, loaded, logs) {
        Ok(log) => Ok(log),
        Err(WriteError::Full(error)) => {
            log::warn!("the disk is full, and the files are used as they are: {error}");
            reuse(folder, logs).map_err(failed)
        }
        Err(WriteError::Failed(error) | WriteError::Unknown(error)) => Err(failed(error)),
    }
}

fn rewrite(folder: &Folder, loaded: &Loaded, logs: &Logs) -> Result<Log, WriteError> {
    let bytes = if logs.is_empty() {
        write_meta(folder, loaded.next_id)?;
        folder.rewrite(SESSIONS_FILE)? + folder.rewrite(USERS_FILE)?
    } else {
        write_all(folder, loaded.contents())?
    };
    if logs.old.is_some() {
        folder.remove(OLD_LOG_FILE)?;
    }
    Ok(Log { file: LogFile::create(folder)?, seq: 0, compacted_from_bytes: LOG_BYTES_MIN.max(bytes) })
}

fn reuse(folder: &Folder, logs: &Logs) -> std::io::Result<Log> {
    folder.sync_all(&[META_FILE, SESSIONS_FILE, USERS_FILE, OLD_LOG_FILE])?;
    let bytes = u64::try_from(logs.current.whole_bytes).unwrap_or(u64::MAX);
    // The attempt to write everything anew may have come so far that the old log is gone.
    let file = LogFile::reuse(folder, bytes, folder.path(OLD_LOG_FILE).exists())?;
    folder.sync_folder()?;
    Ok(Log { file, seq: logs.current.seq.unwrap_or(0), compacted_from_bytes: bytes.saturating_add(LOG_BYTES_MIN) })
}

/// Writes the next id, then all sessions, then all users; returns the size of the last two.
pub(super) fn write_all(folder: &Folder, contents: Contents<'_>) -> Result<u64, WriteError> {
    let Contents { users, sessions, ended, next_id } = contents;
    write_meta(folder, next_id)?;
    let sessions_bytes = folder.replace(SESSIONS_FILE, |out| session_record::write(sessions, ended, out))?;
    Ok(sessions_bytes + folder.replace(USERS_FILE, |out| record::write(users, out))?)
}

fn write_meta(folder: &Folder, next_id: i64) -> Result<u64, WriteError> {
    let meta = Meta::new(next_id);
    folder.replace(META_FILE, |out| serde_json::to_writer(out, &meta).map_err(Into::into))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use prometheus_client::registry::Registry;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        domain::EndedSession,
        store::json::{sessions::LiveSessions, table::Users},
    };

    /// A store whose process may crash at any moment.
    struct Store {
        files: Files,
        users: Users,
        sessions: LiveSessions,
        ended: Vec<EndedSession>,
        next_id: i64,
    }

    impl Store {
        fn open(folder: &Path) -> Self {
            let (files, loaded) = Files::open(folder, &StoreMetrics::register(&mut Registry::default())).unwrap();
            let Loaded { tables, ended, next_id } = loaded;
            Self {
                files,
                users: tables.users.users().clone(),
                sessions: tables.sessions.live().clone(),
                ended,
                next_id,
            }
        }

        fn append(&mut self, changes: &[Change]) {
            for change in changes {
                match change {
                    Change::User { id, after: Some(user) } => {
                        self.next_id = self.next_id.max(id.0 + 1);
                        self.users.insert(*id, Arc::clone(user));
                    }
                    Change::User { id, after: None } => drop(self.users.remove(id)),
                    Change::Session(session) => drop(self.sessions.insert(session.id, Arc::clone(session))),
                    Change::SessionEnded(ended) => {
                        self.sessions.remove(&ended.id);
                        self.ended.push(*ended);
                    }
                }
            }
            self.files.append(changes, self.next_id).unwrap();
        }

        fn contents(&self) -> Contents<'_> {
            let Self { users, sessions, ended, next_id, .. } = self;
            Contents { users, sessions, ended, next_id: *next_id }
        }

        fn compact(&self) {
            self.files.compact(self.contents()).unwrap();
        }

        /// The users, and the sessions in a given order.
        fn names(&self) -> Vec<String> {
            let users = self.users.values().map(|user| format!("{}: {}", user.id, user.username));
            let live: BTreeMap<_, _> = self.sessions.iter().collect();
            let live = live.into_values().map(|session| format!("{session:?}"));
            users.chain(live).chain(self.ended.iter().map(|ended| format!("{ended:?}"))).collect()
        }
    }

    /// What another process would find after a crash.
    fn copy(folder: &Path) -> TempDir {
        let copy = TempDir::new().unwrap();
        for name in [META_FILE, SESSIONS_FILE, USERS_FILE, OLD_LOG_FILE, LOG_FILE] {
            if let Ok(bytes) = fs::read(folder.join(name)) {
                fs::write(copy.path().join(name), bytes).unwrap();
            }
        }
        copy
    }

    /// The steps of a store with a compaction, each followed by a crash in one run: the users must be the same after it.
    const STEPS: [fn(&mut Store); 9] = [
        |store| store.append(&[Change::saved(1, "ann"), Change::saved(2, "bob"), Change::opened(1), Change::opened(2)]),
        |store| store.append(&[Change::saved(1, "eve"), Change::saved(2, "ann"), Change::ended(1)]),
        |store| store.files.rotate().unwrap(),
        |store| store.append(&[Change::saved(2, "cid"), Change::saved(3, "bob"), Change::opened(3)]),
        |store| store.append(&[Change::deleted(1), Change::ended(2)]),
        // What is written is as old as the rotation, or newer.
        |store| store.compact(),
        |store| store.append(&[Change::saved(4, "eve"), Change::opened(4)]),
        |store| store.append(&[Change::deleted(4), Change::ended(3), Change::ended(4)]),
        |store| store.files.finish(store.contents()).unwrap(),
    ];

    #[test]
    fn a_crash_between_any_two_steps_loses_and_revives_nothing() {
        for crash_after in 0..=STEPS.len() {
            let folder = TempDir::new().unwrap();
            let mut store = Store::open(folder.path());
            STEPS[..crash_after].iter().for_each(|step| step(&mut store));
            let expected = (store.names(), store.next_id);
            drop(store);
            let mut store = Store::open(folder.path());
            assert_eq!((store.names(), store.next_id), expected, "after {crash_after} steps");
            store.append(&[Change::saved(5, "dan")]);
            let expected = (store.names(), store.next_id);
            drop(store);
            assert_eq!((Store::open(folder.path()).names(), 6), expected, "after {crash_after} steps and one more");
        }
    }

    #[test]
    fn a_crash_before_the_old_log_is_removed_does_no_harm() {
        let folder = TempDir::new().unwrap();
        let mut store = Store::open(folder.path());
        STEPS[..5].iter().for_each(|step| step(&mut store));
        let old = fs::read(folder.path().join(OLD_LOG_FILE)).unwrap();
        store.compact();
        fs::write(folder.path().join(OLD_LOG_FILE), old).unwrap();
        let expected = store.names();
        drop(store);
        assert_eq!(Store::open(folder.path()).names(), expected);
        assert!(!folder.path().join(OLD_LOG_FILE).exists());
    }

    #[test]
    fn a_start_from_every_prefix_of_the_log_has_every_whole_batch() {
        let folder = TempDir::new().unwrap();
        let mut store = Store::open(folder.path());
        // How long the log was, and which users there were, after each batch.
        let mut states = vec![(0, store.names())];
        for step in [STEPS[0], STEPS[1], STEPS[4]] {
            step(&mut store);
            states.push((store.files.log().file.bytes(), store.names()));
        }
        let log = fs::read(folder.path().join(LOG_FILE)).unwrap();
        drop(store);
        let kept = ["users.meta.json"].map(|name| (name, fs::read(folder.path().join(name)).unwrap()));
        for length in 0..=log.len() {
            let folder = TempDir::new().unwrap();
            kept.iter().for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
            fs::write(folder.path().join(LOG_FILE), &log[..length]).unwrap();
            let whole = states.iter().rfind(|(end, _)| usize::try_from(*end).unwrap() <= length).unwrap();
            assert_eq!(Store::open(folder.path()).names(), whole.1, "the first {length} bytes");
        }
    }

    #[test]
    fn a_failed_compaction_is_tried_again_after_more_changes_and_the_old_log_is_kept_until_then() {
        let folder = TempDir::new().unwrap();
        let mut store = Store::open(folder.path());
        STEPS[..4].iter().for_each(|step| step(&mut store));
        // A folder in the place of the temporary file cannot be written to.
        let temp = folder.path().join("users.json.tmp");
        fs::create_dir(&temp).unwrap();
        assert!(matches!(store.files.compact(store.contents()), Err(WriteError::Failed(_))));
        store.files.rotate().unwrap();
        store.append(&[Change::saved(5, "dan")]);
        assert_eq!(Store::open(copy(folder.path()).path()).names(), store.names(), "a crash in between loses nothing");
        fs::remove_dir(&temp).unwrap();
        store.compact();
        assert!(!folder.path().join(OLD_LOG_FILE).exists());
        let expected = store.names();
        drop(store);
        assert_eq!(Store::open(folder.path()).names(), expected);
    }
}
