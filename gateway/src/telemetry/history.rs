//! The last quarter of an hour in figures, for the live page. They are derived from the counters of the routes at regular
//! intervals, so that a request costs nothing more. Reads no clock.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;

use super::route::RouteMetrics;

/// Interval between two points.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);
/// Maximum number of points: 180 × 5 s are 15 minutes, and 180 × 64 bytes are 11 KiB.
const POINTS_MAX: usize = 180;

/// What happened in one interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Point {
    /// When the interval ended, in seconds since the epoch of Unix.
    time: f64,
    /// Requests per second, whoever answered them.
    rate: f64,
    /// Those of them that the gateway answered itself.
    own: f64,
    /// Those of them that failed (5xx).
    failed: f64,
    /// Percentiles of the answers of upstreams, in seconds; `None` if there were none.
    p50: Option<f64>,
    p99: Option<f64>,
}

/// The points so far. One task records them.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The counters of each route when the last point was recorded, by its labels.
    before: HashMap<(String, String), Totals>,
    points: VecDeque<Point>,
}

/// Counters of one route, or of all.
#[derive(Clone, Debug, Default)]
struct Totals {
    requests: u64,
    own: u64,
    failed: u64,
    /// Upper bound and count of each bucket of the latency of upstreams.
    latency: Vec<(f64, u64)>,
}

impl History {
    /// Adds the point of an interval that ended at `time` and took `elapsed`, from the current counters, and drops the
    /// oldest one.
    pub(crate) fn record<'a>(
        &self,
        routes: impl Iterator<Item = &'a Arc<RouteMetrics>>,
        time: Duration,
        elapsed: Duration,
    ) {
        // Routes of one name share their counters.
        let now: HashMap<_, _> = routes.map(|route| (route.labels(), Totals::of(route))).collect();
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Totals::default();
        for (labels, totals) in &now {
            changed.add_change(totals, inner.before.get(labels));
        }
        inner.before = now;
        if inner.points.len() == POINTS_MAX {
            inner.points.pop_front();
        }
        inner.points.push_back(changed.point(time, elapsed));
    }

    /// Returns the points, the oldest first.
    pub(crate) fn points(&self) -> Vec<Point> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).points.iter().copied().collect()
    }
}

impl Totals {
    fn of(route: &RouteMetrics) -> Self {
        let statuses = route.statuses();
        let count = |failed: bool| {
            statuses.iter().filter(|(status, _)| !failed || status.starts_with('5')).map(|(_, count)| count).sum()
        };
        Self { requests: count(false), own: route.own_answers(), failed: count(true), latency: route.latency() }
    }

    /// Adds what a route has counted since `before`.
    fn add_change(&mut self, now: &Self, before: Option<&Self>) {
        let since = |read: fn(&Self) -> u64| read(now).saturating_sub(before.map_or(0, read));
        self.requests += since(|totals| totals.requests);
        self.own += since(|totals| totals.own);
        self.failed += since(|totals| totals.failed);
        if self.latency.is_empty() {
            self.latency = now.latency.iter().map(|(bound, _)| (*bound, 0)).collect();
        }
        for (index, (_, sum)) in self.latency.iter_mut().enumerate() {
            let count = |totals: &Self| totals.latency.get(index).map_or(0, |(_, count)| *count);
            *sum += count(now).saturating_sub(before.map_or(0, count));
        }
    }

    fn point(&self, time: Duration, elapsed: Duration) -> Point {
        #[expect(clippy::cast_precision_loss, reason = "an interval has fewer than 2^52 requests")]
        let per_second = |count: u64| count as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        Point {
            time: time.as_secs_f64(),
            rate: per_second(self.requests),
            own: per_second(self.own),
            failed: per_second(self.failed),
            p50: percentile(&self.latency, 50),
            p99: percentile(&self.latency, 99),
        }
    }
}

/// Returns the duration that this share of the requests did not exceed, interpolated inside its bucket.
#[expect(clippy::cast_precision_loss, reason = "an interval has fewer than 2^52 requests")]
fn percentile(buckets: &[(f64, u64)], percent: u64) -> Option<f64> {
    let total: u64 = buckets.iter().map(|(_, count)| count).sum();
    let wanted = total as f64 * percent as f64 / 100.0;
    let (mut seen, mut lower) = (0.0, 0.0);
    for (bound, count) in buckets {
        let count = *count as f64;
        // The last bucket has no bound.
        let upper = if bound.is_finite() { *bound } else { lower };
        if count > 0.0 && seen + count >= wanted {
            return Some(lower + (upper - lower) * (wanted - seen) / count);
        }
        seen += count;
        lower = upper;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::route::RequestSummary;

    const SECOND: Duration = Duration::from_secs(1);

    fn end(route: &RouteMetrics, status: u16, took: Duration, proxied: bool) {
        route.begin();
        route.end(&RequestSummary { status, took, proxied, bytes_in: 0, bytes_out: 0, cut: false });
    }

    #[test]
    fn a_point_has_what_happened_since_the_one_before() {
        let history = History::default();
        let (one, other) = (Arc::new(RouteMetrics::new("a", "u")), Arc::new(RouteMetrics::new("b", "u")));
        end(&one, 200, SECOND, true);
        history.record([&one].into_iter(), SECOND, INTERVAL);
        for _ in 0..8 {
            end(&one, 200, Duration::from_micros(80), true);
        }
        end(&other, 502, Duration::from_secs(30), false);
        end(&other, 401, Duration::from_micros(1), false);
        // The same route twice, as routes of one name are.
        history.record([&one, &other, &one].into_iter(), 2 * SECOND, INTERVAL);
        history.record([&other].into_iter(), 3 * SECOND, INTERVAL);
        let points = history.points();
        let figures: Vec<_> = points.iter().map(|point| (point.rate, point.own, point.failed)).collect();
        assert_eq!(figures, [(0.2, 0.0, 0.0), (2.0, 0.4, 0.2), (0.0, 0.0, 0.0)]);
        assert!(points[0].p50.is_some_and(|p50| (0.5..=1.0).contains(&p50)), "{points:?}");
        assert!(points[1].p99.is_some_and(|p99| p99 <= 0.0001), "without the answers of the gateway: {points:?}");
        assert_eq!((points[2].p50, points[2].time), (None, 3.0));
    }

    #[test]
    fn a_quarter_of_an_hour_is_kept() {
        let history = History::default();
        for second in 0..500 {
            history.record(std::iter::empty(), second * SECOND, INTERVAL);
        }
        let points = history.points();
        assert_eq!((points.len(), points[0].time), (180, 320.0));
        assert_eq!(points.len() as u32 * INTERVAL, Duration::from_secs(15 * 60));
    }
}
