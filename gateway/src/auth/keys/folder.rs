//! The folder of signing keys: every `*.pem` file in it is a key. Notices keys that are added, removed or revoked.
//! Knows no clock: the time is passed in.
//!
//! The tricky part is a removed file. Its key signs nothing any more, but tokens that it signed are still valid, so
//! that the key goes on verifying until the last of them has expired. A file renamed to `*.revoked` ends that at once.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use chassis::config::Secret;

use super::{
    key::Key,
    rotation::{CreationTime, KeyRole, RotationSchedule, roles},
    set::KeySet,
};
use crate::files::poll::LastSeen;

/// Extension of a file with a key that is trusted.
const KEY_EXTENSION: &str = "pem";
/// Extension of a file with a key that is no longer trusted.
const REVOKED_EXTENSION: &str = "revoked";
/// Maximum number of key files. A rotation has two or three keys; a folder with more than this is not a key folder.
const FILES_MAX: usize = 64;
/// Maximum size of a key file: 16 KiB. An Ed25519 key in PEM has 119 bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// The folder as it was when it was last valid.
#[derive(Debug)]
pub(crate) struct KeyFolder {
    path: PathBuf,
    schedule: RotationSchedule,
    /// The files that the last check found.
    last_seen: LastSeen<Vec<FileStamp>>,
    /// From the oldest to the newest.
    keys: Vec<(CreationTime, Arc<Key>)>,
    /// Keys whose files were removed, and when the last of their tokens expires.
    removed: Vec<(Arc<Key>, SystemTime)>,
}

/// What changes when a file does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FileStamp {
    file: PathBuf,
    modified: SystemTime,
    bytes: u64,
}

/// What the files of a folder contain.
struct FolderContents {
    /// From the oldest to the newest, without those that are revoked.
    keys: Vec<(CreationTime, Arc<Key>)>,
    revoked_kids: Vec<String>,
}

impl KeyFolder {
    /// Reads the keys of a folder for the first time.
    ///
    /// # Errors
    /// Names the folder or file and the reason.
    pub(crate) fn open(path: &Path, schedule: RotationSchedule, now: SystemTime) -> Result<Self, String> {
        let last_seen = LastSeen::new(Vec::new());
        let mut folder = Self { path: path.to_owned(), schedule, last_seen, keys: Vec::new(), removed: Vec::new() };
        folder.reload_if_changed(now)?;
        if folder.keys.is_empty() { Err(folder.no_key()) } else { Ok(folder) }
    }

    /// Reads the files again if they have changed: all of them, or none if one of them cannot be used.
    ///
    /// # Errors
    /// What is wrong with the folder; reported once for each change.
    pub(crate) fn reload_if_changed(&mut self, now: SystemTime) -> Result<(), String> {
        let Some(stamps) = self.last_seen.changed(stamps(&self.path)) else { return Ok(()) };
        let contents = read_keys(stamps?)?;
        if contents.keys.is_empty() {
            return Err(self.no_key());
        }
        self.replace_keys(contents, now);
        Ok(())
    }

    fn no_key(&self) -> String {
        format!("{} holds no key (*.pem)", self.path.display())
    }

    fn replace_keys(&mut self, contents: FolderContents, now: SystemTime) {
        let expires = now + self.schedule.token_lifetime;
        let gone = self.in_use(now).into_iter().map(|key| (key, expires));
        let mut removed: Vec<_> = self.removed.drain(..).chain(gone).collect();
        removed.retain(|(key, expires)| {
            let is_back = contents.keys.iter().any(|(_, known)| known.kid == key.kid);
            *expires > now && !is_back && !contents.revoked_kids.contains(&key.kid)
        });
        self.removed = removed;
        self.keys = contents.keys;
    }

    /// Returns the keys of which valid tokens may exist.
    fn in_use(&self, now: SystemTime) -> Vec<Arc<Key>> {
        let used = self.roles(now).filter(|(_, role)| matches!(role, KeyRole::Signing | KeyRole::Verifying));
        used.map(|(key, _)| Arc::clone(key)).collect()
    }

    fn roles(&self, now: SystemTime) -> impl Iterator<Item = (&Arc<Key>, KeyRole)> {
        let created: Vec<CreationTime> = self.keys.iter().map(|(created, _)| created.clone()).collect();
        self.keys.iter().map(|(_, key)| key).zip(roles(&created, self.schedule, now))
    }

    /// Returns the keys to use at `now`; `None` if there is no key to sign with.
    pub(crate) fn key_set(&self, now: SystemTime) -> Option<KeySet> {
        let mut signing = None;
        let mut verifying = Vec::new();
        for (key, role) in self.roles(now) {
            match role {
                KeyRole::Signing => signing = Some(Arc::clone(key)),
                KeyRole::Next | KeyRole::Verifying => verifying.push(Arc::clone(key)),
                KeyRole::Retired => {}
            }
        }
        let removed = self.removed.iter().filter(|(_, expires)| *expires > now).map(|(key, _)| Arc::clone(key));
        Some(KeySet::new(signing?, verifying.into_iter().chain(removed)))
    }
}

/// Returns the stamps of the key files of a folder, sorted by name.
fn stamps(folder: &Path) -> Result<Vec<FileStamp>, String> {
    let describe = |error: std::io::Error| format!("cannot read the key folder {}: {error}", folder.display());
    let mut stamps = Vec::new();
    for entry in fs::read_dir(folder).map_err(describe)? {
        let file = entry.map_err(describe)?.path();
        if !is_key_file(&file) {
            continue;
        }
        // Follows symbolic links: Kubernetes replaces a whole mounted folder by swapping one.
        let metadata = fs::metadata(&file).map_err(describe)?;
        stamps.push(FileStamp { file, modified: metadata.modified().map_err(describe)?, bytes: metadata.len() });
        if stamps.len() > FILES_MAX {
            return Err(format!("{} holds more than {FILES_MAX} keys", folder.display()));
        }
    }
    stamps.sort();
    Ok(stamps)
}

/// Returns whether a folder has no key yet.
pub(crate) fn holds_no_key(folder: &Path) -> bool {
    let files = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    !files.map(|entry| entry.path()).any(|file| has_extension(&file, KEY_EXTENSION) && is_key_file(&file))
}

fn is_key_file(file: &Path) -> bool {
    let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && (has_extension(file, KEY_EXTENSION) || has_extension(file, REVOKED_EXTENSION))
}

fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|known| known == extension)
}

fn read_keys(stamps: &[FileStamp]) -> Result<FolderContents, String> {
    let mut keys: Vec<(CreationTime, Arc<Key>)> = Vec::new();
    let mut revoked_kids = Vec::new();
    for stamp in stamps {
        let key = read_key(stamp)?;
        if has_extension(&stamp.file, REVOKED_EXTENSION) {
            revoked_kids.push(key.kid);
        } else {
            let stem = stamp.file.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
            keys.push((CreationTime::of_file(&stem, stamp.modified), Arc::new(key)));
        }
    }
    keys.retain(|(_, key)| !revoked_kids.contains(&key.kid));
    keys.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(FolderContents { keys, revoked_kids })
}

fn read_key(stamp: &FileStamp) -> Result<Key, String> {
    let file = stamp.file.display();
    if stamp.bytes > FILE_BYTES_MAX {
        return Err(format!("{file} is too large for a key"));
    }
    Key::ed25519(&Secret::from_file(&stamp.file)?)
        .map_err(|error| format!("{file} holds no Ed25519 key in PKCS #8 (PEM): {error}"))
}
