//! Makes the request that goes to the upstream: its path, its headers, the statement about its caller.

use std::{borrow::Cow, mem};

use actix_http::{
    Method,
    header::{HeaderMap, HeaderValue},
    uri::PathAndQuery,
};
use chassis::{identity::IdentityHeaders, problem::Problem};

use super::{
    assertion::assertion,
    headers::{self, ForwardContext},
};
use crate::{
    auth::caller::Caller,
    body::upload::Upload,
    config::Config,
    proxy::incoming::Incoming,
    route::RouteSettings,
    rules::via::Pseudonym,
    runtime::worker::Worker,
    upstream::{handle::Upstream, wire::client::Outgoing},
};

/// A request has about six fields, and eight are added on its way: with room for them the map need not grow.
const USUAL_FIELDS: usize = 14;

/// The request that goes out, but for its body.
pub(crate) struct Composed {
    pub(crate) path_and_query: PathAndQuery,
    pub(crate) headers: HeaderMap,
}

pub(crate) fn outgoing(
    worker: &Worker,
    route: &RouteSettings,
    upstream: &Upstream,
    caller: Option<&Caller>,
    incoming: &mut Incoming,
    body: Option<Upload>,
) -> Result<Outgoing, Problem> {
    let assertion = assertion(worker, upstream, caller, incoming.client_ip)?;
    let shared = &worker.snapshot;
    let composed = compose(&shared.config, &shared.identity, &shared.process.via, route, caller, assertion, incoming)?;
    Ok(Outgoing {
        method: incoming.request.method().clone(),
        path_and_query: composed.path_and_query,
        headers: composed.headers,
        body,
        head_timeout: route.timeouts.head,
    })
}

/// The same for a request that is served and for one that is only rehearsed.
pub(crate) fn compose(
    config: &Config,
    identity: &IdentityHeaders,
    via: &Pseudonym,
    route: &RouteSettings,
    caller: Option<&Caller>,
    assertion: Option<HeaderValue>,
    incoming: &mut Incoming,
) -> Result<Composed, Problem> {
    // Moved, not copied: nobody needs them afterwards. What is left behind is used for a request to come.
    let received = mem::replace(incoming.request.headers_mut(), HeaderMap::with_capacity(USUAL_FIELDS));
    let provenance = ForwardContext {
        context: &incoming.context,
        peer: &incoming.peer,
        trusted_proxies: &config.trusted_proxies,
        identity,
        identity_claims: &config.identity_headers,
        caller,
        assertion,
        tls: config.tls.is_some(),
        keep_authorization: route.forward_authorization || route.policy.is_public(),
        edits: &route.request_edits,
    };
    let path_and_query = target(route, incoming)?;
    let mut headers = headers::outgoing(received, &provenance);
    via.add(&mut headers, incoming.request.version());
    if incoming.request.method() == Method::OPTIONS {
        headers::count_down(&mut headers);
    }
    Ok(Composed { path_and_query, headers })
}

/// The path that was matched, rewritten, with the query as it came.
fn target(route: &RouteSettings, incoming: &Incoming) -> Result<PathAndQuery, Problem> {
    let uri = incoming.request.uri();
    let path = rewritten(route, &incoming.path);
    match uri.path_and_query() {
        // Nearly always, and then there is nothing to check and to copy.
        Some(as_it_came) if as_it_came.path() == path => Ok(as_it_came.clone()),
        Some(_) | None => {
            let target = uri.query().map(|query| format!("{path}?{query}"));
            PathAndQuery::try_from(target.unwrap_or(path.into_owned())).map_err(Problem::internal)
        }
    }
}

fn rewritten<'a>(route: &RouteSettings, path: &'a str) -> Cow<'a, str> {
    let Some(rewrite) = &route.rewrite else { return Cow::Borrowed(path) };
    let captures: Vec<(&str, &str)> = route.pattern.names().zip(route.pattern.captures(path)).collect();
    Cow::Owned(rewrite.fill(|name| {
        captures.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()).unwrap_or_default()
    }))
}
