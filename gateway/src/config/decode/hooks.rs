//! Decodes the hooks that a route names: each must be registered.

use actix_http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING};
use chassis::identity::ASSERTION;

use super::known::Known;
use crate::{
    config::yaml::{
        mistake::{Mistakes, did_you_mean},
        tree::{Node, Table},
    },
    hooks::{Authorizer, Hook, RouteHooks, issue_token},
};

/// The framing, the target and the proof of the gateway are not for hooks to write.
const NOT_FOR_HOOKS: [HeaderName; 5] = [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, ASSERTION];

/// The hooks of a route, all but the one in its policy.
pub(crate) fn decode(table: &mut Table<'_>, known: &Known<'_>, mistakes: &mut Mistakes) -> RouteHooks {
    let decoder = table.optional("decoder").and_then(|node| named(node, &known.hooks.decoders, mistakes));
    let generators = table.optional("headers_from").map(|node| node.items(mistakes)).unwrap_or_default();
    let mut headers = Vec::new();
    for node in generators {
        let Some(generator) = named(node, &known.hooks.headers, mistakes) else { continue };
        if let Some(name) = generator.run.sets.iter().find(|name| NOT_FOR_HOOKS.contains(name)) {
            node.wrong(mistakes, format_args!("this hook sets `{name}`, which only the gateway writes"));
        }
        headers.push(generator);
    }
    let then_node = table.optional("then");
    let then = then_node.and_then(|node| named(node, &known.hooks.post, mistakes));
    if let Some(node) = then_node
        && then.as_ref().is_some_and(|hook| &*hook.name == issue_token::NAME)
        && !known.issues_tokens
    {
        node.wrong(mistakes, "this issues tokens, but the file has no `tokens` section with a key of our own");
    }
    RouteHooks { decoder, authorizer: None, headers, then }
}

/// The one in `auth: {hook: NAME}`.
pub(crate) fn authorizer(node: &Node, known: &Known<'_>, mistakes: &mut Mistakes) -> Option<Authorizer> {
    named(node, &known.hooks.authorizers, mistakes)
}

fn named<F: ?Sized>(node: &Node, registered: &[Hook<F>], mistakes: &mut Mistakes) -> Option<Hook<F>> {
    let name = node.text(mistakes)?;
    let found = registered.iter().find(|hook| &*hook.name == name).cloned();
    if found.is_none() {
        let names = || registered.iter().map(|hook| &*hook.name);
        let help = did_you_mean(name, names()).unwrap_or_else(|| match names().collect::<Vec<_>>().as_slice() {
            [] => "none is registered here; who embeds the gateway does that with `Gateway::builder()`".to_owned(),
            names => format!("there are: {}", names.join(", ")),
        });
        mistakes.note_with_help(node.place, &node.path, format_args!("there is no hook `{name}`"), Some(help));
    }
    found
}
