//! Decodes `upstreams`: the services, their targets and their limits.

use std::time::Duration;

use chassis::config::{Lookup, Secret, secret};

use super::{defaults::Defaults, resilience, tls};
use crate::{
    config::{
        keys::{
            upstreams::{TargetKeys, UpstreamKeys},
            values::TARGET_URL,
        },
        yaml::{
            mistake::Mistakes,
            table::Table,
            tree::{Node, Value},
        },
    },
    upstream::{
        decide::{breaker::BreakerSettings, pool::TARGETS_MAX},
        settings::{TargetSettings, UpstreamSettings},
    },
};

/// Less than the 75 s of our own services, so that the gateway closes an idle connection first.
const KEEP_ALIVE_DEFAULT: Duration = Duration::from_secs(60);
const IN_FLIGHT_MAX_DEFAULT: usize = 1024;
/// Of two targets one may be taken out of use, of three two, of ten seven.
const EJECTED_PERCENT_MAX_DEFAULT: u8 = 70;

pub(crate) fn decode(
    node: &Node,
    defaults: &Defaults,
    lookup: Lookup<'_>,
    mistakes: &Mistakes,
) -> Vec<UpstreamSettings> {
    node.entries(mistakes).iter().map(|(name, node)| settings(&name.text, node, defaults, lookup, mistakes)).collect()
}

fn settings(name: &str, node: &Node, defaults: &Defaults, lookup: Lookup<'_>, mistakes: &Mistakes) -> UpstreamSettings {
    let table = node.table(&UpstreamKeys::SECTION, mistakes);
    let targets = targets(table, mistakes);
    let balance = table.node(&UpstreamKeys::BALANCE).and_then(|node| resilience::balance(node, mistakes));
    let breaker = table
        .node(&UpstreamKeys::BREAKER)
        .map_or_else(|| Some(BreakerSettings::default()), |node| resilience::breaker(node, mistakes));
    UpstreamSettings {
        name: name.to_owned(),
        tls: tls::upstream(table.node(&UpstreamKeys::TLS), &targets, node, mistakes),
        targets,
        host: table.get(&UpstreamKeys::HOST).unwrap_or_default(),
        balance: balance.unwrap_or_default(),
        health: table.node(&UpstreamKeys::HEALTH).and_then(|node| resilience::health(node, mistakes)),
        breaker,
        ejected_percent_max: table.get(&UpstreamKeys::MAX_EJECTED).unwrap_or(EJECTED_PERCENT_MAX_DEFAULT),
        assertion: assertion(table, lookup, mistakes),
        openapi: table.get(&UpstreamKeys::OPENAPI),
        in_flight_max: table.get(&UpstreamKeys::MAX_IN_FLIGHT).unwrap_or(IN_FLIGHT_MAX_DEFAULT),
        connect_timeout: table.get(&UpstreamKeys::CONNECT_TIMEOUT).unwrap_or(defaults.connect_timeout),
        keep_alive: table.get(&UpstreamKeys::KEEP_ALIVE).unwrap_or(KEEP_ALIVE_DEFAULT),
    }
}

fn targets(table: Table<'_>, mistakes: &Mistakes) -> Vec<TargetSettings> {
    let Some(node) = table.node(&UpstreamKeys::TARGETS) else { return Vec::new() };
    let items = node.items(mistakes);
    match items.len() {
        0 => node.report(mistakes, "an upstream needs at least one target"),
        1..=TARGETS_MAX => {}
        count => node.report(mistakes, format_args!("{count} targets are too many; the maximum is {TARGETS_MAX}")),
    }
    items.into_iter().filter_map(|item| target_settings(item, mistakes)).collect()
}

/// `http://host:port`, or with a weight: `{url: http://host:port, weight: 3}`.
fn target_settings(node: &Node, mistakes: &Mistakes) -> Option<TargetSettings> {
    let Value::Mapping(_) = &node.value else {
        return node.parse(mistakes, TARGET_URL.parse).map(|address| TargetSettings { address, weight: 1 });
    };
    let table = node.table(&TargetKeys::SECTION, mistakes);
    let (address, weight) = (table.get(&TargetKeys::URL), table.get(&TargetKeys::WEIGHT));
    Some(TargetSettings { address: address?, weight: weight.unwrap_or(1) })
}

/// The name under which the service verifies assertions, and the key that signs them.
fn assertion(table: Table<'_>, lookup: Lookup<'_>, mistakes: &Mistakes) -> Option<(String, Secret)> {
    let audience = table.get(&UpstreamKeys::ASSERTION)?;
    let key = table.find(&UpstreamKeys::ASSERTION)?.parse(mistakes, |audience| internal_key(audience, lookup))?;
    Some((audience, key))
}

/// Each service has a key of its own, so that no service can forge assertions for another.
fn internal_key(audience: &str, lookup: Lookup<'_>) -> Result<Secret, String> {
    let own = format!("{}_INTERNAL_KEY", audience.to_uppercase().replace('-', "_"));
    let key = match secret(&own, lookup)? {
        Some(key) => Some(key),
        None => secret("INTERNAL_KEY", lookup)?,
    };
    let key = key.ok_or_else(|| {
        format!("the key that signs assertions for `{audience}` is missing; set {own} or {own}_FILE (or INTERNAL_KEY)")
    })?;
    key.key(chassis::identity::ASSERTION_KEY_BYTES_MIN).map_err(|message| format!("{own} {message}"))?;
    Ok(key)
}
