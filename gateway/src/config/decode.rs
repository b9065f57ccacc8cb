//! Decodes the sections of the YAML, but for the routes. Notes every mistake and goes on.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use actix_http::header::HeaderName;
use chassis::config::{Lookup, secret};
use ipnet::IpNet;

use super::{
    Builtin, BuiltinPaths, Config, Destination, KeySource, TokenSettings, UpstreamSettings,
    mistake::Mistakes,
    routes::{self, Defaults, Known},
    values,
    yaml::{Node, Table},
};
use crate::routing::{
    pattern::Pattern,
    table::{Methods, Table as RouteTable},
};

/// HS256 wants a key of at least the size of the hash (RFC 7518, section 3.2).
const JWT_SECRET_BYTES_MIN: usize = 32;
const TTL_DEFAULT: Duration = Duration::from_secs(60 * 60);
const IN_FLIGHT_MAX_DEFAULT: usize = 1024;

/// The whole file.
pub(super) fn config(root: &Node, lookup: Lookup<'_>, mistakes: &mut Mistakes) -> Option<Config> {
    let mut top = root.table(mistakes);
    version(&mut top, mistakes);
    let listen = top.required("listen", mistakes).and_then(|node| address(node, mistakes));
    let admin = top.required("admin", mistakes).and_then(|node| address(node, mistakes));
    let trusted_proxies = top.optional("trusted_proxies").map(|node| networks(node, mistakes)).unwrap_or_default();
    let identity_headers = top.optional("identity").map(|node| identity(node, mistakes)).unwrap_or_default();
    let tokens_node = top.optional("tokens");
    let tokens = tokens_node.and_then(|node| tokens(node, lookup, mistakes));
    let aliases = top.optional("aliases").map(|node| aliases(node, mistakes)).unwrap_or_default();
    let builtin = top.optional("builtin").map(|node| builtin(node, mistakes)).unwrap_or_default();
    let defaults = Defaults::decode(top.optional("defaults"), mistakes);
    let upstreams = top.required("upstreams", mistakes).map(|node| upstreams(node, &defaults, lookup, mistakes));
    let upstreams = upstreams.unwrap_or_default();
    let mut table = builtin_table(&builtin);
    let known = Known { upstreams: &upstreams, aliases: &aliases, has_tokens: tokens_node.is_some() };
    let routes = top
        .required("routes", mistakes)
        .map(|node| routes::decode(node, &defaults, &known, &mut table, mistakes))
        .unwrap_or_default();
    top.finish(mistakes);
    Some(Config {
        listen: listen?,
        admin: admin?,
        trusted_proxies,
        identity_headers,
        tokens,
        aliases,
        builtin,
        upstreams,
        routes,
        table,
    })
}

fn version(top: &mut Table<'_>, mistakes: &mut Mistakes) {
    if let Some(node) = top.required("version", mistakes) {
        node.parse(mistakes, |text| {
            if text == "1" { Ok(()) } else { Err(format!("this gateway reads version 1, not `{text}`")) }
        });
    }
}

fn address(node: &Node, mistakes: &mut Mistakes) -> Option<SocketAddr> {
    node.parse(mistakes, |text| {
        text.parse().map_err(|_| format!("`{text}` is not an address and a port; write it like 127.0.0.1:8001"))
    })
}

fn networks(node: &Node, mistakes: &mut Mistakes) -> Vec<IpNet> {
    let items = node.items(mistakes);
    let network = |text: &str| {
        let single = text.parse::<std::net::IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or(single).map_err(|_| format!("`{text}` is not a network like 10.0.0.0/8"))
    };
    items.into_iter().filter_map(|item| item.parse(mistakes, network)).collect()
}

fn identity(node: &Node, mistakes: &mut Mistakes) -> Vec<(HeaderName, String)> {
    let mut table = node.table(mistakes);
    let mut headers = Vec::new();
    if let Some(node) = table.required("headers", mistakes) {
        for (key, claim) in node.entries(mistakes) {
            let name = HeaderName::try_from(key.name.as_str());
            let claim = claim.text(mistakes);
            match (name, claim) {
                (Ok(name), Some(claim)) => headers.push((name, claim.to_owned())),
                (Err(_), _) => mistakes.note(key.place, &node.path, format_args!("`{}` is no header name", key.name)),
                (Ok(_), None) => {}
            }
        }
    }
    table.finish(mistakes);
    headers
}

fn tokens(node: &Node, lookup: Lookup<'_>, mistakes: &mut Mistakes) -> Option<TokenSettings> {
    let mut table = node.table(mistakes);
    let issuer = table.required("issuer", mistakes).and_then(|node| node.text(mistakes));
    let audience = table.required("audience", mistakes).and_then(|node| node.text(mistakes));
    let ttl = table.optional("ttl").and_then(|node| node.parse(mistakes, values::duration));
    let folder = table.optional("keys").and_then(|node| node.text(mistakes)).filter(|text| !text.is_empty());
    table.finish(mistakes);
    let secret = match secret("GATEWAY_JWT_SECRET", lookup) {
        Ok(secret) => secret,
        Err(message) => {
            node.wrong(mistakes, message);
            return None;
        }
    };
    let keys = match (secret, folder) {
        (Some(secret), None) => match secret.key(JWT_SECRET_BYTES_MIN) {
            Ok(_) => KeySource::Secret(secret),
            Err(message) => {
                node.wrong(mistakes, format_args!("GATEWAY_JWT_SECRET {message}"));
                return None;
            }
        },
        (None, Some(folder)) => KeySource::Folder(PathBuf::from(folder)),
        (Some(_), Some(_)) => {
            node.wrong(mistakes, "both GATEWAY_JWT_SECRET and `keys` (GATEWAY_KEY_DIR) are set; keep one of them");
            return None;
        }
        (None, None) => {
            node.wrong(
                mistakes,
                "there is no key to sign tokens with; set GATEWAY_KEY_DIR to a folder (a key is made in it), or GATEWAY_JWT_SECRET",
            );
            return None;
        }
    };
    Some(TokenSettings {
        issuer: issuer?.to_owned(),
        audience: audience?.to_owned(),
        ttl: ttl.unwrap_or(TTL_DEFAULT),
        keys,
    })
}

fn aliases(node: &Node, mistakes: &mut Mistakes) -> Vec<(String, String)> {
    let mut aliases = Vec::new();
    for (key, value) in node.entries(mistakes) {
        let stands_for = value.parse(mistakes, values::path_prefix);
        match values::path_prefix(&key.name) {
            Ok(prefix) => aliases.extend(stands_for.map(|path| (prefix, path))),
            Err(message) => mistakes.note(key.place, &value.path, message),
        }
    }
    aliases.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    aliases
}

fn builtin(node: &Node, mistakes: &mut Mistakes) -> BuiltinPaths {
    let mut table = node.table(mistakes);
    let mut path = |name| table.optional(name).and_then(|node| node.parse(mistakes, values::builtin_path)).flatten();
    let paths =
        BuiltinPaths { docs: path("docs"), openapi: path("openapi"), jwks: path("jwks"), health: path("health") };
    table.finish(mistakes);
    paths
}

/// Our own pages are in the table first, so that a route which would hide one is a conflict.
fn builtin_table(paths: &BuiltinPaths) -> RouteTable<Destination> {
    let pages = [
        (paths.docs.clone(), Builtin::Docs),
        (paths.docs.as_ref().map(|path| format!("{path}/{{file...}}")), Builtin::Docs),
        (paths.openapi.clone(), Builtin::OpenApi),
        (paths.jwks.clone(), Builtin::Jwks),
        (paths.health.as_ref().map(|path| format!("{path}/live")), Builtin::Live),
        (paths.health.as_ref().map(|path| format!("{path}/ready")), Builtin::Ready),
    ];
    let mut table = RouteTable::default();
    for (path, builtin) in pages {
        let pattern = path.and_then(|path| path.parse::<Pattern>().ok());
        if let Some(pattern) = pattern {
            // Two pages at one path: the first has it.
            let _ = table.insert(&pattern, &Methods::Only(vec!["GET".to_owned()]), Destination::Builtin(builtin));
        }
    }
    table
}

fn upstreams(node: &Node, defaults: &Defaults, lookup: Lookup<'_>, mistakes: &mut Mistakes) -> Vec<UpstreamSettings> {
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
fn internal_key(audience: &str, lookup: Lookup<'_>) -> Result<chassis::config::Secret, String> {
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
