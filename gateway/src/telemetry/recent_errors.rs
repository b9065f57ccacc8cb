//! The last failed requests, by request id, for the admin listener. Bounded; knows no HTTP.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use chassis::timestamp::Timestamp;
use serde::Serialize;

/// The number of requests kept of each kind: 2 × 100 × about 0.5 KiB = 100 KiB.
const KEPT_MAX: usize = 100;
/// Paths and request ids come from clients, so that they are cut at this length.
const TEXT_CHARS_MAX: usize = 200;

/// A request that failed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FailedRequest {
    time: Timestamp,
    status: u16,
    /// The code of the gateway's problem; none where the upstream answered the error.
    code: Option<&'static str>,
    request_id: String,
    request: String,
    route: String,
}

impl FailedRequest {
    /// Describes a request that has just failed.
    pub(crate) fn now(status: u16, code: Option<&'static str>, request_id: &str, request: &str, route: &str) -> Self {
        let short = |text: &str| text.chars().take(TEXT_CHARS_MAX).collect();
        Self {
            time: Timestamp::from(SystemTime::now()),
            status,
            code,
            request_id: short(request_id),
            request: short(request),
            route: route.to_owned(),
        }
    }
}

/// Keeps the last failures. Client and server errors are kept apart, so that a flood of bad tokens does not push out the
/// one failure that matters.
#[derive(Debug, Default)]
pub(crate) struct RecentErrors {
    client_errors: Mutex<VecDeque<FailedRequest>>,
    server_errors: Mutex<VecDeque<FailedRequest>>,
}

impl RecentErrors {
    /// Adds a failure and drops the oldest one of its kind.
    pub(crate) fn push(&self, failed: FailedRequest) {
        let ring = if failed.status >= 500 { &self.server_errors } else { &self.client_errors };
        let mut ring = ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.len() == KEPT_MAX {
            ring.pop_front();
        }
        ring.push_back(failed);
    }

    /// Returns all failures, the last first.
    pub(crate) fn all(&self) -> Vec<FailedRequest> {
        let rings = [&self.client_errors, &self.server_errors];
        let copy = |ring: &Mutex<VecDeque<FailedRequest>>| ring.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut all: Vec<FailedRequest> = rings.into_iter().flat_map(|ring| copy(ring).into_iter().rev()).collect();
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
        errors.push(FailedRequest::now(502, Some("upstream_unreachable"), "first", "GET /", "GET /"));
        for number in 0..1000 {
            errors.push(FailedRequest::now(401, Some("token_invalid"), &number.to_string(), "GET /", "GET /"));
        }
        let all = errors.all();
        assert_eq!(all.len(), 101);
        assert_eq!(all[0].request_id, "999");
        assert_eq!(all.iter().filter(|failed| failed.status == 502).count(), 1);
    }
}
