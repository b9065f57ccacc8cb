//! The rules for headers, as pure functions over header maps: CORS, header edits, `Via`, and hop-by-hop fields. Knows
//! no requests, no upstreams and no configuration.

pub(crate) mod cors;
pub(crate) mod edits;
pub(crate) mod fields;
pub(crate) mod via;
