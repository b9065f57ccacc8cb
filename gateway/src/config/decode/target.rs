//! Decodes what answers the requests of a route: an upstream (`to`), or the gateway itself (`respond`).

use std::sync::Arc;

use actix_http::{StatusCode, header::HeaderValue};

use super::scope::{self, Scope};
use crate::{
    config::{
        keys::{
            routes::{BODY_RATE, REQUEST_HEADERS, RETRY, RespondKeys, RouteKeys},
            shape::Key,
        },
        yaml::{mistake::Mistakes, table::Table, tree::Node},
    },
    route::RouteTarget,
    rules::fixed_answer::FixedAnswer,
};

/// The statuses of answers that have no body (RFC 9110, section 6.4.1, and section 15.3.6 for 205).
const WITHOUT_BODY: [StatusCode; 3] = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED];

const TEXT_PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Decodes the target of a route, which has exactly one.
pub(crate) fn decode(table: Table<'_>, node: &Node, scope: &Scope<'_>, mistakes: &Mistakes) -> Option<RouteTarget> {
    match (table.find(&RouteKeys::TO), table.find(&RouteKeys::RESPOND)) {
        (Some(to), None) => scope::upstream(to, scope.upstreams, mistakes).map(RouteTarget::Upstream),
        (None, Some(respond)) => {
            refuse_keys_of_upstreams(table, mistakes);
            answer(respond, mistakes).map(|answer| RouteTarget::Respond(Arc::new(answer)))
        }
        (Some(_), Some(respond)) => {
            let help = "remove one of them: `to` asks an upstream, `respond` answers without one".to_owned();
            respond.report_with_help(mistakes, "a route has either `to` or `respond`, and this one has both", help);
            None
        }
        (None, None) => {
            if !table.is_misspelled(&RouteKeys::TO) && !table.is_misspelled(&RouteKeys::RESPOND) {
                let help = "name an upstream with `to`, or write the answer into `respond`".to_owned();
                node.report_with_help(mistakes, "`to` is missing", help);
            }
            None
        }
    }
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
fn refuse_keys_of_upstreams(table: Table<'_>, mistakes: &Mistakes) {
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
        node.report_with_help(mistakes, format_args!("`{name}` needs an upstream, and `respond` has none"), help);
    }
}

fn given<'a, P>(table: Table<'a>, key: &Key<P>) -> Option<(&'static str, &'a Node)> {
    Some((key.info.name, table.find(key)?))
}
