//! What a new configuration changes, and for whom. Compares what becomes of requests rather than the texts: both route tables
//! are queried for every way in which their routes can match (see [`probe`]). Pure; prints nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::route_diff::{self, Served};
use crate::{
    auth::settings::TokenSettings,
    config::Config,
    route::Destination,
    routing::{
        condition::{Conditions, HostPattern, RouteQuery},
        entry::Entry,
        pattern::{Pattern, Segment},
        probe,
        table::Lookup,
    },
    upstream::settings::UpstreamSettings,
};

/// The methods that a route can name, and one that stands for all others, which only `*` matches.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OTHER"];

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Change {
    /// The requests that it concerns, such as `GET,POST /api/users`, or a part of the file.
    pub(crate) of: String,
    pub(crate) change: String,
    /// Whether it allows more than before.
    pub(crate) wider: bool,
}

/// All differences; `None` where the routes can match in too many ways to compare all of them.
pub(crate) fn changes(old: &Config, new: &Config) -> Option<Vec<Change>> {
    let patterns: Vec<Pattern> = [old, new].into_iter().flat_map(patterns).collect();
    let paths = probe::paths(patterns.iter())?;
    let mut changes = general_changes(old, new);
    changes.extend(route_changes(old, new, &paths));
    Some(changes)
}

fn patterns(config: &Config) -> Vec<Pattern> {
    let pages = config.builtin.pages().into_iter().map(|(pattern, _)| pattern);
    config.routes.iter().map(|route| route.pattern.clone()).chain(pages).collect()
}

/// The changes of what becomes of requests. A change that concerns several methods is reported once.
fn route_changes(old: &Config, new: &Config, paths: &[String]) -> Vec<Change> {
    let mut pairs = BTreeMap::new();
    for path in paths {
        let entries: Vec<&Entry<Destination>> = old.table.at(path).into_iter().chain(new.table.at(path)).collect();
        for conditions in representative(&entries) {
            for (index, method) in METHODS.iter().enumerate() {
                let (was, is) = (find(old, path, method, &conditions), find(new, path, method, &conditions));
                if was.is_some() || is.is_some() {
                    let key = (label(old, was, new, is), rank(was), rank(is));
                    pairs.entry(key).or_insert_with(|| (was, is, BTreeSet::new())).2.insert(index);
                }
            }
        }
    }
    let mut merged: BTreeMap<(String, String, bool), BTreeSet<usize>> = BTreeMap::new();
    for ((label, ..), (was, is, methods)) in pairs {
        for (change, wider) in route_diff::changes(Served::of(old, was), Served::of(new, is)) {
            merged.entry((label.clone(), change, wider)).or_default().extend(&methods);
        }
    }
    let change = |((label, change, wider), methods): (_, BTreeSet<usize>)| Change {
        of: format!("{} {label}", method_list(&methods)),
        change,
        wider,
    };
    merged.into_iter().map(change).collect()
}

/// Orders destinations, so that changes are reported in the same order each time.
const fn rank(destination: Option<Destination>) -> (u8, usize) {
    match destination {
        None => (0, 0),
        Some(Destination::Route(index)) => (1, index),
        Some(Destination::Builtin(page)) => (2, page as usize),
    }
}

/// Every combination of host and headers that these routes distinguish, including none of those that they name.
fn representative(entries: &[&Entry<Destination>]) -> Vec<(String, Vec<(String, String)>)> {
    let conditions = || entries.iter().map(|entry| &entry.conditions);
    let hosts: BTreeSet<String> =
        conditions().filter_map(|c| c.host.as_ref()).map(HostPattern::example).chain([String::new()]).collect();
    let headers: BTreeSet<Vec<(String, String)>> =
        conditions().map(|c| c.headers.clone()).chain([Vec::new()]).collect();
    hosts.iter().flat_map(|host| headers.iter().map(|headers| (host.clone(), headers.clone()))).collect()
}

fn find(
    config: &Config,
    path: &str,
    method: &str,
    (host, headers): &(String, Vec<(String, String)>),
) -> Option<Destination> {
    let has_header = |name: &str, value: &str| headers.iter().any(|(n, v)| n == name && v == value);
    match config.table.find(&RouteQuery { method, path, host, has_header: &has_header }) {
        Lookup::Found(found) => Some(found),
        Lookup::OtherMethods(_) | Lookup::Unknown => None,
    }
}

/// The pattern that describes the requests best: the one with more literal segments.
fn label(old: &Config, was: Option<Destination>, new: &Config, is: Option<Destination>) -> String {
    let of = |config: &Config, destination: Option<Destination>| match destination? {
        Destination::Route(index) => {
            let route = &config.routes[index];
            let conditions = &route.conditions;
            let when = if *conditions == Conditions::default() { String::new() } else { format!(" ({conditions})") };
            Some((literals(&route.pattern), format!("{}{when}", route.pattern)))
        }
        Destination::Builtin(page) => {
            let pattern = config.builtin.pages().into_iter().find(|(_, known)| *known == page)?.0;
            Some((literals(&pattern), pattern.to_string()))
        }
    };
    let labels = [of(new, is), of(old, was)].into_iter().flatten();
    labels.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|(_, label)| label).unwrap_or_default()
}

fn literals(pattern: &Pattern) -> usize {
    pattern.segments().iter().filter(|segment| matches!(segment, Segment::Literal(_))).count()
}

fn method_list(methods: &BTreeSet<usize>) -> String {
    if methods.len() == METHODS.len() {
        return "*".to_owned();
    }
    let has = |wanted: &str| methods.iter().any(|index| METHODS[*index] == wanted);
    let names = methods.iter().map(|index| METHODS[*index]).filter(|name| *name != "HEAD" || !has("GET"));
    names.map(|name| if name == "OTHER" { "other methods" } else { name }).collect::<Vec<_>>().join(",")
}

/// The changes outside the routes.
fn general_changes(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut push = |of: &str, change: String, wider: bool| changes.push(Change { of: of.to_owned(), change, wider });
    for network in new.trusted_proxies.iter().filter(|network| !old.trusted_proxies.contains(network)) {
        push("trusted_proxies", format!("{network} is now trusted to report client addresses"), true);
    }
    for network in old.trusted_proxies.iter().filter(|network| !new.trusted_proxies.contains(network)) {
        push("trusted_proxies", format!("{network} is no longer trusted"), false);
    }
    for host in new.admin_hosts.iter().filter(|host| !old.admin_hosts.contains(host)) {
        push("admin_hosts", format!("the admin listener now answers under {host}"), true);
    }
    for host in old.admin_hosts.iter().filter(|host| !new.admin_hosts.contains(host)) {
        push("admin_hosts", format!("the admin listener no longer answers under {host}"), false);
    }
    for (name, _) in
        old.identity_headers.iter().filter(|(name, _)| !new.identity_headers.iter().any(|(n, _)| n == name))
    {
        push("identity.headers", format!("clients may now send {name}"), true);
    }
    for (name, claim) in new.identity_headers.iter().filter(|header| !old.identity_headers.contains(header)) {
        push("identity.headers", format!("{name} is now set from the claim {claim}"), false);
    }
    for (prefix, path) in new.aliases.iter().filter(|alias| !old.aliases.contains(alias)) {
        push("aliases", format!("{prefix} now stands for {path}"), false);
    }
    for (prefix, path) in old.aliases.iter().filter(|alias| !new.aliases.contains(alias)) {
        push("aliases", format!("{prefix} no longer stands for {path}"), false);
    }
    for is in &new.upstreams {
        let was = old.upstreams.iter().find(|was| was.name == is.name);
        // Changes of targets are reported with the routes.
        if was.is_some_and(|was| UpstreamSettings { targets: is.targets.clone(), ..was.clone() } != *is) {
            push(&format!("upstreams.{}", is.name), "has other settings".to_owned(), false);
        }
    }
    if old.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
        && new.tls.as_ref().is_none_or(|tls| tls.client_ca.is_none())
    {
        push("tls.client_ca", "clients no longer need a certificate".to_owned(), true);
    }
    changes.extend(token_changes(old.tokens.as_ref(), new.tokens.as_ref()));
    changes
}

/// Changes of the accepted issuers.
fn token_changes(old: Option<&TokenSettings>, new: Option<&TokenSettings>) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut push = |of: &str, change: String, wider: bool| changes.push(Change { of: of.to_owned(), change, wider });
    let own = |settings: Option<&TokenSettings>| settings.and_then(|settings| settings.own.clone());
    let foreign = |settings: Option<&TokenSettings>| settings.map(|s| s.other_issuers.clone()).unwrap_or_default();
    for is in foreign(new).iter().filter(|is| !foreign(old).contains(is)) {
        push(
            "tokens",
            format!("tokens of {} for {} are now accepted, with the keys of {:?}", is.issuer, is.audience, is.jwks),
            true,
        );
    }
    for was in foreign(old).iter().filter(|was| !foreign(new).iter().any(|is| is.issuer == was.issuer)) {
        push("tokens", format!("tokens of {} are no longer accepted", was.issuer), false);
    }
    if let Some((was, is)) = own(old).zip(own(new)) {
        if was.ttl != is.ttl {
            push("tokens.ttl", format!("{:?} (was {:?})", is.ttl, was.ttl), is.ttl > was.ttl);
        }
        for (key, was, is) in [("tokens.issuer", was.issuer, is.issuer), ("tokens.audience", was.audience, is.audience)]
        {
            if was != is {
                push(key, format!("{is} (was {was}): tokens that were issued before are no longer valid"), false);
            }
        }
    }
    changes
}
