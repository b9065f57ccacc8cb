//! The keys that the gateway signs and verifies with: a handle that all workers share while keys are added and removed.
//!
//! Readers take the current [`KeySet`] without a lock. The one writer is a poll of the key folder; it is also what
//! makes time pass, since a key that was published long enough starts to sign although no file has changed.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use arc_swap::ArcSwap;

use super::{
    files,
    folder::{KeyFolder, holds_no_key},
    key::Key,
    rotation::RotationSchedule,
    set::KeySet,
};
use crate::{
    auth::{
        generation::KeyGeneration,
        settings::{KeySource, LEEWAY, OwnTokens},
    },
    files::poll::reload_regularly,
};

/// A handle to the key ring. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct KeyRing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    current: ArcSwap<KeySet>,
    generation: KeyGeneration,
    is_watched: AtomicBool,
    /// The folder to poll; `None` for a shared secret. Locked by the poll alone.
    folder: Option<Mutex<KeyFolder>>,
}

impl KeyRing {
    /// Loads the keys, and creates the first one if the folder has none.
    ///
    /// # Errors
    /// Names the file and the reason.
    pub(crate) fn load(settings: &OwnTokens, generation: KeyGeneration, now: SystemTime) -> Result<Self, String> {
        let (set, folder) = match &settings.keys {
            KeySource::Secret(secret) => (KeySet::new(Arc::new(Key::hs256(secret)?), []), None),
            KeySource::Folder(path) => {
                if holds_no_key(path) {
                    files::create_signing_key(path)?;
                }
                let token_lifetime = settings.ttl + 2 * LEEWAY;
                let schedule = RotationSchedule { publish_for: settings.publish_for, token_lifetime };
                let folder = KeyFolder::open(path, schedule, now)?;
                let set = folder.key_set(now).ok_or_else(|| format!("{} holds no key", path.display()))?;
                (set, Some(Mutex::new(folder)))
            }
        };
        let (current, is_watched) = (ArcSwap::from_pointee(set), AtomicBool::new(false));
        Ok(Self(Arc::new(Inner { current, generation, is_watched, folder })))
    }

    /// Returns the current keys.
    pub(crate) fn current(&self) -> Arc<KeySet> {
        self.0.current.load_full()
    }

    /// Reads the folder again if its files have changed, and gives each key the role that it has at `now`.
    ///
    /// # Errors
    /// What is wrong with the folder, reported once for each change; the keys stay as they were.
    pub(crate) fn reload_if_changed(&self, now: SystemTime) -> Result<(), String> {
        let Some(folder) = &self.0.folder else { return Ok(()) };
        let mut folder = folder.lock().unwrap_or_else(PoisonError::into_inner);
        let reloaded = folder.reload_if_changed(now);
        if let Some(set) = folder.key_set(now) {
            self.publish(set);
        }
        reloaded
    }

    fn publish(&self, set: KeySet) {
        if self.current().kids() == set.kids() {
            return;
        }
        log::info!(signing = set.signing().kid(), published = set.verifying().len(); "the token keys have changed");
        self.0.current.store(Arc::new(set));
        self.0.generation.advance();
    }

    /// Polls the folder for as long as a handle exists. Calling it again has no effect. Needs the runtime of actix.
    pub(crate) fn watch(&self) {
        if self.0.folder.is_some() && !self.0.is_watched.swap(true, Ordering::Relaxed) {
            reload_regularly(&self.0, "token keys", |inner, now| Self(inner).reload_if_changed(now));
        }
    }
}

#[cfg(test)]
mod tests;
