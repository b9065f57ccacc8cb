//! Which route a request takes: its path in normal form, patterns, conditions, and the table. Knows no callers and no
//! upstreams.

pub(crate) mod condition;
pub(crate) mod entry;
mod leaf;
pub(crate) mod path;
pub(crate) mod pattern;
pub(crate) mod probe;
pub(crate) mod table;
