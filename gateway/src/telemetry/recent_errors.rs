//! The last failures, by request id, for the admin listener. Bounded; knows no HTTP.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use chassis::timestamp::Timestamp;
use serde::Serialize;

/// So many of each kind are remembered: 2 × 100 × about 0.5 KiB = 100 KiB.
const REMEMBERED_MAX: usize = 100;
/// Paths and request ids of clients are remembered up to this length.
const TEXT_CHARS_MAX: usize = 200;

/// A request that failed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Failed {
    time: Timestamp,
    status: u16,
    /// Of the gateway; none where the upstream answered the error.
    code: Option<&'static str>,
    request_id: String,
    request: String,
    route: String,
}

impl Failed {
    /// A request that has just failed.
    pub(crate) fn now(status: u16, code: Option<&'static str>, request_id: &str, request: &str, route: &str) -> Self {
        let short = |text: &str| text.chars().take(TEXT_CHARS_MAX).collect();
        Self {
            time: Timestamp::of(SystemTime::now()),
            status,
            code,
            request_id: short(request_id),
            request: short(request),
            route: route.to_owned(),
        }
    }
}

/// Remembers the last failures. Those of clients and those of servers apart: a flood of bad tokens shall not push out
/// the one failure that matters.
#[derive(Debug, Default)]
pub(crate) struct RecentErrors {
    of_clients: Mutex<VecDeque<Failed>>,
    of_servers: Mutex<VecDeque<Failed>>,
}

impl RecentErrors {
    /// Remembers one, and forgets the oldest.
    pub(crate) fn push(&self, failed: Failed) {
        let ring = if failed.status >= 500 { &self.of_servers } else { &self.of_clients };
        let mut ring = ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.len() == REMEMBERED_MAX {
            ring.pop_front();
        }
        ring.push_back(failed);
    }

    /// All that are remembered, the last first.
    pub(crate) fn all(&self) -> Vec<Failed> {
        let rings = [&self.of_clients, &self.of_servers];
        let copy = |ring: &Mutex<VecDeque<Failed>>| ring.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut all: Vec<Failed> = rings.into_iter().flat_map(|ring| copy(ring).into_iter().rev()).collect();
        all.sort_by_key(|failed| std::cmp::Reverse(failed.time));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_kind_does_not_push_out_the_other() {
        let errors = RecentErrors::default();
        errors.push(Failed::now(502, Some("upstream_unreachable"), "first", "GET /", "GET /"));
        for number in 0..1000 {
            errors.push(Failed::now(401, Some("token_invalid"), &number.to_string(), "GET /", "GET /"));
        }
        let all = errors.all();
        assert_eq!(all.len(), 101);
        assert_eq!(all[0].request_id, "999");
        assert_eq!(all.iter().filter(|failed| failed.status == 502).count(), 1);
    }
}
