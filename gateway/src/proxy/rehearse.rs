//! Tells what would happen to a request, for `gateway explain`, `test` and `plan`: the same steps as in
//! [`forward`](super::forward), up to the point where something would be sent. Opens no socket, creates no key, counts
//! nothing, and runs no hooks, because a hook may do anything.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
};

use actix_http::{
    HttpMessage, Method, Request, Response, Uri,
    body::BoxBody,
    header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN},
};
use chassis::{
    identity::{Assertion, IdentityHeaders},
    problem::Problem,
    trace::RequestContext,
};

use crate::{
    auth::caller::Caller,
    config::Config,
    route::{Builtin, RouteSettings, RouteTarget},
    routing::condition::RouteQuery,
    rules::via::Pseudonym,
};

use super::{
    accept::accept,
    admit,
    answer::own::own,
    find::{self, Found},
    identify,
    incoming::Incoming,
    send::{compose::Composer, statement},
};

/// The peer of a rehearsed request.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A request that is not sent.
#[derive(Clone, Debug)]
pub(crate) struct Rehearsal {
    pub(crate) method: Method,
    pub(crate) target: Uri,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body_bytes: Option<u64>,
    /// The address of the client; `None` is [`PEER`].
    pub(crate) client: Option<IpAddr>,
}

/// Verifies the token of a rehearsed request.
pub(crate) type Verify<'a> = &'a dyn Fn(&str) -> Result<Rc<Caller>, Problem>;

/// What happened to a rehearsed request.
#[derive(Debug)]
pub(crate) struct Rehearsed {
    /// In normal form, after aliases; as it came where it has no normal form.
    pub(crate) path: String,
    /// The index of the route.
    pub(crate) route: Option<usize>,
    pub(crate) caller: Option<Rc<Caller>>,
    pub(crate) outcome: Outcome,
}

/// How a rehearsed request ends.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The gateway refuses it.
    Refused(Problem),
    /// The gateway answers `OPTIONS` itself, or the route says what the answer is.
    Answered(Response<BoxBody>),
    /// The gateway answers with a page of its own.
    Page(Builtin),
    /// It goes to an upstream.
    Forwarded(Forwarded),
}

/// The request that the upstream would get.
#[derive(Debug)]
pub(crate) struct Forwarded {
    /// The index of the upstream.
    pub(crate) upstream: usize,
    pub(crate) path_and_query: String,
    /// With a placeholder for the assertion: a real one would be a credential.
    pub(crate) headers: HeaderMap,
    /// What the upstream would be told about the caller, where it asks for an assertion.
    pub(crate) assertion: Option<Assertion>,
}

/// Rehearses a request.
pub(crate) fn rehearse(config: &Config, rehearsal: &Rehearsal, verify: Verify<'_>) -> Rehearsed {
    let request = request(rehearsal);
    let mut rehearsed = Rehearsed {
        path: request.path().to_owned(),
        route: None,
        caller: None,
        outcome: Outcome::Refused(Problem::not_found()),
    };
    rehearsed.outcome = outcome(config, request, verify, &mut rehearsed).unwrap_or_else(Outcome::Refused);
    rehearsed
}

/// Runs the steps, and records in `rehearsed` what they find out.
fn outcome(
    config: &Config,
    request: Request,
    verify: Verify<'_>,
    rehearsed: &mut Rehearsed,
) -> Result<Outcome, Problem> {
    let context = RequestContext::from_headers(request.headers());
    // A fresh pseudonym: a request that is not sent cannot be part of a loop.
    let via = Pseudonym::new();
    let mut incoming = accept(config, &via, request, &context)?;
    let found = find::find(config, &mut incoming);
    if !incoming.path.is_empty() {
        rehearsed.path.clone_from(&incoming.path);
    }
    match found? {
        Found::Answer(response) => Ok(Outcome::Answered(response)),
        Found::Builtin(page) => Ok(Outcome::Page(page)),
        Found::Route(index) => {
            rehearsed.route = Some(index);
            let route = &config.routes[index];
            admit::check_address(route, incoming.client_ip)?;
            let token = identify::required_token(route, incoming.request.headers())?;
            rehearsed.caller = token.map(verify).transpose()?;
            forward(config, &via, route, rehearsed.caller.as_deref(), &mut incoming)
        }
    }
}

fn forward(
    config: &Config,
    via: &Pseudonym,
    route: &RouteSettings,
    caller: Option<&Caller>,
    incoming: &mut Incoming,
) -> Result<Outcome, Problem> {
    identify::authorize(route, caller, &incoming.path)?;
    admit::declared_length(route, incoming.request.headers())?;
    let upstream = match &route.to {
        RouteTarget::Upstream(index) => *index,
        RouteTarget::Own(answer) => return own(answer, route, incoming).map(Outcome::Answered),
    };
    let identity = IdentityHeaders::new(config.identity_headers.iter().map(|(name, _)| name));
    let wants_assertion = config.upstreams[upstream].assertion.is_some();
    let assertion = wants_assertion.then(|| statement(caller, incoming.client_ip));
    let placeholder = wants_assertion.then(|| HeaderValue::from_static("(a signed statement about the caller)"));
    let composer = Composer { config, identity: &identity, via };
    let composed = composer.compose(route, caller, placeholder, incoming)?;
    let mut headers = composed.headers;
    if let Some(host) = composed.host {
        headers.insert(HOST, host);
    }
    Ok(Outcome::Forwarded(Forwarded {
        upstream,
        path_and_query: composed.path_and_query.to_string(),
        headers,
        assertion,
    }))
}

/// Returns status and headers of the gateway's own answer; `None` where it forwards the request.
pub(crate) fn answered(config: &Config, rehearsal: &Rehearsal, rehearsed: &Rehearsed) -> Option<(u16, HeaderMap)> {
    let mut fields = HeaderMap::new();
    let status = match &rehearsed.outcome {
        Outcome::Forwarded(_) => return None,
        // Without its final slash, the documentation page redirects to the path with it.
        Outcome::Page(Builtin::Docs) if config.builtin.docs.as_deref() == Some(&rehearsed.path) => 302,
        Outcome::Page(_) => 200,
        Outcome::Answered(response) => {
            fields = response.headers().clone();
            response.status().as_u16()
        }
        Outcome::Refused(problem) => {
            let response = problem.to_response();
            fields = response.headers().clone();
            response.status().as_u16()
        }
    };
    if let Some(cors) = rehearsed.route.and_then(|index| config.routes[index].cors.as_ref()) {
        let origin = rehearsal.headers.iter().find(|(name, _)| *name == ORIGIN).map(|(_, value)| value);
        cors.append_to(&mut fields, origin);
    }
    Some((status, fields))
}

/// Calls `look` with the query that the routing table gets for a rehearsed request.
pub(crate) fn with_query<T>(rehearsal: &Rehearsal, path: &str, look: impl FnOnce(&RouteQuery<'_>) -> T) -> T {
    let request = request(rehearsal);
    let has_header = |name: &str, value: &str| find::has_once(request.headers(), name, value);
    let host = find::host(&request);
    look(&RouteQuery { method: rehearsal.method.as_str(), path, host, has_header: &has_header })
}

fn request(rehearsal: &Rehearsal) -> Request {
    let mut request = Request::new();
    let head = request.head_mut();
    head.method = rehearsal.method.clone();
    head.uri = rehearsal.target.clone();
    head.peer_addr = Some(rehearsal.client.map_or(PEER, |client| SocketAddr::new(client, 0)));
    for (name, value) in &rehearsal.headers {
        head.headers.append(name.clone(), value.clone());
    }
    if !head.headers.contains_key(HOST) {
        head.headers.insert(HOST, HeaderValue::from_static("localhost"));
    }
    if let Some(bytes) = rehearsal.body_bytes {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    }
    request
}

/// Returns the `Authorization` header of an assumed caller, whose token is not verified.
pub(crate) fn assumed_token() -> (HeaderName, HeaderValue) {
    (AUTHORIZATION, HeaderValue::from_static("Bearer assumed"))
}

/// Returns the `Authorization` header with this token.
///
/// # Errors
/// The text is not valid in a header.
pub(crate) fn token(token: &str) -> Result<(HeaderName, HeaderValue), String> {
    let value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| "this is no token".to_owned())?;
    Ok((AUTHORIZATION, value))
}
