//! The metrics of the public listener: gathers what routes, tokens and problems count. Labels are names of the
//! configuration, never anything that a client sent.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use chassis::problem::Code;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet},
    metrics::{counter::Counter, family::Family, info::Info},
    registry::Registry,
};

use super::route::{self, RouteMetrics};
use crate::auth::metrics::TokenCacheMetrics;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

/// The metrics of the public listener. Clones are handles to the same metrics.
#[derive(Clone, Debug)]
pub(crate) struct GatewayMetrics {
    /// The routes of the configuration in force. Removing a route removes its series.
    routes: Arc<Mutex<Vec<Arc<RouteMetrics>>>>,
    problems: Family<CodeLabel, Counter>,
    pub(crate) token_cache: TokenCacheMetrics,
}

impl GatewayMetrics {
    /// Registers the metrics and the version of the program.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let token_cache = TokenCacheMetrics::register(registry);
        let metrics = Self { routes: Arc::default(), problems: Family::default(), token_cache };
        let help = "Requests that the gateway itself refused or failed, by code";
        registry.register("gateway_problems", help, metrics.problems.clone());
        registry.register("gateway_build", "The program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        registry.register_collector(Box::new(metrics.clone()));
        metrics
    }

    /// Starts a set of route metrics for a new configuration; routes that exist already keep their counts.
    pub(crate) fn route_set(&self) -> RouteMetricsSet {
        let known = self.in_force();
        RouteMetricsSet(known.into_iter().map(|metrics| (metrics.labels(), metrics)).collect())
    }

    /// Exposes the metrics of these routes from now on.
    pub(crate) fn publish(&self, routes: Vec<Arc<RouteMetrics>>) {
        *self.routes.lock().unwrap_or_else(PoisonError::into_inner) = routes;
    }

    /// Counts an error answer that the gateway itself made.
    pub(crate) fn refused(&self, code: Code) {
        self.problems.get_or_create(&CodeLabel { code: code.name() }).inc();
    }

    fn in_force(&self) -> Vec<Arc<RouteMetrics>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Route metrics by the name of the route and of its upstream: routes with the same names share their series.
pub(crate) struct RouteMetricsSet(HashMap<(String, String), Arc<RouteMetrics>>);

impl RouteMetricsSet {
    /// Returns the metrics of a route.
    pub(crate) fn get(&mut self, route: &str, upstream: &str) -> Arc<RouteMetrics> {
        let labels = (route.to_owned(), upstream.to_owned());
        Arc::clone(self.0.entry(labels).or_insert_with(|| Arc::new(RouteMetrics::new(route, upstream))))
    }
}

impl Collector for GatewayMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let in_force = self.in_force();
        let mut seen = HashSet::new();
        // A series must not appear twice, and routes of one name share theirs.
        let distinct = in_force.iter().filter(|metrics| seen.insert(Arc::as_ptr(metrics)));
        route::encode(encoder, &distinct.map(AsRef::as_ref).collect::<Vec<_>>())
    }
}
