//! The table of routes: a tree of segments in which the most specific pattern wins. Knows no HTTP beyond methods.
//!
//! At each segment a literal is more specific than a parameter, and a parameter more than a rest. There are no
//! priority numbers: two routes that could match the same request with the same specificity are refused.

use std::collections::HashMap;

use super::pattern::{Pattern, Segment};

/// The methods of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Methods {
    Any,
    /// In the order they were written. GET brings HEAD with it.
    Only(Vec<String>),
}

impl Methods {
    /// Whether a request of this method is meant. GET implies HEAD (RFC 9110, section 9.3.2).
    pub fn allow(&self, method: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(methods) => methods.iter().any(|m| m == method || (m == "GET" && method == "HEAD")),
        }
    }

    fn overlap(&self, other: &Self) -> Option<String> {
        match (self, other) {
            (Self::Any, Self::Any) => Some("every method".to_owned()),
            (Self::Any, Self::Only(methods)) | (Self::Only(methods), Self::Any) => methods.first().cloned(),
            (Self::Only(methods), Self::Only(_)) => methods.iter().find(|method| other.allow(method)).cloned(),
        }
    }
}

/// Two routes that could match the same request.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict<T> {
    /// The route that was there first.
    pub other: T,
    /// A method that both have.
    pub method: String,
}

/// What a table says about a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// This route.
    Found(T),
    /// The path is known, but not with this method; these are (`GET, HEAD, …`).
    OtherMethods(String),
    /// Nothing has this path.
    Unknown,
}

/// Routes by path and method. `T` names a route; the table knows nothing else of it.
#[derive(Debug)]
pub struct Table<T> {
    root: Branch<T>,
}

#[derive(Debug)]
struct Branch<T> {
    literals: HashMap<String, Branch<T>>,
    param: Option<Box<Branch<T>>>,
    rest: Vec<(Methods, T)>,
    here: Vec<(Methods, T)>,
}

impl<T> Default for Branch<T> {
    fn default() -> Self {
        Self { literals: HashMap::new(), param: None, rest: Vec::new(), here: Vec::new() }
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
    pub fn insert(&mut self, pattern: &Pattern, methods: &Methods, route: T) -> Result<(), Conflict<T>> {
        let mut branch = &mut self.root;
        let mut ends_in_rest = false;
        for segment in pattern.segments() {
            match segment {
                Segment::Literal(text) => branch = branch.literals.entry(text.clone()).or_default(),
                Segment::Param(_) => branch = branch.param.get_or_insert_default(),
                Segment::Rest(_) => ends_in_rest = true,
            }
        }
        let routes = if ends_in_rest { &mut branch.rest } else { &mut branch.here };
        let conflict = routes
            .iter()
            .find_map(|(known, other)| methods.overlap(known).map(|method| Conflict { other: *other, method }));
        match conflict {
            Some(conflict) => Err(conflict),
            None => {
                routes.push((methods.clone(), route));
                Ok(())
            }
        }
    }

    /// Finds the most specific route for a normalised path and a method.
    pub fn find(&self, path: &str, method: &str) -> Lookup<T> {
        let rest = path.strip_prefix('/').unwrap_or(path);
        if let Some(route) = self.root.find(rest, &mut |methods| methods.allow(method)) {
            return Lookup::Found(route);
        }
        let mut allowed: Vec<String> = Vec::new();
        self.root.find(rest, &mut |methods| {
            if let Methods::Only(methods) = methods {
                for method in methods {
                    push_new(&mut allowed, method);
                    if method == "GET" {
                        push_new(&mut allowed, "HEAD");
                    }
                }
            }
            false
        });
        if allowed.is_empty() {
            return Lookup::Unknown;
        }
        push_new(&mut allowed, "OPTIONS");
        Lookup::OtherMethods(allowed.join(", "))
    }
}

fn push_new(methods: &mut Vec<String>, method: &str) {
    if !methods.iter().any(|known| known == method) {
        methods.push(method.to_owned());
    }
}

impl<T: Copy> Branch<T> {
    /// Visits what matches, the most specific first, until `accept` takes one.
    fn find(&self, path: &str, accept: &mut dyn FnMut(&Methods) -> bool) -> Option<T> {
        let (head, tail) = path.split_once('/').map_or((path, None), |(head, tail)| (head, Some(tail)));
        let literal = self.literals.get(head).and_then(|branch| branch.below(tail, accept));
        if literal.is_some() {
            return literal;
        }
        if !head.is_empty()
            && let Some(found) = self.param.as_ref().and_then(|branch| branch.below(tail, accept))
        {
            return Some(found);
        }
        first(&self.rest, accept)
    }

    fn below(&self, tail: Option<&str>, accept: &mut dyn FnMut(&Methods) -> bool) -> Option<T> {
        match tail {
            Some(tail) => self.find(tail, accept),
            None => first(&self.here, accept),
        }
    }
}

fn first<T: Copy>(routes: &[(Methods, T)], accept: &mut dyn FnMut(&Methods) -> bool) -> Option<T> {
    routes.iter().find(|(methods, _)| accept(methods)).map(|(_, route)| *route)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(methods: &[&str]) -> Methods {
        Methods::Only(methods.iter().map(|method| (*method).to_owned()).collect())
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
            table.insert(&pattern.parse().unwrap(), &methods, route).unwrap();
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
            assert_eq!(table().find(path, method), expected, "{method} {path}");
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
            let conflict = table().insert(&pattern.parse().unwrap(), &methods, 9).unwrap_err();
            assert_eq!(conflict, Conflict { other, method: method.to_owned() }, "{pattern}");
        }
        assert_eq!(table().insert(&"/api/users/{name}".parse().unwrap(), &only(&["PUT"]), 9), Ok(()));
    }
}
