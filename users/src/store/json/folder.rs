//! The data folder: its lock, and files that are replaced whole or not at all, or opened for appending. Knows nothing of
//! what is in them.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{self, BufWriter, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Instant,
};

use chassis::{
    config::StartError,
    store::{StoreFault, fault::Cause, folder},
};
use prometheus_client::metrics::histogram::Histogram;

use crate::store::error::OpenError;

const LOCK_FILE: &str = "lock";
const TEMP_SUFFIX: &str = ".tmp";
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Why a file was not replaced, or nothing was appended to it.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// No space is left. The file is as it was.
    #[error("the disk is full")]
    Full(#[source] io::Error),
    /// The file is as it was.
    #[error("cannot write")]
    Failed(#[source] io::Error),
    /// An fsync failed: what is on the disk is unknown. It is never retried: the kernel has dropped the pages that it
    /// could not write and would report success.
    #[error("cannot make the write durable")]
    Unknown(#[source] io::Error),
}

impl WriteError {
    /// The error of a system call before the fsync.
    pub(super) fn before_fsync(error: io::Error) -> Self {
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Self::Full(error)
        } else {
            Self::Failed(error)
        }
    }

    /// The error of an attempt to undo something, after which nothing is as it was.
    pub(super) fn into_unknown(self) -> Self {
        match self {
            Self::Full(error) | Self::Failed(error) | Self::Unknown(error) => Self::Unknown(error),
        }
    }
}

impl From<WriteError> for StoreFault {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Full(error) => Self::StorageFull(Cause::new(error)),
            WriteError::Failed(error) => Self::failed("write the users", error),
            WriteError::Unknown(error) => Self::OutcomeUnknown(Cause::new(error)),
        }
    }
}

/// An opened and locked folder.
pub(super) struct Folder {
    path: PathBuf,
    directory: File,
    lock: File,
    fsync_seconds: Histogram,
}

impl Folder {
    /// Opens the folder, creates it if it is missing, and locks it for this process.
    ///
    /// # Errors
    /// Names the folder and what is wrong, or the process that has locked it.
    pub(super) fn open(path: &Path, fsync_seconds: Histogram) -> Result<Self, OpenError> {
        let failed = |what: &str, error: io::Error| {
            StartError::failed(format!("cannot {what} the data folder {}: {error}", path.display()))
        };
        folder::create(path, FOLDER_MODE).map_err(|error| failed("create", error))?;
        let directory = File::open(path).map_err(|error| failed("open", error))?;
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(path.join(LOCK_FILE))
            .map_err(|error| failed("lock", error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(path, lock)),
            Err(TryLockError::Error(error)) => return Err(failed("lock", error).into()),
        }
        write_pid(&lock);
        Ok(Self { path: path.to_owned(), directory, lock, fsync_seconds })
    }

    /// Where a file is, for messages.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Removes what a crash left over of these files, and restricts access to them and to the folder.
    ///
    /// # Errors
    /// A temporary file cannot be removed.
    pub(super) fn clean(&self, names: &[&str]) -> io::Result<()> {
        restrict_access(&self.path, FOLDER_MODE);
        for name in names {
            let temp = self.temp(name);
            if temp.symlink_metadata().is_ok() {
                fs::remove_file(&temp)?;
                log::warn!(file:% = temp.display(); "removed a file that a crash left over");
            }
            if self.path(name).exists() {
                restrict_access(&self.path(name), FILE_MODE);
            }
        }
        Ok(())
    }

    /// Replaces a file by one with the same content, if there is one, and returns its size.
    ///
    /// # Errors
    /// Says whether the old file is still there or the outcome is unknown.
    pub(super) fn rewrite(&self, name: &str) -> Result<u64, WriteError> {
        match File::open(self.path(name)) {
            Ok(mut file) => self.replace(name, |mut out| io::copy(&mut file, &mut out).map(drop)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(WriteError::Failed(error)),
        }
    }

    /// Writes what a file has to the same place once more, durably. Needs room only on file systems that never overwrite.
    ///
    /// # Errors
    /// It cannot be read, written or made durable.
    pub(super) fn overwrite(&self, name: &str) -> io::Result<()> {
        let content = fs::read(self.path(name))?;
        let mut file = OpenOptions::new().write(true).open(self.path(name))?;
        file.write_all(&content)?;
        self.sync(&file)
    }

    /// Makes durable what these files have, those that exist.
    ///
    /// # Errors
    /// One cannot be opened or made durable.
    pub(super) fn sync_all(&self, names: &[&str]) -> io::Result<()> {
        names.iter().try_for_each(|name| match File::open(self.path(name)) {
            Ok(file) => self.sync(&file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        })
    }

    /// Opens a file for appending, and creates it if it is missing.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn open_for_appending(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(self.path(name))
    }

    /// Gives a file another name durably, so that no later rename can be on the disk without this one.
    ///
    /// # Errors
    /// Says whether it has its old name or the outcome is unknown.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), WriteError> {
        fs::rename(self.path(from), self.path(to)).map_err(WriteError::before_fsync)?;
        self.sync_folder().map_err(WriteError::Unknown)
    }

    /// Removes a file durably.
    ///
    /// # Errors
    /// Says whether it is still there or the outcome is unknown.
    pub(super) fn remove(&self, name: &str) -> Result<(), WriteError> {
        fs::remove_file(self.path(name)).map_err(WriteError::Failed)?;
        self.sync_folder().map_err(WriteError::Unknown)
    }

    /// Checks that the folder which was opened and locked is still at its path. In another one, this process would write
    /// beside whoever has locked that one, and make the wrong folder durable.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn check_in_place(&self) -> io::Result<()> {
        let (opened, found) = (self.directory.metadata()?, fs::metadata(&self.path)?);
        if (opened.dev(), opened.ino()) == (found.dev(), found.ino()) {
            return Ok(());
        }
        Err(io::Error::other("the data folder was replaced by another one"))
    }

    /// Replaces a file atomically: a reader sees the old content or the new, at any moment and after any crash. Returns
    /// the size of the new file.
    ///
    /// # Errors
    /// Says whether the old content is still there or the outcome is unknown.
    pub(super) fn replace(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<u64, WriteError> {
        let temp = self.temp(name);
        let replaced = self.write_temp(&temp, write).and_then(|bytes| {
            fs::rename(&temp, self.path(name)).map_err(WriteError::before_fsync)?;
            self.sync_folder().map_err(WriteError::Unknown)?;
            Ok(bytes)
        });
        if replaced.is_err() {
            // Gives its space back. If it cannot be removed, the next write truncates it.
            let _ = fs::remove_file(&temp);
        }
        replaced
    }

    fn write_temp(&self, temp: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<u64, WriteError> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(temp);
        let mut buffered = BufWriter::new(file.map_err(WriteError::before_fsync)?);
        write(&mut buffered).map_err(WriteError::before_fsync)?;
        let file = buffered.into_inner().map_err(|error| WriteError::before_fsync(error.into_error()))?;
        self.sync(&file).map_err(WriteError::Unknown)?;
        Ok(file.metadata().map_err(WriteError::before_fsync)?.len())
    }

    fn temp(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}{TEMP_SUFFIX}"))
    }

    /// Makes new names in the folder durable, and the removal of old ones.
    ///
    /// # Errors
    /// What is on the disk is unknown.
    pub(super) fn sync_folder(&self) -> io::Result<()> {
        self.sync(&self.directory)
    }

    /// Makes a file durable.
    ///
    /// # Errors
    /// What is on the disk is unknown.
    pub(super) fn sync(&self, file: &File) -> io::Result<()> {
        let start = Instant::now();
        let outcome = file.sync_all();
        self.fsync_seconds.observe(start.elapsed().as_secs_f64());
        outcome
    }

    /// Unlocks the folder for other processes.
    pub(super) fn unlock(&self) {
        if let Err(error) = self.lock.unlock() {
            log::warn!(folder:% = self.path.display(); "cannot unlock the data folder; the end of the process unlocks it: {error}");
        }
    }
}

/// Reads a file of a folder, which need not be locked; `None` where there is none.
///
/// # Errors
/// Names the file.
pub(super) fn read(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, StartError> {
    let file = folder.join(name);
    match fs::read(&file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StartError::failed(format!("cannot read {}: {error}", file.display()))),
    }
}

fn in_use(path: &Path, mut lock: File) -> OpenError {
    let mut holder = String::new();
    // The process id only makes the message better.
    let _ = lock.read_to_string(&mut holder);
    let known = !holder.trim().is_empty();
    let holder = if known { format!("process {}", holder.trim()) } else { "another process".to_owned() };
    OpenError::InUse { folder: path.to_owned(), holder }
}

fn write_pid(mut lock: &File) {
    let written = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| write!(lock, "{}", std::process::id()));
    if let Err(error) = written {
        log::warn!("cannot write the process id into the lock file: {error}");
    }
}

/// A mounted folder may belong to another account, which then decides who may read it.
fn restrict_access(path: &Path, mode: u32) {
    if let Err(error) = fs::set_permissions(path, Permissions::from_mode(mode)) {
        log::warn!(path:% = path.display(); "cannot restrict access to this path to our own account: {error}");
    }
}
