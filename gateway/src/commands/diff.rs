//! What a new configuration changes, and for whom. Compares what becomes of requests, not texts: both tables are asked
//! for every way in which their routes can match (see [`probe`]). Pure; prints nothing.

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

/// The methods that a route can name, and one that stands for all that only `*` has.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OTHER"];

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Change {
    /// Whom it concerns: `GET,POST /api/users`, or a part of the file.
    pub(crate) of: String,
    pub(crate) change: String,
    /// Whether more may pass than before.
    pub(crate) wider: bool,
}

/// All differences; `None` where the routes can match in too many ways to look at each.
pub(crate) fn changes(old: &Config, new: &Config) -> Option<Vec<Change>> {
    let patterns: Vec<Pattern> = [old, new].into_iter().flat_map(patterns).collect();
    let paths = probe::paths(patterns.iter())?;
    let mut changes = general(old, new);
    changes.extend(of_routes(old, new, &paths));
    Some(changes)
}

fn patterns(config: &Config) -> Vec<Pattern> {
    let pages = config.builtin.pages().into_iter().map(|(pattern, _)| pattern);
    config.routes.iter().map(|route| route.pattern.clone()).chain(pages).collect()
}

/// The changes of requests. The same change of several methods is told once.
fn of_routes(old: &Config, new: &Config, paths: &[String]) -> Vec<Change> {
    let mut pairs: BTreeMap<(String, Place, Place), BTreeSet<usize>> = BTreeMap::new();
    for path in paths {
        let entries: Vec<&Entry<Destination>> = old.table.at(path).into_iter().chain(new.table.at(path)).collect();
        for conditions in representative(&entries) {
            for (index, method) in METHODS.iter().enumerate() {
                let (was, is) = (find(old, path, method, &conditions), find(new, path, method, &conditions));
                if was.is_some() || is.is_some() {
                    let label = label(old, was, new, is);
                    pairs.entry((label, Place(was), Place(is))).or_default().insert(index);
                }
            }
        }
    }
    let mut told: BTreeMap<(String, String, bool), BTreeSet<usize>> = BTreeMap::new();
    for ((label, was, is), methods) in pairs {
        let (was, is) = (Served::of(old, was.0), Served::of(new, is.0));
        for (change, wider) in route_diff::changes(was, is) {
            told.entry((label.clone(), change, wider)).or_default().extend(&methods);
        }
    }
    let change = |((label, change, wider), methods): (_, BTreeSet<usize>)| Change {
        of: format!("{} {label}", shown(&methods)),
        change,
        wider,
    };
    told.into_iter().map(change).collect()
}

/// Where a request leads, in an order, so that changes come in the same order each time.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place(Option<Destination>);

impl Place {
    const fn rank(self) -> (u8, usize) {
        match self.0 {
            None => (0, 0),
            Some(Destination::Route(index)) => (1, index),
            Some(Destination::Builtin(page)) => (2, page as usize),
        }
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// Hosts and headers that make a difference among these routes, and such as none of them names.
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

/// The pattern that says best which requests are meant: that with more literals.
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

fn shown(methods: &BTreeSet<usize>) -> String {
    if methods.len() == METHODS.len() {
        return "*".to_owned();
    }
    let has = |wanted: &str| methods.iter().any(|index| METHODS[*index] == wanted);
    let names = methods.iter().map(|index| METHODS[*index]).filter(|name| *name != "HEAD" || !has("GET"));
    names.map(|name| if name == "OTHER" { "other methods" } else { name }).collect::<Vec<_>>().join(",")
}

/// The changes that concern every request.
fn general(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut note = |of: &str, change: String, wider: bool| changes.push(Change { of: of.to_owned(), change, wider });
    for network in new.trusted_proxies.iter().filter(|network| !old.trusted_proxies.contains(network)) {
        note("trusted_proxies", format!("{network} is now believed about client addresses"), true);
    }
    for network in old.trusted_proxies.iter().filter(|network| !new.trusted_proxies.contains(network)) {
        note("trusted_proxies", format!("{network} is no longer believed"), false);
    }
    for (name, _) in
        old.identity_headers.iter().filter(|(name, _)| !new.identity_headers.iter().any(|(n, _)| n == name))
    {
        note("identity.headers", format!("clients may now send {name}"), true);
    }
    for (name, claim) in new.identity_headers.iter().filter(|header| !old.identity_headers.contains(header)) {
        note("identity.headers", format!("{name} is now set from the claim {claim}"), false);
    }
    for (prefix, path) in new.aliases.iter().filter(|alias| !old.aliases.contains(alias)) {
        note("aliases", format!("{prefix} now stands for {path}"), false);
    }
    for (prefix, path) in old.aliases.iter().filter(|alias| !new.aliases.contains(alias)) {
        note("aliases", format!("{prefix} no longer stands for {path}"), false);
    }
    for is in &new.upstreams {
        let was = old.upstreams.iter().find(|was| was.name == is.name);
        // What becomes of its targets is told with the routes.
        if was.is_some_and(|was| UpstreamSettings { targets: is.targets.clone(), ..was.clone() } != *is) {
            note(&format!("upstreams.{}", is.name), "other settings".to_owned(), false);
        }
    }
    if old.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
        && new.tls.as_ref().is_none_or(|tls| tls.client_ca.is_none())
    {
        note("tls.client_ca", "clients no longer need a certificate".to_owned(), true);
    }
    changes.extend(tokens(old.tokens.as_ref(), new.tokens.as_ref()));
    changes
}

/// Whose tokens are believed.
fn tokens(old: Option<&TokenSettings>, new: Option<&TokenSettings>) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut note = |of: &str, change: String, wider: bool| changes.push(Change { of: of.to_owned(), change, wider });
    let own = |settings: Option<&TokenSettings>| settings.and_then(|settings| settings.own.clone());
    let foreign = |settings: Option<&TokenSettings>| settings.map(|s| s.other_issuers.clone()).unwrap_or_default();
    for is in foreign(new).iter().filter(|is| !foreign(old).contains(is)) {
        note("tokens", format!("tokens of {} for {} are believed, by {:?}", is.issuer, is.audience, is.jwks), true);
    }
    for was in foreign(old).iter().filter(|was| !foreign(new).iter().any(|is| is.issuer == was.issuer)) {
        note("tokens", format!("tokens of {} are no longer believed", was.issuer), false);
    }
    if let Some((was, is)) = own(old).zip(own(new)) {
        if was.ttl != is.ttl {
            note("tokens.ttl", format!("{:?} (was {:?})", is.ttl, was.ttl), is.ttl > was.ttl);
        }
        for (key, was, is) in [("tokens.issuer", was.issuer, is.issuer), ("tokens.audience", was.audience, is.audience)]
        {
            if was != is {
                note(key, format!("{is} (was {was}): tokens that are out are not valid any more"), false);
            }
        }
    }
    changes
}
