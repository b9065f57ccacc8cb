//! What the store has on the disk: `users.json`, all users, and `users.meta.json`, the next id.
//!
//! The next id is durable before a user has it, so that it is never given again, even if that user is deleted later.

use std::{path::Path, sync::Arc};

use chassis::{config::StartError, identity::UserId, store::StoreFault};

use super::{
    folder::{Folder, WriteError},
    record::{self, Meta},
    table::{Table, Users},
};
use crate::{domain::User, store::metrics::StoreMetrics};

const USERS_FILE: &str = "users.json";
const META_FILE: &str = "users.meta.json";

/// The files of the store.
pub(crate) struct Files {
    folder: Folder,
}

/// What was read from the files.
pub(crate) struct Loaded {
    pub(super) table: Table,
    pub(super) next_id: i64,
    /// The next id as the file has it. It is lower where the file is missing: the Python system had none.
    pub(super) next_id_durable: i64,
}

impl Loaded {
    pub(crate) fn is_empty(&self) -> bool {
        self.table.users().is_empty()
    }

    pub(crate) const fn has_admin(&self) -> bool {
        self.table.admins() > 0
    }

    /// The next id, never used before.
    pub(crate) const fn next_id(&self) -> UserId {
        UserId(self.next_id)
    }

    /// The highest cost of all password hashes.
    pub(crate) fn hash_cost_max(&self) -> Option<u32> {
        self.table.hash_cost_max()
    }
}

impl Files {
    /// Opens the folder and reads what is in it.
    ///
    /// # Errors
    /// Lists everything that is wrong with the files, and leaves them as they are.
    pub(crate) fn open(path: &Path, metrics: &StoreMetrics) -> Result<(Self, Loaded), StartError> {
        let files = Self { folder: Folder::open(path, metrics.fsync_seconds.clone())? };
        let loaded = files.load()?;
        files.folder.recover(&[META_FILE, USERS_FILE])?;
        Ok((files, loaded))
    }

    fn load(&self) -> Result<Loaded, StartError> {
        let mut mistakes = Vec::new();
        let meta = match self.folder.read(META_FILE)?.map(|bytes| Meta::parse(&bytes)) {
            None => Meta::new(0),
            Some(Ok(meta)) => meta,
            Some(Err(mistake)) => {
                mistakes.push(self.mistake(META_FILE, &mistake));
                Meta::new(0)
            }
        };
        let mut parsed = self.folder.read(USERS_FILE)?.map(|bytes| record::parse(&bytes)).unwrap_or_default();
        let table = Table::from_users(parsed.users, &mut parsed.mistakes);
        mistakes.extend(parsed.mistakes.iter().map(|mistake| self.mistake(USERS_FILE, mistake)));
        if !mistakes.is_empty() {
            let listed = mistakes.join("\n  ");
            return Err(StartError::failed(format!("nothing was changed, but the data cannot be used:\n  {listed}")));
        }
        let after_max = table.id_max().map_or(1, |id| id.0 + 1);
        Ok(Loaded { table, next_id: meta.next_id.max(after_max), next_id_durable: meta.next_id })
    }

    /// Adds the first users to an empty store, durably.
    ///
    /// # Errors
    /// Says why they cannot be written.
    pub(crate) fn install(&self, loaded: &mut Loaded, users: Vec<User>) -> Result<(), StartError> {
        for user in users {
            loaded.next_id = loaded.next_id.max(user.id.0 + 1);
            loaded.table.put(Arc::new(user));
        }
        loaded.next_id_durable = loaded.next_id;
        self.save(Some(loaded.next_id), loaded.table.users()).map_err(|error| {
            StartError::failed(format!("cannot write the first users: {}", StoreFault::from(error).chain()))
        })
    }

    fn mistake(&self, name: &str, what: &str) -> String {
        format!("{}: {what}", self.folder.path(name).display())
    }

    /// Makes `users` durable, and before them `next_id` where it has changed.
    ///
    /// # Errors
    /// Says whether the previous state is still there or the outcome is unknown.
    pub(super) fn save(&self, next_id: Option<i64>, users: &Users) -> Result<(), WriteError> {
        self.folder.check_in_place().map_err(WriteError::Failed)?;
        if let Some(next_id) = next_id {
            let meta = Meta::new(next_id);
            self.folder.replace(META_FILE, |out| serde_json::to_writer(out, &meta).map_err(Into::into))?;
        }
        self.folder.replace(USERS_FILE, |out| record::write(users, out))
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
}
