//! Decodes the YAML tree into settings, section by section. Notes every mistake and goes on.

pub(crate) mod cases;
mod conditions;
mod cors;
pub(crate) mod file;
mod headers;
mod hooks;
mod known;
mod observe;
mod resilience;
pub(crate) mod routes;
mod tls;
mod tokens;
mod upstreams;
mod values;

#[cfg(test)]
mod tests;
