//! One route at its place in the table: its methods and conditions, and what it conflicts with.

use super::condition::{Conditions, RouteQuery};

/// The methods of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Methods {
    Any,
    /// In the order they were written. GET brings HEAD with it.
    Only(Vec<String>),
}

impl Methods {
    /// Whether a request of this method is meant. GET implies HEAD (RFC 9110, section 9.3.2).
    pub(crate) fn allow(&self, method: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(methods) => methods.iter().any(|m| m == method || (m == "GET" && method == "HEAD")),
        }
    }

    /// Gives each method that is named, HEAD after GET.
    pub(crate) fn each<'a>(&'a self, mut give: impl FnMut(&'a str)) {
        let Self::Only(methods) = self else { return };
        for method in methods {
            give(method);
            if method == "GET" {
                give("HEAD");
            }
        }
    }

    /// A method that both have.
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
    /// The route that was there first.
    pub(crate) other: T,
    /// A method that both have.
    pub(crate) method: String,
    /// A header that only the other names, where a request that has the headers of both is what both could match.
    pub(crate) by_headers: Option<String>,
}

/// One route at its place in the table.
#[derive(Clone, Debug)]
pub(crate) struct Entry<T> {
    pub(crate) methods: Methods,
    pub(crate) conditions: Conditions,
    pub(crate) route: T,
}

impl<T> Entry<T> {
    /// Whether the request is for the host that this route is for.
    pub(crate) fn host_holds(&self, asked: &RouteQuery<'_>) -> bool {
        self.conditions.host.as_ref().is_none_or(|host| host.is_for(asked.host))
    }

    /// Whether the request has the headers that this route is for.
    pub(crate) fn headers_hold(&self, asked: &RouteQuery<'_>) -> bool {
        self.conditions.headers.iter().all(|(name, value)| (asked.has_header)(name, value))
    }
}
