//! Counts the changes of keys, so that a worker notices one by a single atomic load.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The number of changes of the trusted keys. Clones share the counter.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyGeneration(Arc<AtomicU64>);

impl KeyGeneration {
    /// Returns the number of changes so far.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Counts a change. Call it after the new keys can be read: whoever sees the new number then sees the new keys.
    pub(crate) fn advance(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}
