//! Where the orders of a test are kept: in an SQLite file. The tests of `../postgres` have another of this name.

use std::path::{Path, PathBuf};

use orders::DatabaseLocation;
use tempfile::TempDir;

/// A folder for a database, removed afterwards.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path().join("data").join("orders.db")
    }

    pub(crate) fn location(&self) -> DatabaseLocation {
        DatabaseLocation::File(self.database())
    }

    /// The location as a setting.
    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}", self.database().display())
    }

    /// Checks what a service leaves behind that has ended in order.
    pub(crate) fn assert_closed(&self) {
        let wal = self.database().with_extension("db-wal");
        assert!(!wal.exists() || wal.metadata().unwrap().len() == 0, "the log was not copied into the database");
    }
}

/// A database of which nothing remains.
pub(crate) fn passing() -> DatabaseLocation {
    DatabaseLocation::Memory
}
