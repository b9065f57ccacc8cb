//! Makes files that are complete or absent, for backups and exports.
//!
//! The tricky part is that nothing shows a file that is half written. It is made beside its place, in a file that ends with
//! `.partial`; it is filled, made durable, and only then gets its name, if nothing else has that name.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::folder::parent;
use crate::config::StartError;

/// Makes a file that is complete or absent: `fill` fills an empty one, which only our own account can read.
///
/// # Errors
/// There is such a file, or it cannot be made; or the error of `fill`. No file was made.
pub fn complete<T>(file: &Path, fill: impl FnOnce(&Path) -> Result<T, StartError>) -> Result<T, StartError> {
    if file.exists() {
        return Err(StartError::failed(format!("{} exists; choose another file, or move it away", file.display())));
    }
    let partial = with_suffix(file, ".partial");
    create_new(&partial, "another command is making it, or one was interrupted; in that case delete it")?;
    let filled = fill(&partial).and_then(|filled| publish(&partial, file).map(|()| filled).map_err(at(file)));
    // Also where it has its name now: this is the other one.
    let _ = fs::remove_file(partial);
    filled
}

/// Creates an empty file that only our own account can read; `hint` says why there may be one already.
///
/// # Errors
/// There is one, or it cannot be made.
pub fn create_new(file: &Path, hint: &str) -> Result<(), StartError> {
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    created.map(drop).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            StartError::failed(format!("{} exists: {hint}", file.display()))
        } else {
            at(file)(error)
        }
    })
}

/// The path with something behind the name.
pub fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Makes a file durable and gives it its name, unless something has that name.
fn publish(partial: &Path, file: &Path) -> io::Result<()> {
    File::open(partial)?.sync_all()?;
    fs::hard_link(partial, file)?;
    File::open(parent(file))?.sync_all()
}

/// Names the file that an error is about.
pub fn at(place: &Path) -> impl FnOnce(io::Error) -> StartError {
    move |error| StartError::failed(format!("cannot use {}: {error}", place.display()))
}
