//! Where the orders of a test are kept: in a database of its own, on the server of this process.

use std::{
    path::Path,
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

use orders::DatabaseLocation;
use tempfile::TempDir;

use crate::server::Server;

/// A database, and a folder for other files.
pub(crate) struct Folder {
    folder: TempDir,
    database: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), database: new_database(Server::shared()) }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    pub(crate) fn location(&self) -> DatabaseLocation {
        self.url().parse().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        Server::shared().url(&self.database)
    }

    /// Checks what a service leaves behind that has ended in order: no connection.
    pub(crate) fn assert_closed(&self) {
        let count = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'", self.database);
        chassis::testing::until("its connections are closed", || Server::shared().run_sql("postgres", &count) == "0");
    }
}

/// A database that nobody looks at afterwards.
pub(crate) fn passing() -> DatabaseLocation {
    Server::shared().url(&new_database(Server::shared())).parse().unwrap()
}

/// Makes an empty database, and returns its name.
pub(crate) fn new_database(server: &Server) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("orders_{}_{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    server.create(&name);
    name
}
