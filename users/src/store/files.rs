//! What of the store is on the disk: `users.json`, all users, and `users.meta.json`, the next id.
//!
//! The next id is durable before a user has it, so that it is never given again, even if that user is deleted later.

use std::{path::Path, time::Instant};

use chassis::config::StartError;

use super::{
    folder::{Folder, WriteError},
    metrics::StoreMetrics,
    record::{self, Meta},
    table::{Table, Users},
};

const USERS_FILE: &str = "users.json";
const META_FILE: &str = "users.meta.json";

/// The files of the store.
pub(super) struct Files {
    folder: Folder,
    metrics: StoreMetrics,
}

/// What the files say.
pub(super) struct Loaded {
    pub(super) table: Table,
    pub(super) next_id: i64,
    /// What the file remembers of it, which is less where the file is missing: the file of the Python system had none.
    pub(super) next_id_durable: i64,
}

impl Files {
    /// Opens the folder and reads what is in it.
    ///
    /// # Errors
    /// Lists everything that is wrong with the files, and leaves them as they are.
    pub(super) fn open(path: &Path, metrics: StoreMetrics) -> Result<(Self, Loaded), StartError> {
        let files = Self { folder: Folder::open(path, metrics.clone())?, metrics };
        let loaded = files.load()?;
        files.folder.settle(&[META_FILE, USERS_FILE])?;
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
        let table = Table::of(parsed.users, &mut parsed.mistakes);
        mistakes.extend(parsed.mistakes.iter().map(|mistake| self.mistake(USERS_FILE, mistake)));
        if !mistakes.is_empty() {
            let listed = mistakes.join("\n  ");
            return Err(StartError::failed(format!("nothing was changed, but the data cannot be used:\n  {listed}")));
        }
        let after_max = table.id_max().map_or(1, |id| id.0 + 1);
        Ok(Loaded { table, next_id: meta.next_id.max(after_max), next_id_durable: meta.next_id })
    }

    fn mistake(&self, name: &str, what: &str) -> String {
        format!("{}: {what}", self.folder.path(name).display())
    }

    /// Makes `users` durable, and before them `next_id` where it has moved.
    ///
    /// # Errors
    /// Whether the state before is still there, or nobody knows.
    pub(super) fn save(&self, next_id: Option<i64>, users: &Users) -> Result<(), WriteError> {
        let start = Instant::now();
        if let Some(next_id) = next_id {
            let meta = Meta::new(next_id);
            self.folder.replace(META_FILE, |out| serde_json::to_writer(out, &meta).map_err(Into::into))?;
        }
        self.folder.replace(USERS_FILE, |out| record::write(users, out))?;
        self.metrics.write_seconds.observe(start.elapsed().as_secs_f64());
        Ok(())
    }

    /// Lets another process have the folder.
    pub(super) fn unlock(&self) {
        self.folder.unlock();
    }
}
