//! The requests that failed, in groups by route and code, for the admin listener. Bounded; knows no HTTP.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use chassis::timestamp::Timestamp;
use serde::Serialize;

/// Maximum number of groups: 256 × 10 × about 0.5 KiB = 1.3 MiB. A stack of fifty routes has about that many if each fails
/// in five ways.
const GROUPS_MAX: usize = 256;
/// The number of requests kept of each group.
const KEPT_MAX: usize = 10;
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

    fn is_like(&self, other: &Self) -> bool {
        self.status == other.status && self.code == other.code && self.route == other.route
    }
}

/// The requests that failed in the same way.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ErrorGroup {
    /// How many there were since the start, or since the group was dropped for others.
    count: u64,
    last: FailedRequest,
    #[serde(skip)]
    earlier: VecDeque<FailedRequest>,
}

impl ErrorGroup {
    const fn new(first: FailedRequest) -> Self {
        Self { count: 1, last: first, earlier: VecDeque::new() }
    }

    fn add(&mut self, failed: FailedRequest) {
        self.count += 1;
        self.earlier.push_front(std::mem::replace(&mut self.last, failed));
        self.earlier.truncate(KEPT_MAX - 1);
    }

    /// Groups of client errors are dropped before those of server errors, which nobody can cause at will; among equals the
    /// one that has not grown for longest.
    const fn worth(&self) -> (bool, Timestamp) {
        (self.last.status >= 500, self.last.time)
    }
}

/// Keeps the failures in groups, so that a flood of one kind pushes out nothing but its own.
#[derive(Debug, Default)]
pub(crate) struct RecentErrors(Mutex<Vec<ErrorGroup>>);

impl RecentErrors {
    /// Adds a failure to its group, and drops the oldest one there.
    pub(crate) fn push(&self, failed: FailedRequest) {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = groups.iter_mut().find(|group| group.last.is_like(&failed)) {
            group.add(failed);
            return;
        }
        if groups.len() == GROUPS_MAX {
            let least = (0..groups.len()).min_by_key(|index| groups[*index].worth());
            least.map(|index| groups.swap_remove(index));
        }
        groups.push(ErrorGroup::new(failed));
    }

    /// Returns the groups, the one of the last failure first.
    pub(crate) fn groups(&self) -> Vec<ErrorGroup> {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        groups.sort_by_key(|group| std::cmp::Reverse(group.last.time));
        groups
    }

    /// Returns all failures that are kept, the last first.
    pub(crate) fn all(&self) -> Vec<FailedRequest> {
        let groups = self.groups().into_iter();
        let mut all: Vec<FailedRequest> =
            groups.flat_map(|group| std::iter::once(group.last).chain(group.earlier)).collect();
        all.sort_by_key(|failed| std::cmp::Reverse(failed.time));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(request_id: u32, route: &str) -> FailedRequest {
        FailedRequest::now(401, Some("token_invalid"), &request_id.to_string(), "GET /", route)
    }

    #[test]
    fn a_flood_pushes_out_nothing_but_its_own() {
        let errors = RecentErrors::default();
        errors.push(FailedRequest::now(502, Some("upstream_unreachable"), "first", "GET /", "GET /"));
        (0..1000).for_each(|number| errors.push(refused(number, "GET /")));
        let all = errors.all();
        assert_eq!(all.len(), 11);
        assert_eq!(all[0].request_id, "999");
        assert_eq!(all.iter().filter(|failed| failed.status == 502).count(), 1);
        let counts: Vec<(u64, u16)> = errors.groups().iter().map(|group| (group.count, group.last.status)).collect();
        assert_eq!(counts, [(1000, 401), (1, 502)]);
    }

    #[test]
    fn more_groups_than_are_kept_push_out_client_errors_first() {
        let errors = RecentErrors::default();
        errors.push(FailedRequest::now(502, None, "first", "GET /", "GET /"));
        (0..1000).for_each(|number| errors.push(refused(number, &format!("GET /{number}"))));
        let groups = errors.groups();
        assert_eq!(groups.len(), GROUPS_MAX);
        assert!(groups.iter().any(|group| group.last.status == 502));
        assert_eq!(groups[0].last.request_id, "999");
    }
}
