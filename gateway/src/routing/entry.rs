//! A route in the table: its methods and conditions, and what it conflicts with. Knows no paths.

use super::condition::{Conditions, RouteQuery};

/// The methods of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Methods {
    Any,
    /// In the order of the configuration. GET implies HEAD.
    Only(Vec<String>),
}

impl Methods {
    /// Returns whether a method is among them. GET implies HEAD (RFC 9110, section 9.3.2).
    pub(crate) fn allow(&self, method: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(methods) => methods.iter().any(|m| m == method || (m == "GET" && method == "HEAD")),
        }
    }

    /// Calls `give` with each method that is named, and with HEAD after GET.
    pub(crate) fn each<'a>(&'a self, mut give: impl FnMut(&'a str)) {
        let Self::Only(methods) = self else { return };
        for method in methods {
            give(method);
            if method == "GET" {
                give("HEAD");
            }
        }
    }

    /// Returns a method that is in both.
    pub(crate) fn overlap(&self, other: &Self) -> Option<String> {
        match (self, other) {
            (Self::Any, Self::Any) => Some("every method".to_owned()),
            (Self::Any, Self::Only(methods)) | (Self::Only(methods), Self::Any) => methods.first().cloned(),
            (Self::Only(methods), Self::Only(_)) => methods.iter().find(|method| other.allow(method)).cloned(),
        }
    }
}

/// Two routes that could match the same request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Conflict<T> {
    /// The route that was inserted first.
    pub(crate) other: T,
    /// A method that both have.
    pub(crate) method: String,
    /// If they conflict only for a request that has the headers of both: a header that only the other one requires.
    pub(crate) by_headers: Option<String>,
}

/// A route in the table.
#[derive(Clone, Debug)]
pub(crate) struct Entry<T> {
    pub(crate) methods: Methods,
    pub(crate) conditions: Conditions,
    pub(crate) route: T,
}

impl<T> Entry<T> {
    /// Returns whether the request is for the host of this route.
    pub(crate) fn host_matches(&self, query: &RouteQuery<'_>) -> bool {
        self.conditions.host.as_ref().is_none_or(|host| host.matches(query.host))
    }

    /// Returns whether the request has the headers that this route requires.
    pub(crate) fn headers_match(&self, query: &RouteQuery<'_>) -> bool {
        self.conditions.headers.iter().all(|(name, value)| (query.has_header)(name, value))
    }
}
