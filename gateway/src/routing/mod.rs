//! Which route a request takes: its path in normal form, patterns, conditions, and the table. Knows no callers and no
//! upstreams.

pub mod condition;
mod leaf;
pub mod path;
pub mod pattern;
pub mod probe;
pub mod table;
