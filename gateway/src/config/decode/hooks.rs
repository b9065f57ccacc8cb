//! Decodes the hooks that a route names. Each must be registered.

use actix_http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING};
use chassis::identity::ASSERTION;

use super::scope::Scope;
use crate::{
    config::{
        keys::routes::RouteKeys,
        yaml::{
            mistake::{Mistakes, suggest},
            table::Table,
            tree::Node,
        },
    },
    hooks::{Authorizer, Hook, RouteHooks, issue_token},
};

/// Headers that no hook may set: those of the framing, the host, and the assertion.
const NOT_FOR_HOOKS: [HeaderName; 5] = [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, ASSERTION];

/// The hooks of a route, except the one in `auth`.
pub(crate) fn decode(table: Table<'_>, scope: &Scope<'_>, mistakes: &Mistakes) -> RouteHooks {
    let decoder = table.node(&RouteKeys::DECODER).and_then(|node| registered(node, &scope.hooks.decoders, mistakes));
    let generators = table.node(&RouteKeys::HEADERS_FROM).map(|node| node.items(mistakes)).unwrap_or_default();
    let mut headers = Vec::new();
    for node in generators {
        let Some(generator) = registered(node, &scope.hooks.headers, mistakes) else { continue };
        if let Some(name) = generator.run.sets.iter().find(|name| NOT_FOR_HOOKS.contains(name)) {
            node.report(mistakes, format_args!("this hook sets `{name}`, which only the gateway writes"));
        }
        headers.push(generator);
    }
    let then_node = table.node(&RouteKeys::THEN);
    let then = then_node.and_then(|node| registered(node, &scope.hooks.post, mistakes));
    if let Some(node) = then_node
        && then.as_ref().is_some_and(|hook| &*hook.name == issue_token::NAME)
        && !scope.issues_tokens
    {
        node.report(mistakes, "this issues tokens, but the file has no `tokens` section with a key of our own");
    }
    RouteHooks { decoder, authorizer: None, headers, then }
}

/// The hook in `auth: {hook: NAME}`.
pub(crate) fn authorizer(node: &Node, scope: &Scope<'_>, mistakes: &Mistakes) -> Option<Authorizer> {
    registered(node, &scope.hooks.authorizers, mistakes)
}

/// The registered hook that a node names.
fn registered<F: ?Sized>(node: &Node, hooks: &[Hook<F>], mistakes: &Mistakes) -> Option<Hook<F>> {
    let name = node.scalar(mistakes)?;
    let found = hooks.iter().find(|hook| &*hook.name == name).cloned();
    if found.is_none() {
        let names: Vec<&str> = hooks.iter().map(|hook| &*hook.name).collect();
        let help = if names.is_empty() {
            "none is registered here; a program that embeds the gateway does that with `Gateway::builder()`".to_owned()
        } else {
            suggest(name, &names, "there are")
        };
        node.report_with_help(mistakes, format!("there is no hook `{name}`"), help);
    }
    found
}
