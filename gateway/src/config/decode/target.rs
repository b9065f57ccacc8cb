//! Decodes what answers the requests of a route: an upstream (`to`), or the gateway itself (`respond`, `redirect`).

use std::sync::Arc;

use actix_http::{StatusCode, header::HeaderValue};

use super::scope::{self, Scope};
use crate::{
    config::{
        keys::{
            routes::{BODY_RATE, REQUEST_HEADERS, RETRY, RedirectKeys, RespondKeys, RouteKeys},
            shape::Key,
        },
        yaml::{mistake::Mistakes, table::Table, tree::Node},
    },
    route::{OwnAnswer, RouteTarget},
    routing::{pattern::Pattern, redirect::Redirect},
    rules::fixed_answer::FixedAnswer,
};

/// The statuses of answers that have no body (RFC 9110, section 6.4.1, and section 15.3.6 for 205).
const WITHOUT_BODY: [StatusCode; 3] = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED];

const TEXT_PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Decodes the target of a route, which has exactly one.
pub(crate) fn decode(
    table: Table<'_>,
    node: &Node,
    pattern: Option<&Pattern>,
    scope: &Scope<'_>,
    mistakes: &Mistakes,
) -> Option<RouteTarget> {
    let keys = [given(table, &RouteKeys::TO), given(table, &RouteKeys::RESPOND), given(table, &RouteKeys::REDIRECT)];
    match keys {
        [Some((_, to)), None, None] => scope::upstream(to, scope.upstreams, mistakes).map(RouteTarget::Upstream),
        [None, Some((key, respond)), None] => {
            refuse_keys_of_upstreams(table, key, mistakes);
            answer(respond, mistakes).map(|answer| RouteTarget::Own(Arc::new(OwnAnswer::Respond(answer))))
        }
        [None, None, Some((key, node))] => {
            refuse_keys_of_upstreams(table, key, mistakes);
            let redirect = redirect(node, pattern, mistakes);
            redirect.map(|redirect| RouteTarget::Own(Arc::new(OwnAnswer::Redirect(redirect))))
        }
        [None, None, None] => {
            report_missing(table, node, mistakes);
            None
        }
        [..] => {
            let found: Vec<_> = keys.iter().flatten().collect();
            let names: Vec<String> = found.iter().map(|(name, _)| format!("`{name}`")).collect();
            let help =
                "keep one of them: `to` asks an upstream, `respond` and `redirect` answer without one".to_owned();
            let message = format_args!(
                "a route has only one of `to`, `respond` and `redirect`, and this one has {}",
                names.join(" and ")
            );
            if let Some((_, node)) = found.last() {
                node.report_with_help(mistakes, message, help);
            }
            None
        }
    }
}

fn report_missing(table: Table<'_>, node: &Node, mistakes: &Mistakes) {
    let is_misspelled = table.is_misspelled(&RouteKeys::TO)
        || table.is_misspelled(&RouteKeys::RESPOND)
        || table.is_misspelled(&RouteKeys::REDIRECT);
    if !is_misspelled {
        let help = "name an upstream with `to`, or write the answer into `respond` or `redirect`".to_owned();
        node.report_with_help(mistakes, "`to` is missing", help);
    }
}

/// A redirect of the paths of this pattern; `None` for the pattern where `route` has a mistake.
fn redirect(node: &Node, pattern: Option<&Pattern>, mistakes: &Mistakes) -> Option<Redirect> {
    let table = node.table(&RedirectKeys::SECTION, mistakes);
    let to = table.get(&RedirectKeys::TO);
    let status = table
        .find(&RedirectKeys::STATUS)
        .map_or(Some(StatusCode::PERMANENT_REDIRECT), |_| table.get(&RedirectKeys::STATUS));
    let found = Redirect::new(pattern?.clone(), to?, status?);
    found.map_err(|message| table.find(&RedirectKeys::TO).unwrap_or(node).report(mistakes, message)).ok()
}

fn answer(node: &Node, mistakes: &Mistakes) -> Option<FixedAnswer> {
    let table = node.table(&RespondKeys::SECTION, mistakes);
    // A value that cannot be parsed is a mistake, and then no default replaces it.
    let status = table.find(&RespondKeys::STATUS).map_or(Some(StatusCode::OK), |_| table.get(&RespondKeys::STATUS));
    let content_type = table.get(&RespondKeys::CONTENT_TYPE).unwrap_or(TEXT_PLAIN);
    let body = table.get(&RespondKeys::BODY).unwrap_or_default();
    let status = status?;
    if let Some(node) = table.find(&RespondKeys::BODY)
        && WITHOUT_BODY.contains(&status)
        && !body.is_empty()
    {
        let help = "leave `body` out, or choose another status".to_owned();
        node.report_with_help(mistakes, format_args!("an answer with status {} has no body", status.as_u16()), help);
    }
    if let Some(node) = table.find(&RespondKeys::CONTENT_TYPE)
        && body.is_empty()
    {
        let help = "write `body` too, or leave `content_type` out".to_owned();
        node.report_with_help(mistakes, "this is the type of a body, and there is none", help);
    }
    Some(FixedAnswer { status, content_type, body: body.into() })
}

/// Reports the keys that would have no effect, because nothing is sent.
fn refuse_keys_of_upstreams(table: Table<'_>, key: &str, mistakes: &Mistakes) {
    let keys = [
        given(table, &RouteKeys::THEN),
        given(table, &RouteKeys::HEADERS_FROM),
        given(table, &RouteKeys::REWRITE),
        given(table, &RouteKeys::HOST),
        given(table, &BODY_RATE),
        given(table, &RouteKeys::TIMEOUT),
        given(table, &RETRY),
        given(table, &RouteKeys::FORWARD_AUTHORIZATION),
        given(table, &RouteKeys::WEBSOCKET),
        given(table, &REQUEST_HEADERS),
    ];
    for (name, node) in keys.into_iter().flatten() {
        let help = format!("remove `{name}`, or send the requests to an upstream with `to`");
        node.report_with_help(mistakes, format_args!("`{name}` needs an upstream, and `{key}` has none"), help);
    }
}

fn given<'a, P>(table: Table<'a>, key: &Key<P>) -> Option<(&'static str, &'a Node)> {
    Some((key.info.name, table.find(key)?))
}
