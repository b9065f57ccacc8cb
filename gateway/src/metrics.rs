//! What the gateway counts: requests by route, upstream and status, and how long they take.

use std::time::Duration;

use chassis::metrics::seconds_histogram;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    upstream: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

/// The metrics of the public listener. Labels are names of the configuration, never of clients.
#[derive(Clone)]
pub struct GatewayMetrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
}

impl GatewayMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let requests = Family::default();
        let seconds = Family::new_with_constructor(seconds_histogram as fn() -> Histogram);
        registry.register("gateway_requests", "Requests answered, by route, upstream and status", requests.clone());
        registry.register("gateway_request_duration_seconds", "Seconds from head to head, by route", seconds.clone());
        Self { requests, seconds }
    }

    /// Counts one answered request.
    pub fn observe(&self, route: &str, upstream: &str, status: u16, took: Duration) {
        let labels = RequestLabels { route: route.to_owned(), upstream: upstream.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.seconds.get_or_create(&RouteLabels { route: route.to_owned() }).observe(took.as_secs_f64());
    }
}
