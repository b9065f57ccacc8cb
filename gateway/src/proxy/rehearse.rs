//! What would become of a request: the same steps as in [`super::forward::handle`], up to the moment at which something would be
//! sent. Opens no socket, makes no key, counts nothing, and runs no hooks, which may do anything.

use std::{net::SocketAddr, rc::Rc};

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
    route::{Builtin, RouteSettings},
    routing::condition::RouteQuery,
    rules::via::Pseudonym,
};

pub(crate) use super::{
    accept, admit, find,
    find::Found,
    identify,
    incoming::Incoming,
    send::{assertion::statement, compose::compose},
};

/// Where a rehearsed request seems to come from.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A request that is not sent.
#[derive(Clone, Debug)]
pub(crate) struct Rehearsal {
    pub(crate) method: Method,
    pub(crate) target: Uri,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body_bytes: Option<u64>,
}

/// Verifies the token of a rehearsed request.
pub(crate) type Verify<'a> = &'a dyn Fn(&str) -> Result<Rc<Caller>, Problem>;

/// What became of it.
#[derive(Debug)]
pub(crate) struct Rehearsed {
    /// In normal form, after aliases; the path as it came where it has no normal form.
    pub(crate) path: String,
    /// The index of the route.
    pub(crate) route: Option<usize>,
    pub(crate) caller: Option<Rc<Caller>>,
    pub(crate) outcome: Outcome,
}

/// How it ends.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The gateway refuses it.
    Refused(Problem),
    /// The gateway answers `OPTIONS` itself.
    Answered(Response<BoxBody>),
    /// The gateway answers with a page of its own.
    Page(Builtin),
    /// It goes to an upstream.
    Forwarded(Forwarded),
}

/// A request as its upstream would get it.
#[derive(Debug)]
pub(crate) struct Forwarded {
    /// The index of the upstream.
    pub(crate) upstream: usize,
    pub(crate) path_and_query: String,
    /// With a stand-in for the assertion: a real one would be a credential.
    pub(crate) headers: HeaderMap,
    /// What the upstream would be told about the caller, if it asks for that.
    pub(crate) assertion: Option<Assertion>,
}

/// Rehearses a request.
pub(crate) fn rehearse(config: &Config, rehearsal: &Rehearsal, verify: Verify<'_>) -> Rehearsed {
    let request = request(rehearsal);
    let path = request.path().to_owned();
    let context = RequestContext::from_headers(request.headers());
    // One of its own: no loop leads through a request that is not sent.
    let via = Pseudonym::new();
    let mut incoming = match accept::accept(config, &via, request, &context) {
        Ok(incoming) => incoming,
        Err(problem) => return Rehearsed { path, route: None, caller: None, outcome: Outcome::Refused(problem) },
    };
    let mut rehearsed =
        Rehearsed { path: incoming.path.clone(), route: None, caller: None, outcome: Outcome::Page(Builtin::Live) };
    rehearsed.outcome = match find::find(config, &incoming) {
        Ok(Found::Answer(response)) => Outcome::Answered(response),
        Ok(Found::Builtin(page)) => Outcome::Page(page),
        Ok(Found::Route(index)) => {
            rehearsed.route = Some(index);
            let route = &config.routes[index];
            let forwarded = forward(config, &via, route, &mut incoming, verify, &mut rehearsed.caller);
            forwarded.map_or_else(Outcome::Refused, Outcome::Forwarded)
        }
        Err(problem) => Outcome::Refused(problem),
    };
    rehearsed
}

fn forward(
    config: &Config,
    via: &Pseudonym,
    route: &RouteSettings,
    incoming: &mut Incoming,
    verify: Verify<'_>,
    caller: &mut Option<Rc<Caller>>,
) -> Result<Forwarded, Problem> {
    let token = identify::wanted_token(route, incoming.request.headers())?;
    *caller = token.map(verify).transpose()?;
    identify::authorize(route, caller.as_deref())?;
    admit::fits(route, incoming.request.headers())?;
    let identity = IdentityHeaders::new(config.identity_headers.iter().map(|(name, _)| name));
    let asks = config.upstreams[route.upstream].assertion.is_some();
    let assertion = asks.then(|| statement(caller.as_deref(), incoming.client_ip));
    let stand_in = asks.then(|| HeaderValue::from_static("(a signed statement about the caller)"));
    let composed = compose(config, &identity, via, route, caller.as_deref(), stand_in, incoming)?;
    Ok(Forwarded {
        upstream: route.upstream,
        path_and_query: composed.path_and_query.to_string(),
        headers: composed.headers,
        assertion,
    })
}

/// The headers of the gateway's own answer; `None` where it does not answer itself.
pub(crate) fn answered(config: &Config, rehearsal: &Rehearsal, rehearsed: &Rehearsed) -> Option<(u16, HeaderMap)> {
    let mut fields = HeaderMap::new();
    let status = match &rehearsed.outcome {
        Outcome::Forwarded(_) => return None,
        // Without its last slash, the documentation leads to the address with it.
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
        cors.mark(&mut fields, origin);
    }
    Some((status, fields))
}

/// TickLimits at a rehearsed request as the table does.
pub(crate) fn with_asked<T>(rehearsal: &Rehearsal, path: &str, look: impl FnOnce(&RouteQuery<'_>) -> T) -> T {
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
    head.peer_addr = Some(PEER);
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

/// The header of a caller who is only supposed.
pub(crate) fn supposed_token() -> (HeaderName, HeaderValue) {
    (AUTHORIZATION, HeaderValue::from_static("Bearer supposed"))
}

/// The header of a caller with this token.
///
/// # Errors
/// No header can have this text.
pub(crate) fn token(token: &str) -> Result<(HeaderName, HeaderValue), String> {
    let value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| "this is no token".to_owned())?;
    Ok((AUTHORIZATION, value))
}
