//! Makes the request that goes to the upstream: its path, its headers, the statement about its caller.

use actix_http::{Method, header::HeaderMap};
use chassis::problem::Problem;

use super::{
    Incoming,
    assertion::assertion,
    body::Upload,
    headers::{self, Provenance},
};
use crate::{
    auth::verifier::Caller,
    config::RouteSettings,
    upstream::{Upstream, client::Outgoing},
    worker::Worker,
};

pub(super) fn outgoing(
    worker: &Worker,
    route: &RouteSettings,
    upstream: &Upstream,
    caller: Option<&Caller>,
    incoming: &mut Incoming,
    body: Option<Upload>,
) -> Result<Outgoing, Problem> {
    let config = &worker.shared.config;
    let assertion = assertion(worker, upstream, caller, incoming.client_ip)?;
    // Moved, not copied: nobody needs them afterwards.
    let received = std::mem::replace(incoming.request.headers_mut(), HeaderMap::new());
    let provenance = Provenance {
        context: &incoming.context,
        peer: incoming.peer,
        trusted_proxies: &config.trusted_proxies,
        identity: &worker.shared.identity,
        identity_claims: &config.identity_headers,
        caller,
        assertion,
        tls: config.tls.is_some(),
        keep_authorization: route.forward_authorization || route.policy.is_public(),
    };
    let mut path_and_query = rewritten(route, &incoming.path);
    if let Some(query) = incoming.request.uri().query() {
        path_and_query.push('?');
        path_and_query.push_str(query);
    }
    let mut headers = headers::outgoing(received, &provenance);
    worker.shared.process.via.add(&mut headers, incoming.request.version());
    if incoming.request.method() == Method::OPTIONS {
        headers::count_down(&mut headers);
    }
    Ok(Outgoing {
        method: incoming.request.method().clone(),
        path_and_query,
        headers,
        body,
        head_timeout: route.timeouts.head,
    })
}

fn rewritten(route: &RouteSettings, path: &str) -> String {
    let Some(rewrite) = &route.rewrite else { return path.to_owned() };
    let captures: Vec<(&str, &str)> = route.pattern.names().zip(route.pattern.captures(path)).collect();
    rewrite.fill(|name| {
        captures.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()).unwrap_or_default()
    })
}
