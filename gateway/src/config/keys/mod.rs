//! Every key of the YAML, described once: the decoder, the JSON Schema and the reference are made of it.

pub(crate) mod file;
pub(crate) mod reference;
pub(crate) mod routes;
pub(crate) mod schema;
pub(crate) mod shape;
pub(crate) mod tls;
pub(crate) mod tokens;
pub(crate) mod upstreams;
mod values;

pub use reference::reference;
pub use schema::schema;
