//! What is counted of one route and of one upstream. A handle is looked up once, at load; counting takes no lock.

use std::{
    sync::atomic::{AtomicI64, AtomicU16, AtomicU64, Ordering},
    time::Duration,
};

use super::histogram::Histogram;

/// A route answers with a handful of statuses; 16 slots of 16 bytes hold them. The rest are counted as `other`.
const STATUSES_MAX: usize = 16;

/// What is counted of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteMetrics {
    pub(crate) route: String,
    pub(crate) upstream: String,
    statuses: [StatusSlot; STATUSES_MAX],
    other_statuses: AtomicU64,
    pub(crate) seconds: Histogram,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) cut: AtomicU64,
    in_flight: AtomicI64,
}

/// Counts one status: the first that came to a free slot. No status is 0.
#[derive(Debug, Default)]
struct StatusSlot {
    status: AtomicU16,
    count: AtomicU64,
}

/// What is known of a request when its last byte has gone, or when it has been given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) took: Duration,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// The client did not get all of it.
    pub(crate) cut: bool,
}

impl RouteMetrics {
    pub(crate) fn new(route: &str, upstream: &str) -> Self {
        Self { route: route.to_owned(), upstream: upstream.to_owned(), ..Self::default() }
    }

    /// A request has begun.
    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A request that had begun has ended.
    pub(crate) fn end(&self, answered: &Answered) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.count_status(answered.status);
        self.seconds.observe(answered.took);
        self.bytes_out.fetch_add(answered.bytes_out, Ordering::Relaxed);
        if answered.bytes_in > 0 {
            self.bytes_in.fetch_add(answered.bytes_in, Ordering::Relaxed);
        }
        if answered.cut {
            self.cut.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count_status(&self, status: u16) {
        // The usual status has come first, so that the first slot is its own.
        for slot in &self.statuses {
            let claimed = slot.status.load(Ordering::Relaxed);
            let taken = match claimed {
                0 => {
                    slot.status.compare_exchange(0, status, Ordering::Relaxed, Ordering::Relaxed).unwrap_or_else(|s| s)
                }
                status => status,
            };
            if taken == status || taken == 0 {
                slot.count.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        self.other_statuses.fetch_add(1, Ordering::Relaxed);
    }

    /// Each status that was answered, and how often.
    pub(crate) fn statuses(&self) -> Vec<(String, u64)> {
        let slots = self.statuses.iter().map(|slot| (slot.status.load(Ordering::Relaxed), slot));
        let mut statuses: Vec<(String, u64)> = slots
            .filter(|(status, _)| *status != 0)
            .map(|(status, slot)| (status.to_string(), slot.count.load(Ordering::Relaxed)))
            .collect();
        statuses.sort();
        match self.other_statuses.load(Ordering::Relaxed) {
            0 => {}
            count => statuses.push(("other".to_owned(), count)),
        }
        statuses
    }

    /// Requests that have ended.
    pub(crate) fn answered(&self) -> u64 {
        self.statuses().iter().map(|(_, count)| count).sum()
    }

    /// Requests that have begun and not ended.
    pub(crate) fn in_flight(&self) -> i64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Upper bound in seconds and count of each bucket of the latency.
    pub(crate) fn latency(&self) -> Vec<(f64, u64)> {
        self.seconds.buckets()
    }

    /// Bytes of request bodies and of answers.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.bytes_in.load(Ordering::Relaxed), self.bytes_out.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> Answered {
        Answered { status, took: Duration::from_millis(1), bytes_in: 2, bytes_out: 3, cut: false }
    }

    #[test]
    fn statuses_are_counted_and_more_than_there_is_room_for_are_not_lost() {
        let metrics = RouteMetrics::new("GET /x", "u");
        for status in (200..220).chain([200]) {
            metrics.begin();
            metrics.end(&answered(status));
        }
        let statuses = metrics.statuses();
        assert_eq!(statuses[0], ("200".to_owned(), 2));
        assert_eq!(statuses[16], ("other".to_owned(), 4));
        assert_eq!((metrics.in_flight(), metrics.bytes()), (0, (42, 63)));
    }
}
