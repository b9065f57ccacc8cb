//! Decodes `auth` of a route: who may send requests.

use super::{headers::ok_or_report, hooks, lookalikes, scope::Scope};
use crate::{
    auth::{
        claims::ClaimPath,
        policy::{
            Policy,
            requirement::{Requirement, Wanted},
        },
    },
    config::{
        keys::routes::RouteKeys,
        yaml::{
            mistake::{Mistakes, did_you_mean},
            table::Table,
            tree::{Name, Node, Value},
        },
    },
    hooks::Authorizer,
    routing::pattern::Pattern,
};

const HELP: &str = "write `auth: public`, `auth: signed-in`, or the claims that must hold: `auth: {user_type: admin}`";

/// The names among the claims of `auth` that are not claims.
const HOOK: &str = "hook";
const SCOPES: &str = "scopes";
const ANY: &str = "any";
const ALL: &str = "all";
/// How deep `any` and `all` can be nested: who may pass must be clear at a glance.
const NESTING_MAX: usize = 2;

/// The policy of a route, and the hook that decides with it. A route without `auth` is refused, so that nobody publishes a
/// service by forgetting a line.
pub(crate) fn decode(
    table: Table<'_>,
    node: &Node,
    pattern: Option<&Pattern>,
    scope: &Scope<'_>,
    mistakes: &Mistakes,
) -> (Option<Policy>, Option<Authorizer>) {
    let Some(auth) = table.find(&RouteKeys::AUTH) else {
        if table.is_misspelled(&RouteKeys::AUTH) {
            return (None, None);
        }
        let message = "`auth` is missing: every route says who may use it";
        node.report_with_help(mistakes, message, HELP.to_owned());
        return (None, None);
    };
    let Value::Mapping(entries) = &auth.value else { return (keyword(auth, mistakes), None) };
    let hook = entries.iter().find(|(name, _)| name.text == HOOK);
    let authorizer = hook.and_then(|(_, node)| hooks::authorizer(node, scope, mistakes));
    let is_hook_alone = hook.is_some() && entries.len() == 1;
    let policy = if is_hook_alone { Policy::SignedIn } else { Policy::Claims(requirement(auth, pattern, mistakes)) };
    (Some(policy), authorizer)
}

fn keyword(node: &Node, mistakes: &Mistakes) -> Option<Policy> {
    let (message, help) = match &node.value {
        Value::Scalar(text) if text == "public" => return Some(Policy::Public),
        Value::Scalar(text) if text == "signed-in" => return Some(Policy::SignedIn),
        Value::Unreadable => return None,
        Value::Scalar(text) => (format!("`{text}` is no policy"), did_you_mean(text, ["public", "signed-in"])),
        Value::Sequence(_) | Value::Mapping(_) | Value::Null => ("this is no policy".to_owned(), None),
    };
    node.report_with_help(mistakes, message, help.unwrap_or_else(|| HELP.to_owned()));
    None
}

/// What the claims of a caller must be, where `pattern` is the path that a value can refer to: `{sub: "{user_id}"}`.
pub(crate) fn requirement(node: &Node, pattern: Option<&Pattern>, mistakes: &Mistakes) -> Requirement {
    all_of(node, &Place { pattern, depth: 0 }, mistakes)
}

/// Where a requirement stands.
struct Place<'a> {
    pattern: Option<&'a Pattern>,
    /// How many `any` and `all` are around it.
    depth: usize,
}

fn all_of(node: &Node, place: &Place<'_>, mistakes: &Mistakes) -> Requirement {
    let entries = node.entries(mistakes);
    if entries.is_empty() && !node.is_unreadable() {
        node.report(mistakes, "no claim is named; for any signed-in caller write `signed-in`");
    }
    let is_top = place.depth == 0;
    let entries = entries.iter().filter(|(name, _)| !(is_top && name.text == HOOK));
    let parts: Vec<Requirement> = entries.filter_map(|(name, value)| part(name, value, place, mistakes)).collect();
    match <[Requirement; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) => Requirement::All(parts),
    }
}

fn part(name: &Name, value: &Node, place: &Place<'_>, mistakes: &Mistakes) -> Option<Requirement> {
    match name.text.as_str() {
        ANY => Some(Requirement::Any(list(value, place, mistakes)?)),
        ALL => Some(Requirement::All(list(value, place, mistakes)?)),
        SCOPES => Some(Requirement::Scopes(values(value, |item| item.parse(mistakes, scope_token), mistakes))),
        _ => {
            let at = lookalikes::claim(&name.text).and_then(|()| name.text.parse::<ClaimPath>());
            let at = ok_or_report(at, name, value, mistakes)?;
            let values = values(value, |item| wanted(item, place, mistakes), mistakes);
            Some(Requirement::Claim { at, values })
        }
    }
}

/// The parts of `any` or `all`.
fn list(node: &Node, place: &Place<'_>, mistakes: &Mistakes) -> Option<Vec<Requirement>> {
    if place.depth == NESTING_MAX {
        node.report(mistakes, format_args!("`any` and `all` can be nested {NESTING_MAX} times"));
        return None;
    }
    let inner = Place { pattern: place.pattern, depth: place.depth + 1 };
    let Value::Sequence(items) = &node.value else {
        if !node.is_unreadable() {
            node.report(mistakes, "this is no list of claims; write it like `[{user_type: admin}, {group: ops}]`");
        }
        return None;
    };
    if items.is_empty() {
        node.report(mistakes, "an empty list says nothing about who may pass");
    }
    Some(items.iter().map(|item| all_of(item, &inner, mistakes)).collect())
}

fn values<T>(node: &Node, parse: impl FnMut(&Node) -> Option<T>, mistakes: &Mistakes) -> Vec<T> {
    if node.is_empty_list() {
        node.report(mistakes, "no value is allowed here, so that nobody could pass");
    }
    node.items(mistakes).into_iter().filter_map(parse).collect()
}

/// A value of a claim: a text, or a parameter of the path.
fn wanted(node: &Node, place: &Place<'_>, mistakes: &Mistakes) -> Option<Wanted> {
    let text = node.parse(mistakes, |text| lookalikes::claim_value(text).map(|()| text.to_owned()))?;
    let Some(name) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) else {
        return Some(Wanted::Text(text));
    };
    let name = name.trim_end_matches("...").to_owned();
    let Some(pattern) = place.pattern else {
        node.report(mistakes, format_args!("`{text}` is a parameter of a path, and there is no path here"));
        return None;
    };
    let segment = pattern.segment_of(&name);
    if segment.is_none() {
        let message = format!("the path `{pattern}` has no part `{{{name}}}`");
        node.report_with_optional_help(mistakes, message, did_you_mean(&name, pattern.names()));
    }
    Some(Wanted::Parameter { name, segment: segment? })
}

/// A scope has no spaces, quotes and backslashes (RFC 6749, section 3.3).
fn scope_token(text: &str) -> Result<String, String> {
    let is_token = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
    let error = || format!("`{text}` is no scope; several scopes are a list: `[orders:read, orders:write]`");
    is_token.then(|| text.to_owned()).ok_or_else(error)
}

/// Claims of a caller, each with its values.
pub(crate) fn claims(node: &Node, mistakes: &Mistakes) -> Vec<(ClaimPath, Vec<String>)> {
    let entries = node.entries(mistakes);
    if entries.is_empty() && !node.is_unreadable() {
        node.report(mistakes, "no claim is named");
    }
    let claim = |(name, value): &(Name, Node)| {
        let values = values(value, |item| item.scalar(mistakes).map(str::to_owned), mistakes);
        ok_or_report(name.text.parse(), name, value, mistakes).map(|at| (at, values))
    };
    entries.iter().filter_map(claim).collect()
}
