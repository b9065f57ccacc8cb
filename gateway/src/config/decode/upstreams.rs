//! Decodes the section `upstreams`: the services, their targets and their limits.

use chassis::config::{Lookup, Secret, secret};

use super::{resilience, routes::Defaults, tls, values};
use crate::{
    config::{
        keys::upstreams::{TARGET, UPSTREAM},
        yaml::{
            mistake::Mistakes,
            tree::{Node, Value},
        },
    },
    upstream::{
        decide::{breaker::BreakerSettings, pool::TARGETS_MAX},
        settings::{TargetSettings, UpstreamSettings},
    },
};

const IN_FLIGHT_MAX_DEFAULT: usize = 1024;
/// Of two targets one may be out, of three two, of ten seven.
const EJECTED_PERCENT_MAX_DEFAULT: u8 = 70;
/// More than a thousandth of the requests is hardly meant by a weight; it also bounds the sum of all.
const WEIGHT_MAX: u32 = 1000;

pub(crate) fn decode(
    node: &Node,
    defaults: &Defaults,
    lookup: Lookup<'_>,
    mistakes: &mut Mistakes,
) -> Vec<UpstreamSettings> {
    node.entries(mistakes).iter().map(|(key, node)| upstream(&key.name, node, defaults, lookup, mistakes)).collect()
}

fn upstream(
    name: &str,
    node: &Node,
    defaults: &Defaults,
    lookup: Lookup<'_>,
    mistakes: &mut Mistakes,
) -> UpstreamSettings {
    let mut table = node.table(&UPSTREAM, mistakes);
    let targets_node = table.required("targets", mistakes);
    let items = targets_node.map(|node| node.items(mistakes)).unwrap_or_default();
    if let Some(node) = targets_node {
        match items.len() {
            0 => node.wrong(mistakes, "an upstream needs at least one target"),
            1..=TARGETS_MAX => {}
            count => {
                node.wrong(mistakes, format_args!("{count} targets are too many; {TARGETS_MAX} can be told apart"))
            }
        }
    }
    let targets = items.into_iter().filter_map(|item| target(item, mistakes)).collect();
    let targets: Vec<TargetSettings> = targets;
    let tls = tls::upstream(table.optional("tls"), &targets, node, mistakes);
    let balance = table.optional("balance").and_then(|node| resilience::balance(node, mistakes));
    let health = table.optional("health").and_then(|node| resilience::health(node, mistakes));
    let breaker = match table.optional("breaker") {
        None => Some(BreakerSettings::default()),
        Some(node) => resilience::breaker(node, mistakes),
    };
    let ejected = table.optional("max_ejected").and_then(|node| node.parse(mistakes, values::percent));
    let assertion_node = table.optional("assertion");
    let assertion = assertion_node.and_then(|node| {
        let audience = node.text(mistakes)?.to_owned();
        let key = node.parse(mistakes, |audience| internal_key(audience, lookup))?;
        Some((audience, key))
    });
    let openapi = table.optional("openapi").and_then(|node| node.parse(mistakes, values::path_prefix));
    let in_flight_max = table.optional("max_in_flight").and_then(|node| node.parse(mistakes, values::count));
    let connect_timeout = table.optional("connect_timeout").and_then(|node| node.parse(mistakes, values::duration));
    table.finish(mistakes);
    UpstreamSettings {
        name: name.to_owned(),
        targets,
        tls,
        balance: balance.unwrap_or_default(),
        health,
        breaker,
        ejected_percent_max: ejected.unwrap_or(EJECTED_PERCENT_MAX_DEFAULT),
        assertion,
        openapi,
        in_flight_max: in_flight_max.unwrap_or(IN_FLIGHT_MAX_DEFAULT),
        connect_timeout: connect_timeout.unwrap_or(defaults.connect_timeout),
    }
}

/// `http://host:port`, or with a weight: `{url: http://host:port, weight: 3}`.
fn target(node: &Node, mistakes: &mut Mistakes) -> Option<TargetSettings> {
    let Value::Mapping(_) = &node.value else {
        return node.parse(mistakes, values::target).map(|address| TargetSettings { address, weight: 1 });
    };
    let mut table = node.table(&TARGET, mistakes);
    let address = table.required("url", mistakes).and_then(|node| node.parse(mistakes, values::target));
    let weight = table.optional("weight").and_then(|node| {
        node.parse(mistakes, |text| match text.parse() {
            Ok(weight @ 1..=WEIGHT_MAX) => Ok(weight),
            Ok(_) | Err(_) => Err(format!("`{text}` is not a weight from 1 to {WEIGHT_MAX}")),
        })
    });
    table.finish(mistakes);
    Some(TargetSettings { address: address?, weight: weight.unwrap_or(1) })
}

/// Each service has a key of its own, so that one service cannot speak as the gateway to another.
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
