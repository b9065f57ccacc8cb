//! The metrics of the token cache.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// How often a token was found in the cache of verified tokens, and how often it had to be verified.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenCacheMetrics {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
}

impl TokenCacheMetrics {
    /// Registers the metrics.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let lookups = Family::<ResultLabel, Counter>::default();
        let counter = |result| lookups.get_or_create_owned(&ResultLabel { result });
        let metrics = Self { hits: counter("hit"), misses: counter("miss") };
        let help = "Tokens looked up among the verified ones: hit, or miss, which costs a verification";
        registry.register("gateway_token_cache", help, lookups);
        metrics
    }
}
