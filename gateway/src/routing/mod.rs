//! Which route a request takes: its path in normal form, patterns, and the table. Knows no callers and no upstreams.

pub mod path;
pub mod pattern;
pub mod table;
