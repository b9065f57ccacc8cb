//! The routes that share one path pattern, by host, headers and method. Knows no paths.
//!
//! An exact host is more specific than a wildcard, and a wildcard more than no host; for the same host, more headers
//! are more specific than fewer.

use std::collections::HashMap;

use super::{
    condition::{HostPattern, RouteQuery, normalize_host},
    entry::{Conflict, Entry},
};

/// The routes of one path pattern.
#[derive(Debug)]
pub(crate) struct Leaf<T> {
    exact: HashMap<String, Vec<Entry<T>>>,
    wildcard: HashMap<String, Vec<Entry<T>>>,
    any: Vec<Entry<T>>,
}

impl<T> Default for Leaf<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), wildcard: HashMap::new(), any: Vec::new() }
    }
}

impl<T: Copy> Leaf<T> {
    /// Adds a route. Those with more headers come first.
    pub(crate) fn insert(&mut self, entry: Entry<T>) -> Result<(), Conflict<T>> {
        let routes = match &entry.conditions.host {
            Some(HostPattern::Exact(host)) => self.exact.entry(host.clone()).or_default(),
            Some(HostPattern::Wildcard(parent)) => self.wildcard.entry(parent.clone()).or_default(),
            None => &mut self.any,
        };
        let conflict = routes.iter().find_map(|known| conflict(known, &entry));
        if let Some(conflict) = conflict {
            return Err(conflict);
        }
        let at = routes.partition_point(|known| known.conditions.headers.len() >= entry.conditions.headers.len());
        routes.insert(at, entry);
        Ok(())
    }

    /// Returns the routes for the host of a request, the most specific first.
    pub(crate) fn candidates(&self, query: &RouteQuery<'_>) -> impl Iterator<Item = &Entry<T>> {
        let (mut exact, mut wildcard): (&[Entry<T>], &[Entry<T>]) = (&[], &[]);
        if !self.exact.is_empty() || !self.wildcard.is_empty() {
            let host = normalize_host(query.host);
            exact = self.exact.get(&*host).map_or(&[], Vec::as_slice);
            wildcard =
                host.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent)).map_or(&[], Vec::as_slice);
        }
        exact.iter().chain(wildcard).chain(&self.any)
    }

    /// Returns the most specific route for a request.
    pub(crate) fn find(&self, query: &RouteQuery<'_>) -> Option<T> {
        self.candidates(query)
            .find(|entry| entry.methods.allow(query.method) && entry.headers_match(query))
            .map(|entry| entry.route)
    }

    /// Returns all routes.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Entry<T>> {
        self.exact.values().chain(self.wildcard.values()).flatten().chain(&self.any)
    }
}

fn conflict<T: Copy>(known: &Entry<T>, new: &Entry<T>) -> Option<Conflict<T>> {
    let same = known.conditions.headers.len() == new.conditions.headers.len();
    if !same || !known.conditions.headers_agree(&new.conditions) {
        return None;
    }
    let method = new.methods.overlap(&known.methods)?;
    // With the same number of headers, either each has one that the other lacks, or they are the same.
    let lacks = known.conditions.headers.iter().find(|header| !new.conditions.headers.contains(header));
    Some(Conflict { other: known.route, method, by_headers: lacks.map(|(name, _)| name.clone()) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::routing::{
        condition::Conditions,
        entry::Methods,
        table::{Lookup, Table},
    };

    fn entry(host: &str, headers: &[(&str, &str)], route: usize) -> Entry<usize> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let methods = Methods::Only(vec!["GET".to_owned()]);
        Entry { methods, conditions: Conditions { host: host.parse().ok(), headers }, route }
    }

    /// A table of one path with these hosts and headers.
    fn conditional(routes: &[(&str, &[(&str, &str)])]) -> Result<Table<usize>, Conflict<usize>> {
        let mut table = Table::default();
        for (route, (host, headers)) in routes.iter().enumerate() {
            table.insert(&"/x".parse().unwrap(), entry(host, headers, route))?;
        }
        Ok(table)
    }

    #[test]
    fn an_exact_host_comes_before_a_wildcard_and_more_headers_before_fewer() {
        let table = conditional(&[
            ("", &[]),
            ("", &[("v", "2")]),
            ("*.example.com", &[]),
            ("a.example.com", &[]),
            ("a.example.com", &[("v", "2"), ("w", "1")]),
            ("a.example.com", &[("v", "2")]),
            ("a.example.com", &[("v", "3")]),
        ])
        .unwrap();
        for (host, headers, expected) in [
            ("", &[][..], 0),
            ("other.org", &[("v", "2")], 1),
            ("other.org", &[("v", "1")], 0),
            ("b.example.com", &[("v", "2")], 2),
            ("B.EXAMPLE.COM:8001", &[], 2),
            ("c.b.example.com", &[], 0),
            ("example.com", &[], 0),
            ("a.example.com", &[], 3),
            ("a.example.com", &[("v", "2")], 5),
            ("a.example.com", &[("v", "3")], 6),
            ("a.example.com", &[("v", "2"), ("w", "1")], 4),
        ] {
            let has_header = |name: &str, value: &str| headers.contains(&(name, value));
            let query = RouteQuery { method: "GET", path: "/x", host, has_header: &has_header };
            assert_eq!(table.find(&query), Lookup::Found(expected), "{host} {headers:?}");
        }
    }

    #[test]
    fn the_methods_of_a_route_for_another_host_are_not_offered() {
        let table = conditional(&[("a.example.com", &[])]).unwrap();
        let query = |host| RouteQuery { host, ..RouteQuery::plain("POST", "/x") };
        assert_eq!(table.find(&query("b.example.com")), Lookup::Unknown);
        assert_eq!(table.find(&query("a.example.com")), Lookup::OtherMethods("GET, HEAD, OPTIONS".to_owned()));
    }

    #[test]
    fn routes_that_one_request_could_match_by_different_headers_are_refused() {
        let conflict = conditional(&[("", &[("a", "1")]), ("", &[("b", "1")])]).unwrap_err();
        assert_eq!((conflict.other, conflict.by_headers.as_deref()), (0, Some("a")));
        let same = conditional(&[("h.org", &[("a", "1")]), ("h.org", &[("a", "1")])]).unwrap_err();
        assert_eq!((same.other, same.by_headers), (0, None));
        for fine in [
            [("", &[("a", "1")][..]), ("", &[("a", "2")])],
            [("", &[("a", "1")]), ("", &[("a", "1"), ("b", "1")])],
            [("", &[("a", "1"), ("b", "1")]), ("", &[("a", "2"), ("c", "1")])],
            [("h.org", &[("a", "1")]), ("", &[("b", "1")])],
            [("*.h.org", &[]), ("a.h.org", &[])],
        ] {
            assert!(conditional(&fine).is_ok(), "{fine:?}");
        }
    }

    proptest! {
        /// A request gets a route that matches it, and no route that matches it is more specific.
        #[test]
        fn the_route_found_is_the_most_specific_one_that_matches(
            routes in proptest::collection::vec(
                (0..4_usize, proptest::collection::btree_map("[ab]", "[12]", 0..3)), 1..8),
            host in 0..4_usize,
            sent in proptest::collection::btree_map("[ab]", "[12]", 0..3),
        ) {
            const HOSTS: [&str; 4] = ["", "*.h.org", "a.h.org", "b.h.org"];
            let mut table = Table::default();
            let mut kept: Vec<Entry<usize>> = Vec::new();
            for (route, (host, headers)) in routes.iter().enumerate() {
                let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                let entry = entry(HOSTS[*host], &headers, route);
                if table.insert(&"/x".parse().unwrap(), entry.clone()).is_ok() {
                    kept.push(entry);
                }
            }
            let has_header = |name: &str, value: &str| sent.get(name).is_some_and(|held| held == value);
            let query = RouteQuery { method: "GET", path: "/x", host: HOSTS[host], has_header: &has_header };
            let rank = |entry: &Entry<usize>| {
                let host = match &entry.conditions.host {
                    None => 0,
                    Some(HostPattern::Wildcard(_)) => 1,
                    Some(HostPattern::Exact(_)) => 2,
                };
                let holds = entry.host_matches(&query) && entry.headers_match(&query);
                holds.then_some((host, entry.conditions.headers.len()))
            };
            let best = kept.iter().filter(|entry| rank(entry).is_some()).max_by_key(|entry| rank(entry));
            prop_assert_eq!(table.find(&query), best.map_or(Lookup::Unknown, |entry| Lookup::Found(entry.route)));
        }
    }
}
