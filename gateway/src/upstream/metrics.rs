//! The metrics of upstreams. They are read from the live state at each scrape, so that requests pay nothing for them.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use super::{
    handle::{Upstream, UpstreamStatus},
    target::TargetStatus,
};

/// Collects the metrics of the upstreams that the function returns.
pub(crate) struct UpstreamCollector<F>(pub(crate) F);

impl<F> fmt::Debug for UpstreamCollector<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpstreamCollector")
    }
}

impl<F: Fn() -> Vec<Upstream> + Send + Sync + 'static> Collector for UpstreamCollector<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all: Vec<UpstreamStatus> = (self.0)().iter().map(Upstream::status).collect();
        let encoder = &mut encoder;
        failures(encoder, &all)?;
        upstreams(encoder, &all, "gateway_upstream_in_flight", "Requests in flight", |s| gauge(s.in_flight))?;
        upstreams(encoder, &all, "gateway_upstream_in_flight_max", "Maximum number of requests in flight", |s| {
            gauge(s.in_flight_max)
        })?;
        upstreams(
            encoder,
            &all,
            "gateway_upstream_refused",
            "Requests refused because the maximum was in flight",
            |s| counter(s.refused),
        )?;
        upstreams(encoder, &all, "gateway_upstream_retries", "Attempts after the first one of a request", |s| {
            counter(s.retries)
        })?;
        targets(encoder, &all, "gateway_target_up", "1 if the target gets requests, else 0", |t| {
            gauge(usize::from(!t.is_unavailable()))
        })?;
        targets(encoder, &all, "gateway_target_in_flight", "Requests in flight", |t| gauge(t.in_flight))?;
        targets(encoder, &all, "gateway_target_requests", "Requests sent", |t| counter(t.requests))?;
        targets(encoder, &all, "gateway_target_failures", "Requests that failed by its fault", |t| counter(t.failures))
    }
}

fn gauge(value: usize) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

fn counter(value: u64) -> ConstCounter<u64> {
    ConstCounter::new(value)
}

fn failures(encoder: &mut DescriptorEncoder<'_>, all: &[UpstreamStatus]) -> fmt::Result {
    let help = "Attempts without a complete answer, by upstream and kind";
    let mut family = encoder.encode_descriptor("gateway_upstream_failures", help, None, MetricType::Counter)?;
    for status in all {
        for (kind, count) in &status.failures {
            let labels = [("upstream", status.name.as_str()), ("kind", kind)];
            counter(*count).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn upstreams<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    all: &[UpstreamStatus],
    name: &str,
    help: &str,
    metric: impl Fn(&UpstreamStatus) -> M,
) -> fmt::Result {
    let Some(first) = all.first() else { return Ok(()) };
    let mut family = encoder.encode_descriptor(name, help, None, metric(first).metric_type())?;
    for status in all {
        metric(status).encode(family.encode_family(&[("upstream", status.name.as_str())])?)?;
    }
    Ok(())
}

fn targets<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    all: &[UpstreamStatus],
    name: &str,
    help: &str,
    metric: impl Fn(&TargetStatus) -> M,
) -> fmt::Result {
    let Some(first) = all.iter().find_map(|status| status.targets.first()) else { return Ok(()) };
    let mut family = encoder.encode_descriptor(name, help, None, metric(first).metric_type())?;
    for status in all {
        for target in &status.targets {
            let labels = [("upstream", status.name.as_str()), ("target", target.address.as_str())];
            metric(target).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}
