//! The metrics of the feed, read from its state at each scrape. Without a feed there are none.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Unit,
};

use super::follower::SessionFeed;

/// Collects the metrics of a feed.
pub(crate) struct FeedCollector(pub(crate) SessionFeed);

impl fmt::Debug for FeedCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FeedCollector")
    }
}

impl Collector for FeedCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(status) = self.0.status() else { return Ok(()) };
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: f64| {
            let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            ConstGauge::new(value).encode(family.encode_family(&[("upstream", status.upstream.as_str())])?)
        };
        let help = "1 if it is known which sessions have ended, 0 if the feed has not been read for too long";
        gauge("gateway_sessions_known", help, None, if status.is_known { 1.0 } else { 0.0 })?;
        let help = "Ended sessions that are remembered";
        gauge("gateway_sessions_ended", help, None, status.ended as f64)?;
        let help = "Time since everything that the feed has was read, or since it is followed if that never happened";
        gauge("gateway_sessions_feed_age", help, Some(&Unit::Seconds), status.age.as_secs_f64())
    }
}
