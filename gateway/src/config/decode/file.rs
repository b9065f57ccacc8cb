//! Decodes the YAML from the top; the larger sections have files of their own. Notes every mistake and goes on.

use std::{net::SocketAddr, sync::Arc};

use actix_http::header::HeaderName;
use chassis::{config::Lookup, identity::IdentityHeaders};
use ipnet::IpNet;

use super::{
    cases,
    headers::Reserved,
    known::Known,
    observe, resilience,
    routes::{self, Defaults},
    tls, tokens, upstreams, values,
};
use crate::{
    config::{
        Config,
        keys::file::{BUILTIN, FILE, IDENTITY},
        yaml::{
            mistake::Mistakes,
            tree::{Node, Table},
        },
    },
    hooks::Hooks,
    route::{BuiltinPaths, Destination},
    routing::{
        condition::Conditions,
        entry::{Entry, Methods},
        table::Table as RouteTable,
    },
};

/// The whole file.
pub(crate) fn config(root: &Node, lookup: Lookup<'_>, hooks: &Hooks, mistakes: &mut Mistakes) -> Option<Config> {
    let mut top = root.table(&FILE, mistakes);
    version(&mut top, mistakes);
    let listen = top.required("listen", mistakes).and_then(|node| address(node, mistakes));
    let admin = top.required("admin", mistakes).and_then(|node| address(node, mistakes));
    let tls = top.optional("tls").and_then(|node| tls::decode(node, mistakes));
    let trusted_proxies = top.optional("trusted_proxies").map(|node| networks(node, mistakes)).unwrap_or_default();
    let identity_headers = top.optional("identity").map(|node| identity(node, mistakes)).unwrap_or_default();
    let tokens_node = top.optional("tokens");
    let tokens = tokens_node.and_then(|node| tokens::decode(node, lookup, mistakes));
    let aliases = top.optional("aliases").map(|node| aliases(node, mistakes)).unwrap_or_default();
    let builtin = top.optional("builtin").map(|node| builtin(node, mistakes)).unwrap_or_default();
    let own = IdentityHeaders::new(identity_headers.iter().map(|(name, _)| name));
    let defaults = Defaults::decode(top.optional("defaults"), &Reserved { identity: &own }, mistakes);
    let limits = resilience::server_limits(top.optional("limits"), mistakes);
    let upstreams =
        top.required("upstreams", mistakes).map(|node| upstreams::decode(node, &defaults, lookup, mistakes));
    let upstreams = upstreams.unwrap_or_default();
    let observe = observe::decode(&mut top, mistakes);
    let mut table = builtin_table(&builtin);
    let known = Known {
        upstreams: &upstreams,
        aliases: &aliases,
        has_tokens: tokens_node.is_some(),
        // What could not be decoded is a mistake already, and not one of each route as well.
        hooks,
        issues_tokens: tokens_node.is_some() && tokens.as_ref().is_none_or(|tokens| tokens.own.is_some()),
        reserved: Reserved { identity: &own },
    };
    let routes = top
        .required("routes", mistakes)
        .map(|node| routes::decode(node, &defaults, &known, &mut table, mistakes))
        .unwrap_or_default();
    let tests = top.optional("tests").map(|node| cases::decode(node, &upstreams, mistakes)).unwrap_or_default();
    top.finish(mistakes);
    Some(Config {
        listen: listen?,
        admin: admin?,
        tls,
        trusted_proxies,
        identity_headers,
        tokens,
        aliases,
        builtin,
        limits,
        upstreams,
        routes: routes.into_iter().map(Arc::new).collect(),
        observe,
        table,
        tests,
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

/// Networks, of which an item may have several with commas between them: a variable holds a list in that way.
fn networks(node: &Node, mistakes: &mut Mistakes) -> Vec<IpNet> {
    let items = node.items(mistakes);
    let network = |text: &str| {
        let single = text.parse::<std::net::IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or(single).map_err(|_| format!("`{text}` is not a network like 10.0.0.0/8"))
    };
    let several = |text: &str| -> Result<Vec<IpNet>, String> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(network).collect()
    };
    items.into_iter().filter_map(|item| item.parse(mistakes, several)).flatten().collect()
}

fn identity(node: &Node, mistakes: &mut Mistakes) -> Vec<(HeaderName, String)> {
    let mut table = node.table(&IDENTITY, mistakes);
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
    let mut table = node.table(&BUILTIN, mistakes);
    let mut path = |name| table.optional(name).and_then(|node| node.parse(mistakes, values::builtin_path)).flatten();
    let paths =
        BuiltinPaths { docs: path("docs"), openapi: path("openapi"), jwks: path("jwks"), health: path("health") };
    table.finish(mistakes);
    paths
}

/// Our own pages are in the table first, so that a route which would hide one is a conflict.
fn builtin_table(paths: &BuiltinPaths) -> RouteTable<Destination> {
    let mut table = RouteTable::default();
    for (pattern, page) in paths.pages() {
        let methods = Methods::Only(vec!["GET".to_owned()]);
        let route = Destination::Builtin(page);
        // Two pages at one path: the first has it.
        let _ = table.insert(&pattern, Entry { methods, conditions: Conditions::default(), route });
    }
    table
}
