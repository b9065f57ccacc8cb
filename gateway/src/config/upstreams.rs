//! Decodes the section `upstreams`: the services, their targets and their limits.

use chassis::config::{Lookup, Secret, secret};

use super::{UpstreamSettings, mistake::Mistakes, routes::Defaults, values, yaml::Node};

const IN_FLIGHT_MAX_DEFAULT: usize = 1024;

pub(super) fn decode(
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
    let mut table = node.table(mistakes);
    let targets_node = table.required("targets", mistakes);
    let items = targets_node.map(|node| node.items(mistakes)).unwrap_or_default();
    if let Some(node) = targets_node
        && items.is_empty()
    {
        node.wrong(mistakes, "an upstream needs at least one target");
    }
    let targets = items.into_iter().filter_map(|item| item.parse(mistakes, values::target)).collect();
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
        assertion,
        openapi,
        in_flight_max: in_flight_max.unwrap_or(IN_FLIGHT_MAX_DEFAULT),
        connect_timeout: connect_timeout.unwrap_or(defaults.connect_timeout),
    }
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
