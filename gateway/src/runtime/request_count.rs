//! Counts the requests of the process, whatever snapshot they belong to. Knows no routes.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many requests have begun and how many have ended since the start.
#[derive(Debug, Default)]
pub(crate) struct RequestCount {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl RequestCount {
    /// Counts a request that begins.
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the end of a request that was counted by [`begin`](Self::begin).
    pub(crate) fn end(&self) {
        self.ended.fetch_add(1, Ordering::Release);
    }

    /// Returns the number of requests so far where none is in flight.
    pub(crate) fn when_idle(&self) -> Option<u64> {
        // In this order: whatever had begun by the second load had ended by the first, or the numbers differ.
        let ended = self.ended.load(Ordering::Acquire);
        let begun = self.begun.load(Ordering::Acquire);
        (begun == ended).then_some(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_until_they_end() {
        let count = RequestCount::default();
        assert_eq!(count.when_idle(), Some(0));
        count.begin();
        count.begin();
        count.end();
        assert_eq!(count.when_idle(), None);
        count.end();
        assert_eq!(count.when_idle(), Some(2));
    }
}
