//! Decodes the file from the top; the larger sections have files of their own.

use std::sync::Arc;

use actix_http::header::HeaderName;
use chassis::{config::Lookup, identity::IdentityHeaders};

use super::{
    cases, defaults, headers::Reserved, networks::networks, observe, resilience, routes, scope::Scope, tls, tokens,
    upstreams,
};
use crate::{
    auth::identity_claim::IdentityClaim,
    config::{
        keys::{
            self,
            file::{BuiltinKeys, IdentityClaimKeys, IdentityKeys, RootKeys},
            values::PATH,
        },
        model::Config,
        yaml::{
            mistake::Mistakes,
            tree::{Node, Value},
        },
    },
    hooks::Hooks,
    route::{BuiltinPaths, Destination},
    routing::{
        condition::{Conditions, HostPattern},
        entry::{Entry, Methods},
        table::Table as RouteTable,
    },
};

/// Decodes the whole file. The order matters where a section refers to another: tokens come after the upstreams, and
/// routes last.
pub(crate) fn config(root: &Node, lookup: Lookup<'_>, hooks: &Hooks, mistakes: &Mistakes) -> Option<Config> {
    let top = root.table(&RootKeys::SECTION, mistakes);
    top.get(&RootKeys::VERSION);
    let (listen, admin) = (top.get(&RootKeys::LISTEN), top.get(&RootKeys::ADMIN));
    let admin_hosts = top.node(&RootKeys::ADMIN_HOSTS).map(|node| hosts(node, mistakes)).unwrap_or_default();
    let tls = top.node(&RootKeys::TLS).and_then(|node| tls::decode(node, mistakes));
    let trusted_proxies = top.node(&RootKeys::TRUSTED_PROXIES).map(|node| networks(node, mistakes)).unwrap_or_default();
    let identity_headers = top.node(&RootKeys::IDENTITY).map(|node| identity(node, mistakes)).unwrap_or_default();
    let tokens_node = top.node(&RootKeys::TOKENS);
    let has_tokens = tokens_node.is_some() || top.is_misspelled(&RootKeys::TOKENS);
    let aliases = top.node(&RootKeys::ALIASES).map(|node| aliases(node, mistakes)).unwrap_or_default();
    let builtin = top.node(&RootKeys::BUILTIN).map(|node| builtin(node, mistakes)).unwrap_or_default();
    let own_headers = IdentityHeaders::new(identity_headers.iter().map(|(name, _)| name));
    let reserved = Reserved { identity: &own_headers };
    let defaults = defaults::decode(top.node(&RootKeys::DEFAULTS), &reserved, mistakes);
    let limits = resilience::server_limits(top.node(&RootKeys::LIMITS), mistakes);
    let upstreams = top.node(&RootKeys::UPSTREAMS).map(|node| upstreams::decode(node, &defaults, lookup, mistakes));
    let upstreams = upstreams.or_else(|| (!top.is_misspelled(&RootKeys::UPSTREAMS)).then(Vec::new));
    let tokens = tokens_node.and_then(|node| tokens::decode(node, upstreams.as_deref(), lookup, mistakes));
    let scope = Scope {
        upstreams: upstreams.as_deref(),
        aliases: &aliases,
        // A section that could not be decoded has been reported, and is not to be reported by every route as well.
        has_tokens,
        issues_tokens: has_tokens && tokens.as_ref().is_none_or(|tokens| tokens.own.is_some()),
        hooks,
        reserved,
    };
    let mut table = builtin_table(&builtin);
    let routes = top.node(&RootKeys::ROUTES).map(|node| routes::decode(node, &defaults, &scope, &mut table, mistakes));
    let tests =
        top.node(&RootKeys::TESTS).map(|node| cases::decode(node, upstreams.as_deref(), mistakes)).unwrap_or_default();
    let observe = observe::decode(top, mistakes);
    Some(Config {
        listen: listen?,
        admin: admin?,
        admin_hosts,
        tls,
        trusted_proxies,
        identity_headers,
        tokens,
        aliases,
        builtin,
        limits,
        upstreams: upstreams.unwrap_or_default(),
        routes: routes.unwrap_or_default().into_iter().map(Arc::new).collect(),
        observe,
        table,
        tests,
    })
}

fn hosts(node: &Node, mistakes: &Mistakes) -> Vec<HostPattern> {
    node.items(mistakes).into_iter().filter_map(|item| item.parse(mistakes, str::parse)).collect()
}

fn identity(node: &Node, mistakes: &Mistakes) -> Vec<(HeaderName, IdentityClaim)> {
    let table = node.table(&IdentityKeys::SECTION, mistakes);
    let Some(node) = table.node(&IdentityKeys::HEADERS) else { return Vec::new() };
    let mut headers = Vec::new();
    for (name, claim) in node.entries(mistakes) {
        let header = keys::header_name(&name.text).map_err(|message| mistakes.report(name.place, &node.path, message));
        headers.extend(header.ok().zip(identity_claim(claim, mistakes)));
    }
    headers
}

/// A claim by its name, or a table.
fn identity_claim(node: &Node, mistakes: &Mistakes) -> Option<IdentityClaim> {
    if !matches!(node.value, Value::Mapping(_)) {
        return Some(IdentityClaim { at: node.parse(mistakes, str::parse)?, join: None });
    }
    let table = node.table(&IdentityClaimKeys::SECTION, mistakes);
    let join = table.get(&IdentityClaimKeys::JOIN);
    if join.as_ref().is_some_and(String::is_empty) {
        node.report(mistakes, "`join` is empty, so that nobody could tell the items apart");
    }
    Some(IdentityClaim { at: table.get(&IdentityClaimKeys::CLAIM)?, join })
}

fn aliases(node: &Node, mistakes: &Mistakes) -> Vec<(String, String)> {
    let mut aliases = Vec::new();
    for (name, value) in node.entries(mistakes) {
        let replacement = value.parse(mistakes, PATH.parse);
        match (PATH.parse)(&name.text) {
            Ok(prefix) => aliases.extend(replacement.map(|path| (prefix, path))),
            Err(message) => mistakes.report(name.place, &value.path, message),
        }
    }
    aliases.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    aliases
}

fn builtin(node: &Node, mistakes: &Mistakes) -> BuiltinPaths {
    let table = node.table(&BuiltinKeys::SECTION, mistakes);
    BuiltinPaths {
        title: table.get(&BuiltinKeys::TITLE).unwrap_or(BuiltinPaths::default().title),
        docs: table.get(&BuiltinKeys::DOCS).flatten(),
        openapi: table.get(&BuiltinKeys::OPENAPI).flatten(),
        jwks: table.get(&BuiltinKeys::JWKS).flatten(),
        health: table.get(&BuiltinKeys::HEALTH).flatten(),
    }
}

/// The gateway's own pages come first, so that a route which would hide one is a conflict.
fn builtin_table(paths: &BuiltinPaths) -> RouteTable<Destination> {
    let mut table = RouteTable::default();
    for (pattern, page) in paths.pages() {
        let methods = Methods::Only(vec!["GET".to_owned()]);
        let route = Destination::Builtin(page);
        // Of two pages with the same path the first one wins.
        let _ = table.insert(&pattern, Entry { methods, conditions: Conditions::default(), route });
    }
    table
}
