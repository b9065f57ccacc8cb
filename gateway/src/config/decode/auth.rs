//! Decodes `auth` of a route: who may send requests.

use super::{headers::ok_or_report, hooks, lookalikes, scope::Scope};
use crate::{
    auth::policy::Policy,
    config::{
        keys::routes::RouteKeys,
        yaml::{
            mistake::{Mistakes, did_you_mean},
            table::Table,
            tree::{Node, Value},
        },
    },
    hooks::Authorizer,
};

const HELP: &str = "write `auth: public`, `auth: signed-in`, or the claims that must hold: `auth: {user_type: admin}`";

/// The name among the claims of `auth` that is not a claim.
const HOOK: &str = "hook";

/// The policy of a route, and the hook that decides with it. A route without `auth` is refused, so that nobody publishes a
/// service by forgetting a line.
pub(crate) fn decode(
    table: Table<'_>,
    node: &Node,
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
    let claims = policy_claims(auth, mistakes);
    let policy = if claims.is_empty() && hook.is_some() { Policy::SignedIn } else { Policy::Claims(claims) };
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

/// Claims that a caller must have, each with the values that are accepted.
pub(crate) fn policy_claims(node: &Node, mistakes: &Mistakes) -> Vec<(String, Vec<String>)> {
    for (name, value) in node.entries(mistakes) {
        ok_or_report(lookalikes::claim(&name.text), name, value, mistakes);
    }
    claims_of(node, |text| lookalikes::claim_value(text).map(|()| text.to_owned()), mistakes)
}

/// Claims of a caller, each with its values.
pub(crate) fn claims(node: &Node, mistakes: &Mistakes) -> Vec<(String, Vec<String>)> {
    claims_of(node, |text| Ok(text.to_owned()), mistakes)
}

fn claims_of(
    node: &Node,
    value_of: fn(&str) -> Result<String, String>,
    mistakes: &Mistakes,
) -> Vec<(String, Vec<String>)> {
    let entries = node.entries(mistakes);
    if entries.is_empty() && !node.is_unreadable() {
        node.report(mistakes, "no claim is named; for any signed-in caller write `signed-in`");
    }
    let mut claims = Vec::new();
    for (name, value) in entries.iter().filter(|(name, _)| name.text != HOOK) {
        let items = value.items(mistakes).into_iter();
        let values = items.filter_map(|item| item.parse(mistakes, value_of)).collect();
        if value.is_empty_list() {
            value.report(mistakes, "no value is allowed here, so that nobody could pass");
        }
        claims.push((name.text.clone(), values));
    }
    claims
}
