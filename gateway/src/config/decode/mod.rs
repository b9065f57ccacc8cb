//! Decodes the YAML tree into settings, a file for each section. `file` has the top of the file and calls the others.
//!
//! A decoder asks a table for the value of each key, by the constant that describes it, and returns settings, or `None` where
//! something necessary is missing. Every `None` has been reported as a mistake: the decoders never stop at the first one. They
//! also check what only the whole file can tell: that an upstream exists, that no alias hides a route, that two routes cannot
//! match the same request. How a scalar is written is not known here but in `keys`.
//!
//! The tricky part is not to report consequences of a mistake as further mistakes. That is why checks across sections ask
//! whether a section is *present* in the file (`has_tokens` of `scope`), not whether it could be decoded.

mod auth;
mod cases;
mod conditions;
mod cors;
mod defaults;
pub(crate) mod file;
mod headers;
mod hooks;
mod lookalikes;
mod networks;
mod observe;
mod resilience;
mod routes;
mod scope;
mod target;
mod tls;
mod tokens;
mod upstreams;

#[cfg(test)]
mod tests;
