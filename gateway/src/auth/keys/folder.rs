//! The folder of signing keys: every `*.pem` in it is a key. Sees what was put in, removed or revoked. Knows no clock.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use chassis::config::Secret;

use super::{
    key::Key,
    rotation::{Birth, Role, RotationSchedule, roles},
    set::KeySet,
};

/// A key in a file of this kind is believed; one in a file of the other kind is not, from now on.
const KEY: &str = "pem";
const REVOKED: &str = "revoked";
/// A rotation has two or three keys; more than this is a wrong folder.
const FILES_MAX: usize = 64;
/// A key in PEM has 119 bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// A folder as it was last seen without a mistake.
#[derive(Debug)]
pub(crate) struct KeyFolder {
    path: PathBuf,
    pace: RotationSchedule,
    /// What the last look saw, so that a mistake is told once for each change.
    seen: Result<Vec<Stamp>, String>,
    /// From the oldest to the newest.
    keys: Vec<(Birth, Arc<Key>)>,
    /// Keys whose files have gone, and until when their tokens may be about.
    removed: Vec<(Arc<Key>, SystemTime)>,
}

/// What changes when a file does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stamp {
    file: PathBuf,
    modified: SystemTime,
    bytes: u64,
}

/// The keys that a folder was found to hold, and the names of those that it revokes.
type Found = (Vec<(Birth, Arc<Key>)>, Vec<String>);

impl KeyFolder {
    /// A folder that nobody has looked into yet.
    pub(crate) fn new(path: &Path, pace: RotationSchedule) -> Self {
        Self { path: path.to_owned(), pace, seen: Ok(Vec::new()), keys: Vec::new(), removed: Vec::new() }
    }

    /// TickLimits whether files have changed, and takes over what they hold: all of it, or nothing where one is broken.
    ///
    /// # Errors
    /// What is wrong with the folder; told once for each change.
    pub(crate) fn look(&mut self, now: SystemTime) -> Result<(), String> {
        let seen = stamps(&self.path);
        if seen == self.seen {
            return Ok(());
        }
        self.seen.clone_from(&seen);
        let (keys, revoked) = read(&seen?)?;
        if keys.is_empty() {
            return Err(format!("{} holds no key (*.pem)", self.path.display()));
        }
        self.take_over(keys, &revoked, now);
        Ok(())
    }

    fn take_over(&mut self, keys: Vec<(Birth, Arc<Key>)>, revoked: &[String], now: SystemTime) {
        let until = now + self.pace.token_lifetime;
        let gone = self.in_use(now).into_iter().map(|key| (key, until));
        let mut removed: Vec<_> = self.removed.drain(..).chain(gone).collect();
        removed.retain(|(key, until)| {
            let is_back = keys.iter().any(|(_, known)| known.kid == key.kid);
            *until > now && !is_back && !revoked.contains(&key.kid)
        });
        self.removed = removed;
        self.keys = keys;
    }

    /// The keys of which tokens may be about.
    fn in_use(&self, now: SystemTime) -> Vec<Arc<Key>> {
        let used = self.roles(now).filter(|(_, role)| matches!(role, Role::Signing | Role::Verifying));
        used.map(|(key, _)| Arc::clone(key)).collect()
    }

    fn roles(&self, now: SystemTime) -> impl Iterator<Item = (&Arc<Key>, Role)> {
        let births: Vec<Birth> = self.keys.iter().map(|(birth, _)| birth.clone()).collect();
        self.keys.iter().map(|(_, key)| key).zip(roles(&births, self.pace, now))
    }

    /// The keys as they are to be used at `now`; `None` before the first look.
    pub(crate) fn at(&self, now: SystemTime) -> Option<KeySet> {
        let mut signing = None;
        let mut believed = Vec::new();
        for (key, role) in self.roles(now) {
            match role {
                Role::Signing => signing = Some(Arc::clone(key)),
                Role::Next | Role::Verifying => believed.push(Arc::clone(key)),
                Role::Retired => {}
            }
        }
        let removed = self.removed.iter().filter(|(_, until)| *until > now).map(|(key, _)| Arc::clone(key));
        Some(KeySet::new(signing?, believed.into_iter().chain(removed)))
    }
}

/// The key files of a folder, by name.
fn stamps(folder: &Path) -> Result<Vec<Stamp>, String> {
    let describe = |error: std::io::Error| format!("cannot read the key folder {}: {error}", folder.display());
    let mut stamps = Vec::new();
    for entry in fs::read_dir(folder).map_err(describe)? {
        let file = entry.map_err(describe)?.path();
        if !is_key_file(&file) {
            continue;
        }
        // Follows links, by which Kubernetes swaps a whole folder.
        let metadata = fs::metadata(&file).map_err(describe)?;
        stamps.push(Stamp { file, modified: metadata.modified().map_err(describe)?, bytes: metadata.len() });
        if stamps.len() > FILES_MAX {
            return Err(format!("{} holds more than {FILES_MAX} keys", folder.display()));
        }
    }
    stamps.sort();
    Ok(stamps)
}

/// Whether the folder has no key yet.
pub(crate) fn holds_no_key(folder: &Path) -> bool {
    let files = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    !files.map(|entry| entry.path()).any(|file| has_extension(&file, KEY) && is_key_file(&file))
}

fn is_key_file(file: &Path) -> bool {
    let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && (has_extension(file, KEY) || has_extension(file, REVOKED))
}

fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|known| known == extension)
}

fn read(stamps: &[Stamp]) -> Result<Found, String> {
    let mut keys: Vec<(Birth, Arc<Key>)> = Vec::new();
    let mut revoked = Vec::new();
    for stamp in stamps {
        let key = read_key(stamp)?;
        if has_extension(&stamp.file, REVOKED) {
            revoked.push(key.kid);
        } else {
            let stem = stamp.file.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
            keys.push((Birth::of(&stem, stamp.modified), Arc::new(key)));
        }
    }
    keys.retain(|(_, key)| !revoked.contains(&key.kid));
    keys.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok((keys, revoked))
}

fn read_key(stamp: &Stamp) -> Result<Key, String> {
    let file = stamp.file.display();
    if stamp.bytes > FILE_BYTES_MAX {
        return Err(format!("{file} is too large for a key"));
    }
    Key::ed25519(&Secret::from_file(&stamp.file)?)
        .map_err(|error| format!("{file} holds no Ed25519 key in PKCS #8 (PEM): {error}"))
}
