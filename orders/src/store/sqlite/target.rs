//! Prepares the place of the database: a file, created if it is missing, or a name in memory. Knows no SQL.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use chassis::{
    config::StartError,
    store::{StoreFault, fault::Cause, folder},
};

/// The database to connect to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    url: String,
    /// `None` for a database in memory.
    file: Option<FileId>,
}

/// What tells a file from every other, whatever its path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn at(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

impl Target {
    /// Creates the folder and the file of the database if they are missing, accessible only to our own account. Without a file it
    /// is a database in memory.
    ///
    /// # Errors
    /// Names the folder or the file, and the setting.
    pub(crate) fn prepare(file: Option<&Path>) -> Result<Self, StartError> {
        match file {
            None => Ok(Self::memory()),
            Some(path) => {
                create_file(path).map_err(|(what, error)| cannot_use(&what, &error))?;
                let file = FileId::at(path).map_err(|error| cannot_use(path, &error))?;
                // SQLite takes a name that begins with `file:` for a URI; one with a slash in front never does.
                let path = if path.is_absolute() { path.to_owned() } else { Path::new(".").join(path) };
                let url = path.to_str().ok_or_else(|| StartError::failed("the path of the database is not UTF-8"))?;
                Ok(Self { url: url.to_owned(), file: Some(file) })
            }
        }
    }

    /// The `memdb` file system lets all connections of this process share a database that locks like a file does
    /// (a shared cache would fail with SQLITE_LOCKED, for which there is no timeout). The number in the name makes each
    /// of them a database of its own.
    fn memory() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { url: format!("file:/orders-{}-{count}?vfs=memdb", process::id()), file: None }
    }

    /// The name that SQLite opens.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is a file, which outlives this process.
    pub(super) const fn is_file(&self) -> bool {
        self.file.is_some()
    }

    /// The size of the write-ahead log in bytes, which SQLite keeps beside the file; 0 where there is none.
    pub(crate) fn log_bytes(&self) -> u64 {
        if !self.is_file() {
            return 0;
        }
        fs::metadata(format!("{}-wal", self.url)).map_or(0, |metadata| metadata.len())
    }

    /// Checks that the file which was prepared is still at its path. What is written into a file that was removed or
    /// replaced is lost when the last connection closes.
    ///
    /// # Errors
    /// [`StoreFault::OutcomeUnknown`]: it is not.
    pub(super) fn check_in_place(&self) -> Result<(), StoreFault> {
        let Some(file) = self.file else { return Ok(()) };
        match FileId::at(Path::new(&self.url)) {
            Ok(found) if found == file => Ok(()),
            Ok(_) => Err(StoreFault::OutcomeUnknown(Cause::new("the file of the database was replaced"))),
            Err(error) => {
                Err(StoreFault::OutcomeUnknown(Cause::new(format!("the file of the database was removed: {error}"))))
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_file() { &self.url } else { ":memory:" })
    }
}

fn cannot_use(path: &Path, error: &dyn fmt::Display) -> StartError {
    StartError::failed(format!("cannot use {}: {error}; set ORDERS_DATABASE_URL to another place", path.display()))
}

fn create_file(path: &Path) -> Result<(), (PathBuf, io::Error)> {
    let folder = folder::parent(path);
    folder::create(folder, 0o700).map_err(at(folder))?;
    // An existing file is not opened here: closing it would drop the locks that this process may hold on it
    // (https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        // The folder must be durable too, or the file would be gone after a power loss.
        Ok(file) => file.sync_all().and_then(|()| File::open(folder)?.sync_all()).map_err(at(folder)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let is_file = fs::metadata(path).map_err(at(path))?.is_file();
            if is_file { Ok(()) } else { Err((path.to_path_buf(), io::ErrorKind::IsADirectory.into())) }
        }
        Err(error) => Err((path.to_path_buf(), error)),
    }
}

fn at(place: &Path) -> impl FnOnce(io::Error) -> (PathBuf, io::Error) {
    move |error| (place.to_path_buf(), error)
}
