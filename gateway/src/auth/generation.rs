//! Counts the changes of keys, so that a worker finds out by one atomic load whether it has to fetch them again.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Counts the changes of keys, so that a worker sees by one atomic load whether it has to look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Generation(Arc<AtomicU64>);

impl Generation {
    /// The number of changes so far.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Tells the workers, after the change is there to be read.
    pub(crate) fn changed(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}
