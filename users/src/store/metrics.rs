//! The metrics of the store: those of group commit, how long an fsync and a compaction take, and what happens to sessions.

use chassis::{metrics::seconds_histogram, store::CommitMetrics};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::domain::EndReason;

/// The metrics of the store. A clone counts into the same metrics.
#[derive(Clone)]
pub(super) struct StoreMetrics {
    pub(super) commits: CommitMetrics,
    pub(super) fsync_seconds: Histogram,
    pub(super) compaction_seconds: Histogram,
    pub(super) failed_compactions: Counter,
    pub(super) sessions: SessionMetrics,
}

/// What happens to sessions, counted once it is durable. A clone counts into the same metrics.
#[derive(Clone, Default)]
pub(super) struct SessionMetrics {
    pub(super) opened: Counter,
    pub(super) refreshed: Counter,
    ended: Family<Reason, Counter>,
    open: Gauge,
    ended_kept: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

impl SessionMetrics {
    /// Registers the metrics.
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        // From zero on, so that the first one of each reason is an increase.
        EndReason::ALL.into_iter().for_each(|reason| drop(metrics.ended(reason)));
        let Self { opened, refreshed, ended, open, ended_kept } = metrics.clone();
        registry.register("opened_sessions", "Sessions that sign-ins have opened", opened);
        registry.register("refreshed_sessions", "Refresh tokens that were exchanged", refreshed);
        registry.register("ended_sessions", "Sessions that were ended before their time, by reason", ended);
        registry.register("sessions", "Sessions in memory; some may have ended by time", open);
        registry.register("ended_sessions_kept", "Ended sessions that are remembered for gateways", ended_kept);
        metrics
    }

    /// The sessions that were ended for this reason.
    pub(super) fn ended(&self, reason: EndReason) -> Counter {
        self.ended.get_or_create_owned(&Reason { reason: reason.as_str() })
    }

    /// Shows how many sessions there are, and how many ended ones are kept.
    pub(super) fn count(&self, open: usize, ended_kept: usize) {
        self.open.set(i64::try_from(open).unwrap_or(i64::MAX));
        self.ended_kept.set(i64::try_from(ended_kept).unwrap_or(i64::MAX));
    }
}

impl StoreMetrics {
    /// Registers the metrics.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            commits: CommitMetrics::register(registry),
            fsync_seconds: seconds_histogram(),
            compaction_seconds: seconds_histogram(),
            failed_compactions: Counter::default(),
            sessions: SessionMetrics::register(registry),
        };
        let Self { fsync_seconds, compaction_seconds, failed_compactions, .. } = metrics.clone();
        registry.register("fsync_duration_seconds", "Seconds of one fsync of a file or folder", fsync_seconds);
        let help = "Seconds to write all users to a new file and remove the old log";
        registry.register("compaction_duration_seconds", help, compaction_seconds);
        registry.register("failed_compactions", "Logs that could not be compacted", failed_compactions);
        metrics
    }
}
