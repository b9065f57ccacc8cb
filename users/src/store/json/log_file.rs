//! The file `users.log`: appends batches, and makes room for a new log while the old one is being compacted. Knows
//! nothing of users.

use std::{
    fs::File,
    io::{self, Write},
};

use super::folder::{Folder, WriteError};

/// The log of the changes since `users.json` was written.
pub(super) const LOG_FILE: &str = "users.log";
/// The log before it, whose changes are being moved into `users.json`.
pub(super) const OLD_LOG_FILE: &str = "users.log.old";

/// The log, opened for appending.
pub(super) struct LogFile {
    file: File,
    bytes: u64,
    has_old: bool,
}

impl LogFile {
    /// Starts an empty log in place of the one that may be there. Nothing in that one may be needed any more.
    ///
    /// # Errors
    /// Says whether the previous log is still there or the outcome is unknown.
    pub(super) fn create(folder: &Folder) -> Result<Self, WriteError> {
        folder.replace(LOG_FILE, |_| Ok(()))?;
        let file = folder.open_for_appending(LOG_FILE).map_err(WriteError::before_fsync)?;
        Ok(Self { file, bytes: 0, has_old: false })
    }

    /// Opens the log as a crash left it and cuts off what is behind the first `bytes`. The rest is written once more: its last
    /// line may be in the page cache only, since an fsync failed, and nothing can follow a line that the disk does not have.
    ///
    /// # Errors
    /// It cannot be opened, cut or made durable.
    pub(super) fn reuse(folder: &Folder, bytes: u64, has_old: bool) -> io::Result<Self> {
        let file = folder.open_for_appending(LOG_FILE)?;
        file.set_len(bytes)?;
        match folder.overwrite(LOG_FILE) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => folder.sync(&file)?,
            outcome => outcome?,
        }
        Ok(Self { file, bytes, has_old })
    }

    /// The size of the log, without the one before it.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there are changes that are not in `users.json`.
    pub(super) const fn has_changes(&self) -> bool {
        self.bytes > 0 || self.has_old
    }

    /// Appends a line durably.
    ///
    /// # Errors
    /// Says whether the log is as it was before or the outcome is unknown.
    pub(super) fn append(&mut self, folder: &Folder, line: &[u8]) -> Result<(), WriteError> {
        if let Err(error) = self.file.write_all(line) {
            // Behind half a line nothing could be appended. Where it cannot be cut off, the next start does it.
            self.file.set_len(self.bytes).map_err(WriteError::Unknown)?;
            return Err(WriteError::before_fsync(error));
        }
        folder.sync(&self.file).map_err(WriteError::Unknown)?;
        self.bytes += u64::try_from(line.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Makes this log the old one and starts an empty one. Does nothing while there is an old one: its changes are not
    /// yet in `users.json`.
    ///
    /// # Errors
    /// Says whether everything is as before or the outcome is unknown.
    pub(super) fn rotate(&mut self, folder: &Folder) -> Result<(), WriteError> {
        if self.has_old {
            return Ok(());
        }
        // Durable by itself: if only the rename of the new log reached the disk, it would replace this one.
        folder.rename(LOG_FILE, OLD_LOG_FILE)?;
        match Self::create(folder) {
            Ok(log) => *self = Self { has_old: true, ..log },
            Err(error) => {
                folder.rename(OLD_LOG_FILE, LOG_FILE).map_err(WriteError::into_unknown)?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Removes the old log, once its changes are durable in `users.json`.
    ///
    /// # Errors
    /// Says whether it is still there or the outcome is unknown.
    pub(super) fn remove_old(&mut self, folder: &Folder) -> Result<(), WriteError> {
        if self.has_old {
            folder.remove(OLD_LOG_FILE)?;
            self.has_old = false;
        }
        Ok(())
    }
}
