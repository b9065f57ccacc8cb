//! Composes the request that goes to the upstream: its path, its headers, the assertion about its caller.

use std::{borrow::Cow, mem};

use actix_http::{
    HttpMessage, Method, Request, Version,
    header::{HOST, HeaderMap, HeaderValue, TE},
    uri::PathAndQuery,
};
use chassis::{identity::IdentityHeaders, problem::Problem};

use super::{
    super::incoming::Incoming,
    assertion::assertion,
    headers::{self, ForwardContext},
};
use crate::{
    auth::caller::Caller,
    body::{trailers::Trailers, upload::Upload},
    config::Config,
    route::RouteSettings,
    rules::via::Pseudonym,
    runtime::worker::Worker,
    upstream::{handle::Upstream, settings::HostHeader, wire::client::Outgoing},
};

/// A request has about six fields, and eight are added on the way: with this capacity the map need not grow.
const USUAL_FIELDS: usize = 14;

/// The request that goes out, without its body.
pub(crate) struct Composed {
    pub(crate) path_and_query: PathAndQuery,
    pub(crate) headers: HeaderMap,
    /// Its `Host`; `None` is the address of the target.
    pub(crate) host: Option<HeaderValue>,
}

/// Composes a request that is about to be sent.
pub(crate) fn outgoing(
    worker: &Worker,
    (route, upstream): (&RouteSettings, &Upstream),
    caller: Option<&Caller>,
    incoming: &mut Incoming,
    body: Option<Upload>,
) -> Result<Outgoing, Problem> {
    let snapshot = &worker.snapshot;
    let assertion = assertion(worker, upstream, caller, incoming.client_ip)?;
    let trailers = takes_trailers(&incoming.request).then(Trailers::default);
    let composer = Composer { config: &snapshot.config, identity: &snapshot.identity, via: &snapshot.process.via };
    let Composed { path_and_query, headers, host } = composer.compose(route, caller, assertion, incoming)?;
    let method = incoming.request.method().clone();
    Ok(Outgoing {
        method,
        path_and_query,
        headers,
        host,
        body,
        head_timeout: route.timeouts.head,
        deadline: None,
        trailers,
    })
}

/// Returns whether the client takes trailers: it speaks HTTP/2, and says so (RFC 9110, section 10.1.4).
fn takes_trailers(request: &Request) -> bool {
    request.version() == Version::HTTP_2 && request.headers().get(TE).is_some_and(|te| te == "trailers")
}

/// What of the gateway goes into every request that it composes, whether it is sent or only rehearsed.
pub(crate) struct Composer<'a> {
    pub(crate) config: &'a Config,
    pub(crate) identity: &'a IdentityHeaders,
    pub(crate) via: &'a Pseudonym,
}

impl Composer<'_> {
    /// Composes the request of a caller. The headers are taken out of `incoming`.
    pub(crate) fn compose(
        &self,
        route: &RouteSettings,
        caller: Option<&Caller>,
        assertion: Option<HeaderValue>,
        incoming: &mut Incoming,
    ) -> Result<Composed, Problem> {
        // Moved, not copied: nobody needs them afterwards. The map left behind is reused by actix-http.
        let received = mem::replace(incoming.request.headers_mut(), HeaderMap::with_capacity(USUAL_FIELDS));
        let context = ForwardContext {
            context: &incoming.context,
            peer: &incoming.peer,
            trusted_proxies: &self.config.trusted_proxies,
            identity: self.identity,
            identity_claims: &self.config.identity_headers,
            caller,
            assertion,
            tls: self.config.tls.is_some(),
            keep_authorization: route.forward_authorization || route.policy.is_public(),
            is_post_processed: route.hooks.then.is_some(),
            edits: &route.request_edits,
            stripped_prefix: route.rewrite.as_ref().and_then(|rewrite| rewrite.stripped_prefix(&incoming.path)),
        };
        let host = match &route.host {
            HostHeader::Target => None,
            HostHeader::Keep => received.get(HOST).cloned(),
            HostHeader::Name(name) => Some(name.clone()),
        };
        let path_and_query = target(route, incoming)?;
        let mut headers = headers::outgoing(received, &context);
        self.via.add(&mut headers, incoming.request.version());
        if incoming.request.method() == Method::OPTIONS {
            headers::decrement_max_forwards(&mut headers);
        }
        Ok(Composed { path_and_query, headers, host })
    }
}

/// The path that was matched, rewritten where the route says so, with the query as it came.
fn target(route: &RouteSettings, incoming: &Incoming) -> Result<PathAndQuery, Problem> {
    let uri = incoming.request.uri();
    let path = match &route.rewrite {
        None => Cow::Borrowed(incoming.path.as_str()),
        Some(rewrite) => Cow::Owned(rewrite.apply(&incoming.path)),
    };
    match uri.path_and_query() {
        // The usual case, in which there is nothing to check or to copy.
        Some(unchanged) if unchanged.path() == path => Ok(unchanged.clone()),
        Some(_) | None => {
            let target = uri.query().map(|query| format!("{path}?{query}"));
            PathAndQuery::try_from(target.unwrap_or(path.into_owned())).map_err(Problem::internal)
        }
    }
}
