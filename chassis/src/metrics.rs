//! Prometheus metrics of a service: those of its HTTP endpoints, and the text that `/metrics` answers.

use std::{sync::Arc, time::Duration};

use actix_web::{HttpResponse, http::header};
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use crate::{exposition, process::ProcessCollector};

/// From half a millisecond (a read from memory) to ten seconds (most clients have given up).
const SECONDS_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A registry with the metrics of the process, which every service has.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(ProcessCollector::started_now()));
    registry
}

/// A histogram of durations in seconds.
pub fn seconds_histogram() -> Histogram {
    Histogram::new(SECONDS_BUCKETS)
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

/// Counts requests and measures how long they take, by route pattern: the number of paths has no bound.
#[derive(Clone)]
pub struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
}

impl HttpMetrics {
    /// Registers the metrics of the HTTP endpoints.
    pub fn register(registry: &mut Registry) -> Self {
        let requests = Family::default();
        let seconds = Family::new_with_constructor(seconds_histogram as fn() -> Histogram);
        registry.register("http_requests", "Requests answered, by method, route and status", requests.clone());
        registry.register("http_request_duration_seconds", "Seconds from head to answer, by route", seconds.clone());
        Self { requests, seconds }
    }

    /// Counts one answered request.
    pub fn observe(&self, method: &str, route: &str, status: u16, elapsed: Duration) {
        let labels = RequestLabels { method: known_method(method).to_owned(), route: route.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.seconds.get_or_create(&RouteLabels { route: route.to_owned() }).observe(elapsed.as_secs_f64());
    }
}

/// Clients may send any number of different methods, so that unknown ones share a label.
fn known_method(method: &str) -> &str {
    match method {
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => method,
        _ => "other",
    }
}

/// The answer of `/metrics` to a client with this `Accept`: OpenMetrics if it names that, otherwise the text format 0.0.4.
pub fn render(registry: &Arc<Registry>, accept: &str) -> HttpResponse {
    let mut openmetrics = String::new();
    // Writing to a String cannot fail.
    let _ = text::encode(&mut openmetrics, registry);
    let (content_type, body) = exposition::negotiate(accept, openmetrics);
    HttpResponse::Ok().content_type(content_type).insert_header((header::VARY, "Accept")).body(body)
}
