//! The keys that the gateway signs and verifies with, as a handle that all workers share while keys come and go.

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock, Weak},
    time::{Duration, SystemTime},
};

use super::{
    files,
    folder::{KeyFolder, holds_no_key},
    key::Key,
    rotation::RotationSchedule,
    set::KeySet,
};
use crate::auth::{
    generation::Generation,
    settings::{KeySource, LEEWAY, OwnTokens},
};

/// How often the key folder is looked at: a listing and the times of two or three files.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The handle. Clones are the same ring.
#[derive(Clone, Debug)]
pub(crate) struct KeyRing(Arc<Ring>);

#[derive(Debug)]
struct Ring {
    current: RwLock<Arc<KeySet>>,
    generation: Generation,
    /// What to watch; nothing where the key is a secret that was given.
    folder: RwLock<Option<KeyFolder>>,
}

impl KeyRing {
    /// Loads the keys, and makes the first where a folder has none.
    ///
    /// # Errors
    /// Names the file and the reason.
    pub(crate) fn load(settings: &OwnTokens, generation: Generation, now: SystemTime) -> Result<Self, String> {
        let (set, folder) = match &settings.keys {
            KeySource::Secret(secret) => (KeySet::new(Arc::new(Key::hs256(secret)?), []), None),
            KeySource::Folder(path) => {
                let pace =
                    RotationSchedule { publish_for: settings.publish_for, token_lifetime: settings.ttl + 2 * LEEWAY };
                let (set, folder) = open(path, pace, now)?;
                (set, Some(folder))
            }
        };
        Ok(Self(Arc::new(Ring { current: RwLock::new(Arc::new(set)), generation, folder: RwLock::new(folder) })))
    }

    /// The keys as they are now.
    pub(crate) fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// TickLimits at the folder, as [`watch`](Self::watch) does every second.
    ///
    /// # Errors
    /// What is wrong with the folder; the keys stay as they were.
    pub(crate) fn look(&self, now: SystemTime) -> Result<(), String> {
        let mut folder = self.0.folder.write().unwrap_or_else(PoisonError::into_inner);
        let Some(folder) = folder.as_mut() else { return Ok(()) };
        let looked = folder.look(now);
        if let Some(set) = folder.at(now) {
            self.publish(set);
        }
        looked
    }

    fn publish(&self, set: KeySet) {
        if self.current().kids() == set.kids() {
            return;
        }
        log::info!(signing = set.signing.kid(), published = set.believed.len(); "the token keys have changed");
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
        self.0.generation.changed();
    }

    /// Watches the folder for as long as a handle of this ring exists. Needs the runtime of actix.
    pub(crate) fn watch(&self) {
        let ring = Arc::downgrade(&self.0);
        actix_rt::spawn(async move {
            loop {
                actix_rt::time::sleep(LOOK_EVERY).await;
                let ring = Weak::clone(&ring);
                // A folder may lie on a disk that hangs.
                let looked = actix_rt::task::spawn_blocking(move || look(&ring)).await;
                if !looked.unwrap_or(true) {
                    return;
                }
            }
        });
    }
}

/// Whether there is still something to watch.
fn look(ring: &Weak<Ring>) -> bool {
    let Some(ring) = ring.upgrade() else { return false };
    if let Err(error) = KeyRing(ring).look(SystemTime::now()) {
        log::error!(cause = error.as_str(); "the token keys stay as they were");
    }
    true
}

fn open(path: &Path, pace: RotationSchedule, now: SystemTime) -> Result<(KeySet, KeyFolder), String> {
    if holds_no_key(path) {
        files::create_signing_key(path)?;
    }
    let mut folder = KeyFolder::new(path, pace);
    folder.look(now)?;
    let set = folder.at(now).ok_or_else(|| format!("{} holds no key", path.display()))?;
    Ok((set, folder))
}

#[cfg(test)]
mod tests;
