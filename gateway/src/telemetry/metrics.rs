//! What the gateway counts, and how Prometheus gets to see it. Labels are names of the configuration, never of clients.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use chassis::problem::Code;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
        info::Info,
    },
    registry::{Registry, Unit},
};

use super::route::RouteMetrics;
use crate::auth::metrics::TokenCacheMetrics;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

/// The handles of one configuration: one for each route, in its order, and two for what has no route.
#[derive(Clone, Debug)]
pub(crate) struct Handles {
    pub(crate) routes: Vec<Arc<RouteMetrics>>,
    pub(crate) builtin: Arc<RouteMetrics>,
    pub(crate) unmatched: Arc<RouteMetrics>,
}

impl Handles {
    /// Those of all routes; two routes of one name have the same.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<RouteMetrics>> {
        self.routes.iter().chain([&self.builtin, &self.unmatched])
    }
}

/// The metrics of the public listener.
#[derive(Clone, Debug)]
pub(crate) struct GatewayMetrics {
    /// Of the configuration in force; what was counted for a route that is gone, goes with it.
    shown: Arc<Mutex<Option<Handles>>>,
    problems: Family<CodeLabel, Counter>,
    pub(crate) token_cache: TokenCacheMetrics,
}

impl GatewayMetrics {
    /// Registers them and the build.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let token_cache = TokenCacheMetrics::register(registry);
        let metrics = Self { shown: Arc::default(), problems: Family::default(), token_cache };
        let help = "Requests that the gateway itself refused or failed, by code";
        registry.register("gateway_problems", help, metrics.problems.clone());
        registry.register("gateway_build", "The program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        registry.register_collector(Box::new(metrics.clone()));
        metrics
    }

    /// The handles of these routes, each with its upstream: those that are there, new ones for the rest.
    pub(crate) fn handles(&self, routes: &[(&str, &str)]) -> Handles {
        let shown = self.shown();
        let known: Vec<Arc<RouteMetrics>> = shown.iter().flat_map(Handles::all).cloned().collect();
        let known: std::collections::HashMap<(&str, &str), &Arc<RouteMetrics>> =
            known.iter().map(|metrics| ((metrics.route.as_str(), metrics.upstream.as_str()), metrics)).collect();
        let mut made = std::collections::HashMap::new();
        let mut handle = |route: &str, upstream: &str| match known.get(&(route, upstream)) {
            Some(metrics) => Arc::clone(metrics),
            None => {
                // Two routes of one name share their series.
                let key = (route.to_owned(), upstream.to_owned());
                Arc::clone(made.entry(key).or_insert_with(|| Arc::new(RouteMetrics::new(route, upstream))))
            }
        };
        let routes = routes.iter().map(|(route, upstream)| handle(route, upstream)).collect();
        let (builtin, unmatched) = (handle("builtin", "none"), handle("unmatched", "none"));
        Handles { routes, builtin, unmatched }
    }

    /// From now on these are shown.
    pub(crate) fn show(&self, handles: &Handles) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(handles.clone());
    }

    /// What is shown: each series once.
    pub(crate) fn shown(&self) -> Option<Handles> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts an error answer that the gateway itself made.
    pub(crate) fn refused(&self, code: Code) {
        self.problems.get_or_create(&CodeLabel { code: code.name() }).inc();
    }
}

impl Collector for GatewayMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(handles) = self.shown() else { return Ok(()) };
        let mut routes: Vec<&RouteMetrics> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for metrics in handles.all() {
            if seen.insert(Arc::as_ptr(metrics)) {
                routes.push(metrics);
            }
        }
        encode_routes(&mut encoder, &routes)
    }
}

fn labels(metrics: &RouteMetrics) -> [(&str, &str); 2] {
    [("route", &metrics.route), ("upstream", &metrics.upstream)]
}

fn encode_routes(encoder: &mut DescriptorEncoder<'_>, routes: &[&RouteMetrics]) -> fmt::Result {
    let help = "Requests answered, by route, upstream and status; 499 is a client that went before its answer";
    let mut family = encoder.encode_descriptor("gateway_requests", help, None, MetricType::Counter)?;
    for metrics in routes {
        for (status, count) in metrics.statuses() {
            let labels =
                [("route", metrics.route.as_str()), ("upstream", metrics.upstream.as_str()), ("status", &status)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "Seconds from the head of the request to the last byte of the answer, by route";
    let unit = Some(&Unit::Seconds);
    let mut family = encoder.encode_descriptor("gateway_request_duration", help, unit, MetricType::Histogram)?;
    for metrics in routes {
        metrics.seconds.encode(family.encode_family(&labels(metrics))?)?;
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
    let help = "Requests that have begun and not ended";
    let mut family = encoder.encode_descriptor("gateway_in_flight", help, None, MetricType::Gauge)?;
    for metrics in routes {
        ConstGauge::new(metrics.in_flight()).encode(family.encode_family(&labels(metrics))?)?;
    }
    Ok(())
}
