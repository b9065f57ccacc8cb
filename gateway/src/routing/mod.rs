//! Finds the route of a request: the normal form of its path, patterns, conditions, and the table. Pure. Knows no
//! callers and no upstreams.
//!
//! A request is matched by its path first ([`table`]), then by host, headers and method ([`leaf`]). The most specific
//! route wins, by structure and not by order or priority; two routes that could match the same request with the same
//! specificity are a mistake in the configuration.
//!
//! The tricky part is the path: the gateway and the upstream must understand the same one, or a policy could be evaded.
//! See [`path`].

pub(crate) mod condition;
pub(crate) mod entry;
mod leaf;
pub(crate) mod path;
pub(crate) mod pattern;
pub(crate) mod probe;
pub(crate) mod redirect;
pub(crate) mod rewrite;
pub(crate) mod table;
