//! Reads the files as the next start would, also while a service uses them: as they are ([`check`]), or in a copy, which is
//! written anew too ([`rehearse`]).
//!
//! The tricky part is to read several files of one moment, without a lock: the service replaces files while they are read. A
//! file is replaced by another one, with another inode, and only the log grows; so what was read between two looks at the
//! folder that found the same files is of one moment, but for the end of the log, which may be half a line, as after a crash.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::Path,
};

use chassis::config::StartError;
use prometheus_client::registry::Registry;

use super::{
    contents::{self, Loaded, META_FILE, SESSIONS_FILE, Summary, USERS_FILE},
    files::Files,
    log_file::{LOG_FILE, OLD_LOG_FILE},
};
use crate::store::metrics::StoreMetrics;

/// The folder of the copy.
const COPY: &str = "rehearsal";
/// Maximum number of attempts to read the files. The service replaces files after about 3,000 changes.
const READS_MAX: usize = 10;

/// Identifies the files of a folder: each by its inode, and those that do not grow by their time, too.
type Stamps = [Option<(u64, i64, i64)>; 5];

/// The files to read. The log is the only one that grows.
const NAMES: [&str; 5] = [META_FILE, SESSIONS_FILE, USERS_FILE, LOG_FILE, OLD_LOG_FILE];

/// Reads the files in `data` as a start does, and changes none.
///
/// # Errors
/// Lists everything that is wrong with the files, or says why they cannot be read.
pub(crate) fn check(data: &Path) -> Result<Summary, StartError> {
    read_with(data, contents::check)
}

/// Reads the users as of one moment, and changes no file.
///
/// # Errors
/// Lists everything that is wrong with the files, or says why they cannot be read.
pub(super) fn snapshot(data: &Path) -> Result<Loaded, StartError> {
    read_with(data, contents::read)
}

fn read_with<T>(data: &Path, read: fn(&Path) -> Result<T, StartError>) -> Result<T, StartError> {
    let read = of_one_moment(data, |_| Ok(read(data)));
    read.unwrap_or_else(|error| Err(StartError::failed(format!("cannot read {}: {error}", data.display()))))
}

/// Reads a copy of the files in `data` as a start does, in the folder `scratch`, and deletes it. Returns the number of users.
///
/// # Errors
/// Lists everything that is wrong with the files, or says why they cannot be copied.
pub(crate) fn rehearse(data: &Path, scratch: &Path) -> Result<usize, StartError> {
    let copy = scratch.join(COPY);
    DirBuilder::new().mode(0o700).create(&copy).map_err(|error| {
        let hint = if error.kind() == io::ErrorKind::AlreadyExists {
            "; another rehearsal uses it, or one was interrupted; in that case delete it"
        } else {
            ""
        };
        StartError::failed(format!("cannot create {}: {error}{hint}", copy.display()))
    })?;
    let read = copy_files(data, &copy)
        .map_err(|error| StartError::failed(format!("cannot copy the files in {}: {error}", data.display())))
        .and_then(|()| Ok(Files::open(&copy, &StoreMetrics::register(&mut Registry::default()))?))
        .map(|(_files, loaded)| loaded.count());
    // What cannot be deleted is reported by the next rehearsal.
    let _ = fs::remove_dir_all(&copy);
    read
}

/// Copies the files as of one moment.
fn copy_files(data: &Path, copy: &Path) -> io::Result<()> {
    of_one_moment(data, |present| {
        // What an earlier attempt has left.
        NAMES.iter().try_for_each(|name| fs::remove_file(copy.join(name)).or_else(absent))?;
        present.iter().try_for_each(|name| fs::copy(data.join(name), copy.join(name)).map(drop))
    })
}

/// Calls `read` with the names of the files that are there, until it has read files of one moment.
fn of_one_moment<T>(data: &Path, mut read: impl FnMut(&[&str]) -> io::Result<T>) -> io::Result<T> {
    for _ in 0..READS_MAX {
        let found = stamps(data)?;
        let present: Vec<&str> =
            NAMES.into_iter().zip(&found).filter(|(_, stamp)| stamp.is_some()).map(|(name, _)| name).collect();
        let read = read(&present);
        if stamps(data)? == found {
            return read;
        }
    }
    Err(io::Error::other("they are replaced all the time; try again"))
}

fn stamps(data: &Path) -> io::Result<Stamps> {
    let mut stamps = Stamps::default();
    for (stamp, name) in stamps.iter_mut().zip(NAMES) {
        *stamp = match fs::metadata(data.join(name)) {
            Ok(file) if name == LOG_FILE => Some((file.ino(), 0, 0)),
            Ok(file) => Some((file.ino(), file.mtime(), file.mtime_nsec())),
            Err(error) => absent(error).map(|()| None)?,
        };
    }
    Ok(stamps)
}

/// A file that is absent is none to copy or to remove.
fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
