//! Counts the failed attempts of an upstream by kind, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

use super::decide::failure_kind::FailureKind;

/// The kinds of failure, with their names in metrics.
const NAMES: [(FailureKind, &str); 10] = [
    (FailureKind::NotConnected, "not_connected"),
    (FailureKind::ConnectTimeout, "connect_timeout"),
    (FailureKind::Broken, "broken"),
    (FailureKind::Stale, "stale"),
    (FailureKind::HeadTimeout, "head_timeout"),
    (FailureKind::Invalid, "invalid"),
    (FailureKind::AnswerCut, "answer_cut"),
    (FailureKind::AnswerStalled, "answer_stalled"),
    (FailureKind::RequestBody, "request_body"),
    (FailureKind::Deadline, "total_timeout"),
];

/// One counter for each kind of failure.
#[derive(Debug, Default)]
pub(crate) struct FailureCounts([AtomicU64; NAMES.len()]);

impl FailureCounts {
    /// Counts a failed attempt.
    pub(crate) fn count(&self, kind: FailureKind) {
        let found = NAMES.iter().position(|(known, _)| *known == kind);
        if let Some(counter) = found.and_then(|index| self.0.get(index)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the name and the count of each kind.
    pub(crate) fn all(&self) -> Vec<(&'static str, u64)> {
        NAMES.iter().zip(&self.0).map(|((_, name), count)| (*name, count.load(Ordering::Relaxed))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_failure_has_a_counter() {
        let counts = FailureCounts::default();
        for (kind, _) in NAMES {
            counts.count(kind);
        }
        assert!(counts.all().iter().all(|(_, count)| *count == 1));
    }
}
