//! Makes the request that goes to the upstream: its path, its headers, the statement about its caller.

use actix_http::{
    Method,
    header::{HeaderMap, HeaderValue},
};
use chassis::{identity::IdentityHeaders, problem::Problem};

use super::{
    Incoming,
    assertion::assertion,
    body::Upload,
    headers::{self, Provenance},
    via::Pseudonym,
};
use crate::{
    auth::verifier::Caller,
    config::{Config, RouteSettings},
    upstream::{Upstream, client::Outgoing},
    worker::Worker,
};

/// The request that goes out, but for its body.
pub(super) struct Composed {
    pub path_and_query: String,
    pub headers: HeaderMap,
}

pub(super) fn outgoing(
    worker: &Worker,
    route: &RouteSettings,
    upstream: &Upstream,
    caller: Option<&Caller>,
    incoming: &mut Incoming,
    body: Option<Upload>,
) -> Result<Outgoing, Problem> {
    let assertion = assertion(worker, upstream, caller, incoming.client_ip)?;
    let shared = &worker.shared;
    let composed = compose(&shared.config, &shared.identity, &shared.process.via, route, caller, assertion, incoming);
    Ok(Outgoing {
        method: incoming.request.method().clone(),
        path_and_query: composed.path_and_query,
        headers: composed.headers,
        body,
        head_timeout: route.timeouts.head,
    })
}

/// The same for a request that is served and for one that is only rehearsed.
pub(super) fn compose(
    config: &Config,
    identity: &IdentityHeaders,
    via: &Pseudonym,
    route: &RouteSettings,
    caller: Option<&Caller>,
    assertion: Option<HeaderValue>,
    incoming: &mut Incoming,
) -> Composed {
    // Moved, not copied: nobody needs them afterwards.
    let received = std::mem::replace(incoming.request.headers_mut(), HeaderMap::new());
    let provenance = Provenance {
        context: &incoming.context,
        peer: incoming.peer,
        trusted_proxies: &config.trusted_proxies,
        identity,
        identity_claims: &config.identity_headers,
        caller,
        assertion,
        tls: config.tls.is_some(),
        keep_authorization: route.forward_authorization || route.policy.is_public(),
        edits: &route.request_edits,
    };
    let mut path_and_query = rewritten(route, &incoming.path);
    if let Some(query) = incoming.request.uri().query() {
        path_and_query.push('?');
        path_and_query.push_str(query);
    }
    let mut headers = headers::outgoing(received, &provenance);
    via.add(&mut headers, incoming.request.version());
    if incoming.request.method() == Method::OPTIONS {
        headers::count_down(&mut headers);
    }
    Composed { path_and_query, headers }
}

fn rewritten(route: &RouteSettings, path: &str) -> String {
    let Some(rewrite) = &route.rewrite else { return path.to_owned() };
    let captures: Vec<(&str, &str)> = route.pattern.names().zip(route.pattern.captures(path)).collect();
    rewrite.fill(|name| {
        captures.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()).unwrap_or_default()
    })
}
