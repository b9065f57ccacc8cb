//! Every key of the YAML, described once: name, form, default, meaning.
//!
//! Everything that has to agree about the keys is made from these descriptions: the decoder asks for values by the constants,
//! [`schema()`] writes the JSON Schema for editors, and [`reference()`] writes the tables of `docs/configuration.md`. A key
//! that is not described cannot be decoded, and one that is described but never decoded is dead code to the compiler; the
//! macro in `shape` says how.
//!
//! To add a key: describe it in the section where it belongs (`file`, `routes`, `upstreams`, `tokens`, `tls`), ask for it in
//! the decoder of that section, and run the tests: they name the generated files that are out of date.

pub(crate) mod file;
mod parse;
mod reference;
pub(crate) mod routes;
mod schema;
pub(crate) mod shape;
pub(crate) mod tls;
pub(crate) mod tokens;
pub(crate) mod upstreams;
pub(crate) mod values;

pub(crate) use parse::{header_name, methods};
pub use reference::reference;
pub use schema::schema;
