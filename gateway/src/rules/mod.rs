//! The rules of a route, as pure functions: from which addresses it may be used, and what happens to headers (CORS, header
//! edits, `Via`, hop-by-hop fields, trailers, the addresses of upstreams, and the fields in which proxies describe clients). Knows no requests, no
//! upstreams and no configuration.

pub(crate) mod addresses;
pub(crate) mod cors;
pub(crate) mod edits;
pub(crate) mod fields;
pub(crate) mod fixed_answer;
pub(crate) mod forwarding;
pub(crate) mod reverse_mapping;
pub(crate) mod trailers;
pub(crate) mod via;
