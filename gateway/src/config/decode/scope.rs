//! What a route may refer to: upstreams, aliases, hooks, tokens.

use super::headers::Reserved;
use crate::{
    config::yaml::{
        mistake::{Mistakes, suggest},
        tree::Node,
    },
    hooks::Hooks,
    upstream::settings::UpstreamSettings,
};

/// The parts of the file, and the registered hooks, that a route may refer to.
pub(crate) struct Scope<'a> {
    /// `None` where the key of the section is misspelled, which has been reported.
    pub(crate) upstreams: Option<&'a [UpstreamSettings]>,
    pub(crate) aliases: &'a [(String, String)],
    /// Whether tokens are verified at all.
    pub(crate) has_tokens: bool,
    /// Whether the gateway can issue tokens.
    pub(crate) issues_tokens: bool,
    pub(crate) hooks: &'a Hooks,
    pub(crate) reserved: Reserved<'a>,
}

/// Returns the index of the upstream that this node names.
pub(crate) fn upstream(node: &Node, upstreams: Option<&[UpstreamSettings]>, mistakes: &Mistakes) -> Option<usize> {
    let (name, upstreams) = (node.scalar(mistakes)?, upstreams?);
    let found = upstreams.iter().position(|upstream| upstream.name == name);
    if found.is_none() {
        let names: Vec<&str> = upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
        let message = format!("there is no upstream `{name}`");
        node.report_with_help(mistakes, message, suggest(name, &names, "there are"));
    }
    found
}
