//! What a route may refer to: upstreams, aliases, hooks, tokens.

use super::headers::Reserved;
use crate::{hooks::Hooks, upstream::settings::UpstreamSettings};

/// What a route may refer to.
pub(crate) struct Known<'a> {
    pub(crate) upstreams: &'a [UpstreamSettings],
    pub(crate) aliases: &'a [(String, String)],
    pub(crate) has_tokens: bool,
    pub(crate) issues_tokens: bool,
    pub(crate) hooks: &'a Hooks,
    pub(crate) reserved: Reserved<'a>,
}
