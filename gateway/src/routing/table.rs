//! The table of routes: a tree of segments in which the most specific pattern wins. Knows no HTTP beyond methods.
//!
//! At each segment a literal is more specific than a parameter, and a parameter more than a catch-all; among routes of
//! one pattern, host and headers decide (see [`leaf`](super::leaf)). There are no priority numbers: two routes that
//! could match the same request with the same specificity are refused.
//!
//! The tricky part is that the most specific pattern may have no route for the method or the host of the request. So
//! the search goes back and tries the next pattern, instead of answering 405 or 404 at the first one.

use std::collections::HashMap;

use super::{
    condition::RouteQuery,
    entry::{Conflict, Entry},
    leaf::Leaf,
    pattern::{Pattern, Segment},
};

/// The result of looking up a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup<T> {
    /// This route.
    Found(T),
    /// There is a route for the path, but not with this method. The methods that there are: `GET, HEAD, …`.
    OtherMethods(String),
    /// No route has this path.
    Unknown,
}

/// Routes by path, host, headers and method. `T` identifies a route.
#[derive(Debug)]
pub(crate) struct Table<T> {
    root: Node<T>,
}

#[derive(Debug)]
struct Node<T> {
    literals: HashMap<String, Node<T>>,
    param: Option<Box<Node<T>>>,
    catch_all: Leaf<T>,
    exact: Leaf<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { literals: HashMap::new(), param: None, catch_all: Leaf::default(), exact: Leaf::default() }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<T: Copy> Table<T> {
    /// Adds a route.
    ///
    /// # Errors
    /// Another route could match the same request.
    pub(crate) fn insert(&mut self, pattern: &Pattern, entry: Entry<T>) -> Result<(), Conflict<T>> {
        let mut node = &mut self.root;
        let mut is_catch_all = false;
        for segment in pattern.segments() {
            match segment {
                Segment::Literal(text) => node = node.literals.entry(text.clone()).or_default(),
                Segment::Param(_) => node = node.param.get_or_insert_default(),
                Segment::CatchAll(_) => is_catch_all = true,
            }
        }
        let leaf = if is_catch_all { &mut node.catch_all } else { &mut node.exact };
        leaf.insert(entry)
    }

    /// Returns the most specific route for a request: by path first, then by host, then by the number of headers.
    pub(crate) fn find(&self, query: &RouteQuery<'_>) -> Lookup<T> {
        let mut found = None;
        self.visit(query.path, &mut |leaf| {
            found = leaf.find(query);
            found.is_some()
        });
        match found {
            Some(route) => Lookup::Found(route),
            None => self.other_methods(query),
        }
    }

    fn other_methods(&self, query: &RouteQuery<'_>) -> Lookup<T> {
        let mut allowed: Vec<&str> = Vec::new();
        self.visit(query.path, &mut |leaf| {
            for entry in leaf.candidates(query).filter(|entry| entry.headers_match(query)) {
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

    /// Returns every route whose pattern matches this path, the most specific pattern first, regardless of other
    /// conditions.
    pub(crate) fn at(&self, path: &str) -> Vec<&Entry<T>> {
        let mut entries = Vec::new();
        self.visit(path, &mut |leaf| {
            entries.extend(leaf.all());
            false
        });
        entries
    }

    /// Visits the leaves whose pattern matches this path, the most specific first, until `take` returns `true`.
    fn visit<'a>(&'a self, path: &str, take: &mut dyn FnMut(&'a Leaf<T>) -> bool) {
        self.root.visit(path.strip_prefix('/').unwrap_or(path), take);
    }
}

impl<T> Node<T> {
    fn visit<'a>(&'a self, path: &str, take: &mut dyn FnMut(&'a Leaf<T>) -> bool) -> bool {
        let (head, tail) = path.split_once('/').map_or((path, None), |(head, tail)| (head, Some(tail)));
        self.literals.get(head).is_some_and(|node| node.descend(tail, take))
            || (!head.is_empty() && self.param.as_ref().is_some_and(|node| node.descend(tail, take)))
            || take(&self.catch_all)
    }

    fn descend<'a>(&'a self, tail: Option<&str>, take: &mut dyn FnMut(&'a Leaf<T>) -> bool) -> bool {
        match tail {
            Some(tail) => self.visit(tail, take),
            None => take(&self.exact),
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
