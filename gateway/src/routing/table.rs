//! The table of routes: a tree of segments in which the most specific pattern wins. Knows no HTTP beyond methods.
//!
//! At each segment a literal is more specific than a parameter, and a parameter more than a rest; among routes of one
//! pattern host and headers decide (see `leaf`). There are no priority numbers: two routes that could match the same
//! request with the same specificity are refused.

use std::collections::HashMap;

use super::{
    condition::RouteQuery,
    entry::{Conflict, Entry},
    leaf::Leaf,
    pattern::{Pattern, Segment},
};

/// What a table says about a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup<T> {
    /// This route.
    Found(T),
    /// The path is known, but not with this method; these are (`GET, HEAD, …`).
    OtherMethods(String),
    /// Nothing has this path.
    Unknown,
}

/// Routes by path, host, headers and method. `T` names a route; the table knows nothing else of it.
#[derive(Debug)]
pub(crate) struct Table<T> {
    root: Branch<T>,
}

#[derive(Debug)]
struct Branch<T> {
    literals: HashMap<String, Branch<T>>,
    param: Option<Box<Branch<T>>>,
    rest: Leaf<T>,
    here: Leaf<T>,
}

impl<T> Default for Branch<T> {
    fn default() -> Self {
        Self { literals: HashMap::new(), param: None, rest: Leaf::default(), here: Leaf::default() }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { root: Branch::default() }
    }
}

impl<T: Copy> Table<T> {
    /// Adds a route.
    ///
    /// # Errors
    /// A route that is already there could match the same request.
    pub(crate) fn insert(&mut self, pattern: &Pattern, entry: Entry<T>) -> Result<(), Conflict<T>> {
        let mut branch = &mut self.root;
        let mut ends_in_rest = false;
        for segment in pattern.segments() {
            match segment {
                Segment::Literal(text) => branch = branch.literals.entry(text.clone()).or_default(),
                Segment::Param(_) => branch = branch.param.get_or_insert_default(),
                Segment::Rest(_) => ends_in_rest = true,
            }
        }
        let leaf = if ends_in_rest { &mut branch.rest } else { &mut branch.here };
        leaf.insert(entry)
    }

    /// Finds the most specific route for a request: by path first, then by host, then by the number of headers.
    pub(crate) fn find(&self, asked: &RouteQuery<'_>) -> Lookup<T> {
        let mut found = None;
        self.visit(asked.path, &mut |leaf| {
            found = leaf.find(asked);
            found.is_some()
        });
        match found {
            Some(route) => Lookup::Found(route),
            None => self.other_methods(asked),
        }
    }

    fn other_methods(&self, asked: &RouteQuery<'_>) -> Lookup<T> {
        let mut allowed: Vec<&str> = Vec::new();
        self.visit(asked.path, &mut |leaf| {
            for entry in leaf.for_host(asked).filter(|entry| entry.headers_hold(asked)) {
                entry.methods.each(|method| {
                    if !allowed.contains(&method) {
                        allowed.push(method);
                    }
                });
            }
            false
        });
        if allowed.is_empty() {
            return Lookup::Unknown;
        }
        allowed.push("OPTIONS");
        Lookup::OtherMethods(allowed.join(", "))
    }

    /// Every route whose pattern has this path, the most specific pattern first, whatever else it asks for.
    pub(crate) fn at(&self, path: &str) -> Vec<&Entry<T>> {
        let mut entries = Vec::new();
        self.visit(path, &mut |leaf| {
            entries.extend(leaf.all());
            false
        });
        entries
    }

    /// Visits the leaves whose pattern has this path, the most specific first, until one is taken.
    fn visit<'a>(&'a self, path: &str, take: &mut dyn FnMut(&'a Leaf<T>) -> bool) {
        self.root.visit(path.strip_prefix('/').unwrap_or(path), take);
    }
}

impl<T> Branch<T> {
    fn visit<'a>(&'a self, path: &str, take: &mut dyn FnMut(&'a Leaf<T>) -> bool) -> bool {
        let (head, tail) = path.split_once('/').map_or((path, None), |(head, tail)| (head, Some(tail)));
        self.literals.get(head).is_some_and(|branch| branch.below(tail, take))
            || (!head.is_empty() && self.param.as_ref().is_some_and(|branch| branch.below(tail, take)))
            || take(&self.rest)
    }

    fn below<'a>(&'a self, tail: Option<&str>, take: &mut dyn FnMut(&'a Leaf<T>) -> bool) -> bool {
        match tail {
            Some(tail) => self.visit(tail, take),
            None => take(&self.here),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::{condition::Conditions, entry::Methods};

    fn only(methods: &[&str]) -> Methods {
        Methods::Only(methods.iter().map(|method| (*method).to_owned()).collect())
    }

    fn entry(methods: Methods, route: usize) -> Entry<usize> {
        Entry { methods, conditions: Conditions::default(), route }
    }

    fn table() -> Table<usize> {
        let mut table = Table::default();
        for (route, (methods, pattern)) in [
            (only(&["GET", "POST"]), "/api/users"),
            (only(&["GET", "DELETE"]), "/api/users/{id}"),
            (only(&["GET"]), "/api/users/me"),
            (only(&["POST"]), "/api/{rest...}"),
            (Methods::Any, "/files/{path...}"),
            (only(&["GET"]), "/"),
        ]
        .into_iter()
        .enumerate()
        {
            table.insert(&pattern.parse().unwrap(), entry(methods, route)).unwrap();
        }
        table
    }

    #[test]
    fn the_most_specific_pattern_wins() {
        for (method, path, expected) in [
            ("GET", "/api/users", Lookup::Found(0)),
            ("HEAD", "/api/users", Lookup::Found(0)),
            ("GET", "/api/users/7", Lookup::Found(1)),
            ("GET", "/api/users/me", Lookup::Found(2)),
            ("DELETE", "/api/users/me", Lookup::Found(1)),
            ("POST", "/api/users/me", Lookup::Found(3)),
            ("POST", "/api/", Lookup::Found(3)),
            ("PATCH", "/files/", Lookup::Found(4)),
            ("PATCH", "/files/a/b", Lookup::Found(4)),
            ("GET", "/", Lookup::Found(5)),
            ("GET", "/files", Lookup::Unknown),
            ("GET", "/api/users/", Lookup::OtherMethods("POST, OPTIONS".to_owned())),
            ("PUT", "/api/users/7", Lookup::OtherMethods("GET, HEAD, DELETE, POST, OPTIONS".to_owned())),
            ("GET", "/nothing", Lookup::Unknown),
            ("GET", "/api", Lookup::Unknown),
        ] {
            assert_eq!(table().find(&RouteQuery::plain(method, path)), expected, "{method} {path}");
        }
    }

    #[test]
    fn routes_that_could_match_the_same_request_are_refused() {
        for (methods, pattern, other, method) in [
            (only(&["GET"]), "/api/users/{name}", 1, "GET"),
            (only(&["HEAD"]), "/api/users", 0, "HEAD"),
            (Methods::Any, "/api/users/me", 2, "GET"),
            (only(&["PUT", "GET"]), "/files/{all...}", 4, "PUT"),
        ] {
            let conflict = table().insert(&pattern.parse().unwrap(), entry(methods, 9)).unwrap_err();
            assert_eq!(conflict, Conflict { other, method: method.to_owned(), by_headers: None }, "{pattern}");
        }
        let put = entry(only(&["PUT"]), 9);
        assert_eq!(table().insert(&"/api/users/{name}".parse().unwrap(), put), Ok(()));
    }
}
