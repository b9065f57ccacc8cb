//! The metrics of one route. They are looked up once, when a configuration is loaded; counting takes no lock.

use std::{
    fmt,
    sync::atomic::{AtomicI64, AtomicU16, AtomicU64, Ordering},
    time::Duration,
};

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use super::histogram::Histogram;

/// A route answers with a handful of statuses; 16 slots of 16 bytes hold them. The rest are counted as `other`.
const STATUSES_MAX: usize = 16;

/// The metrics of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteMetrics {
    pub(crate) route: String,
    pub(crate) upstream: String,
    statuses: [StatusSlot; STATUSES_MAX],
    other_statuses: AtomicU64,
    /// How long the answers of upstreams took, and those of the gateway itself.
    proxied: Histogram,
    own: Histogram,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    cut: AtomicU64,
    in_flight: AtomicI64,
}

/// Counts one status: the first one that claimed the slot. 0 is no status and marks a free slot.
#[derive(Debug, Default)]
struct StatusSlot {
    status: AtomicU16,
    count: AtomicU64,
}

/// A request that has ended: its last byte has been sent, or it was given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestSummary {
    pub(crate) status: u16,
    pub(crate) took: Duration,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// An upstream gave the answer, and not the gateway itself.
    pub(crate) proxied: bool,
    /// The client did not get the whole answer.
    pub(crate) cut: bool,
}

impl RouteMetrics {
    pub(super) fn new(route: &str, upstream: &str) -> Self {
        Self { route: route.to_owned(), upstream: upstream.to_owned(), ..Self::default() }
    }

    /// Returns the labels that identify its series.
    pub(super) fn labels(&self) -> (String, String) {
        (self.route.clone(), self.upstream.clone())
    }

    /// Counts the start of a request.
    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the end of a request that was counted by [`begin`](Self::begin).
    pub(crate) fn end(&self, request: &RequestSummary) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.count_status(request.status);
        let seconds = if request.proxied { &self.proxied } else { &self.own };
        seconds.observe(request.took);
        self.bytes_out.fetch_add(request.bytes_out, Ordering::Relaxed);
        if request.bytes_in > 0 {
            self.bytes_in.fetch_add(request.bytes_in, Ordering::Relaxed);
        }
        if request.cut {
            self.cut.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count_status(&self, status: u16) {
        // The most frequent status tends to come first, so that its slot is found at once.
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

    /// Returns the number of answers by status, sorted; `other` for those without a slot.
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

    /// Returns the number of requests in flight.
    pub(crate) fn in_flight(&self) -> i64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Returns upper bound in seconds and count of each bucket of the latency of upstreams.
    pub(crate) fn latency(&self) -> Vec<(f64, u64)> {
        self.proxied.buckets()
    }

    /// Returns the number of requests that the gateway answered itself.
    pub(crate) fn own_answers(&self) -> u64 {
        self.own.count()
    }

    /// Returns the bytes of request bodies and of answers.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.bytes_in.load(Ordering::Relaxed), self.bytes_out.load(Ordering::Relaxed))
    }
}

/// Encodes the metrics of these routes, each of which must occur once.
pub(super) fn encode(mut encoder: DescriptorEncoder<'_>, routes: &[&RouteMetrics]) -> fmt::Result {
    encode_requests(&mut encoder, routes)?;
    let help = "Seconds from the head of the request to the last byte of the answer, by route";
    let unit = Some(&Unit::Seconds);
    let mut family = encoder.encode_descriptor("gateway_request_duration", help, unit, MetricType::Histogram)?;
    for metrics in routes {
        metrics.proxied.encode_with(&metrics.own, family.encode_family(&labels(metrics))?)?;
    }
    type Read = fn(&RouteMetrics) -> u64;
    let counters: [(&str, &str, Option<&Unit>, Read); 3] = [
        ("gateway_received", "Bytes of request bodies", Some(&Unit::Bytes), |m| m.bytes_in.load(Ordering::Relaxed)),
        ("gateway_sent", "Bytes of answers, without their heads", Some(&Unit::Bytes), |m| {
            m.bytes_out.load(Ordering::Relaxed)
        }),
        ("gateway_cut_answers", "Answers that the client did not get whole", None, |m| m.cut.load(Ordering::Relaxed)),
    ];
    for (name, help, unit, read) in counters {
        let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Counter)?;
        for metrics in routes {
            ConstCounter::new(read(metrics)).encode(family.encode_family(&labels(metrics))?)?;
        }
    }
    let mut family = encoder.encode_descriptor("gateway_in_flight", "Requests in flight", None, MetricType::Gauge)?;
    for metrics in routes {
        ConstGauge::new(metrics.in_flight()).encode(family.encode_family(&labels(metrics))?)?;
    }
    Ok(())
}

fn encode_requests(encoder: &mut DescriptorEncoder<'_>, routes: &[&RouteMetrics]) -> fmt::Result {
    let help = "Requests answered, by route, upstream and status; 499 is a client that closed before its answer";
    let mut family = encoder.encode_descriptor("gateway_requests", help, None, MetricType::Counter)?;
    for metrics in routes {
        for (status, count) in metrics.statuses() {
            let [route, upstream] = labels(metrics);
            ConstCounter::new(count).encode(family.encode_family(&[route, upstream, ("status", &status)])?)?;
        }
    }
    Ok(())
}

fn labels(metrics: &RouteMetrics) -> [(&str, &str); 2] {
    [("route", &metrics.route), ("upstream", &metrics.upstream)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(status: u16) -> RequestSummary {
        RequestSummary { status, took: Duration::from_millis(1), proxied: true, bytes_in: 2, bytes_out: 3, cut: false }
    }

    #[test]
    fn statuses_are_counted_and_those_without_a_slot_are_not_lost() {
        let metrics = RouteMetrics::new("GET /x", "u");
        for status in (200..220).chain([200]) {
            metrics.begin();
            metrics.end(&summary(status));
        }
        let statuses = metrics.statuses();
        assert_eq!(statuses[0], ("200".to_owned(), 2));
        assert_eq!(statuses[16], ("other".to_owned(), 4));
        assert_eq!((metrics.in_flight(), metrics.bytes()), (0, (42, 63)));
    }
}
