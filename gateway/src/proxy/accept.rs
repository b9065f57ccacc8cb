//! Takes a request in: its path in normal form, the address of its client, and the route or page that it belongs to.

use std::net::IpAddr;

use actix_http::{
    HttpMessage, Method, Request, Response, StatusCode,
    body::BoxBody,
    header::{ALLOW, HOST, HeaderMap, HeaderValue, MAX_FORWARDS},
};
use chassis::{
    problem::{Code, Problem},
    trace::RequestContext,
};

use super::{
    cors, headers,
    target::{self, Target},
    upgrade,
    via::Pseudonym,
};
use crate::{
    config::{Builtin, Config, Destination},
    connection::{Peer, Watched},
    routing::{
        condition::Asked,
        path::{self, EncodedSlash, PathError, PathOptions},
        table::Lookup,
    },
};

/// A request as it came in, with what was found out about it.
pub struct Incoming {
    pub request: Request,
    pub context: RequestContext,
    /// In normal form, after aliases.
    pub path: String,
    /// It is about the gateway itself: `OPTIONS *`, or it may be forwarded no further.
    is_for_gateway: bool,
    pub asks_for_websocket: bool,
    pub peer: Peer,
    pub client_ip: IpAddr,
}

/// The same for a request that is served and for one that is only rehearsed.
pub(super) fn accept(
    config: &Config,
    via: &Pseudonym,
    mut request: Request,
    context: &RequestContext,
) -> Result<Incoming, Problem> {
    if head_bytes(&request) > config.limits.head_bytes_max {
        return Err(Problem::new(Code::HeadTooLarge, "the request line and the headers are too large"));
    }
    let target = target::check(request.head_mut())?;
    upgrade::refuse_hidden_body(request.head())?;
    via.refuse_loop(request.headers())?;
    let peer = request.conn_data::<Watched>().map(|connection| connection.peer().clone());
    let peer = peer.unwrap_or_else(|| Peer::at(request.peer_addr()));
    let path = match target {
        Target::Resource => path(config, &request)?,
        Target::Server => String::new(),
    };
    let client_ip = headers::client_ip(peer.ip, request.headers(), &config.trusted_proxies);
    let asks_for_websocket = upgrade::asks_for_websocket(request.head());
    let is_for_gateway = target == Target::Server || is_last_hop(&request);
    Ok(Incoming { request, context: context.clone(), path, is_for_gateway, asks_for_websocket, peer, client_ip })
}

/// `Max-Forwards: 0` (RFC 9110, section 7.6.2). TRACE, the other method that has it, is never forwarded.
fn is_last_hop(request: &Request) -> bool {
    *request.method() == Method::OPTIONS && request.headers().get(MAX_FORWARDS).is_some_and(|left| left == "0")
}

/// The path in the normal form of its route.
///
/// Where there are no slashes to disagree about, there is one form. Otherwise the plain reading comes first, in which
/// all slashes separate: what a route without options claims in it, no other route gets. A route that keeps slashes
/// gets the path as it keeps them, and only if it still is the one that matches: it sees the bytes that are matched.
fn path(config: &Config, request: &Request) -> Result<String, Problem> {
    let raw = request.path();
    let normal = |options| path::normalize_with(raw, options).map(|normal| aliased(&normal, &config.aliases));
    let bad = |error: PathError| Problem::new(Code::BadRequest, error.detail());
    if !path::has_disputed_slashes(raw) {
        return normal(PathOptions::default()).map_err(bad);
    }
    let preflight = cors::asked_method(request.method(), request.headers());
    let found = |path: &str| match preflight {
        Some(method) => look_up_announced(config, request, path, method),
        None => look_up(config, request, path),
    };
    let options_of = |path: &str| match found(path) {
        Lookup::Found(Destination::Route(index)) => Some(config.routes[index].path),
        Lookup::Found(Destination::Builtin(_)) => Some(PathOptions::default()),
        Lookup::OtherMethods(_) | Lookup::Unknown => None,
    };
    let plain = normal(PathOptions { encoded_slash: EncodedSlash::Decode, merge_slashes: true }).map_err(bad)?;
    if options_of(&plain) != Some(PathOptions::default()) {
        for options in PathOptions::LENIENT {
            let Ok(kept) = normal(options) else { continue };
            if options_of(&kept) == Some(options) {
                return Ok(kept);
            }
        }
    }
    normal(PathOptions::default()).map_err(bad)
}

/// What the head of the request took on the wire, about.
fn head_bytes(request: &Request) -> usize {
    // `: ` and the end of the line.
    const AROUND: usize = 4;
    let line = request.uri().path_and_query().map_or(1, |target| target.as_str().len());
    request.headers().iter().fold(line, |sum, (name, value)| sum + name.as_str().len() + value.len() + AROUND)
}

fn aliased(path: &str, aliases: &[(String, String)]) -> String {
    for (prefix, stands_for) in aliases {
        if let Some(rest) = path.strip_prefix(prefix.as_str())
            && (rest.is_empty() || rest.starts_with('/'))
        {
            return format!("{stands_for}{rest}");
        }
    }
    path.to_owned()
}

/// Where a request leads.
pub(super) enum Found {
    Route(usize),
    Builtin(Builtin),
    Answer(Response<BoxBody>),
}

/// Finds where a request leads. Preflight requests are answered here, before anybody is asked who they are: browsers
/// send no token with them.
pub(super) fn find(config: &Config, incoming: &Incoming) -> Result<Found, Problem> {
    let request = &incoming.request;
    if incoming.is_for_gateway {
        return Ok(Found::Answer(allowed(target::METHODS)?));
    }
    if let Some(response) = preflight(config, incoming) {
        return Ok(Found::Answer(response));
    }
    match look_up(config, request, &incoming.path) {
        Lookup::Found(Destination::Route(index)) => Ok(Found::Route(index)),
        Lookup::Found(Destination::Builtin(page)) => Ok(Found::Builtin(page)),
        Lookup::OtherMethods(allow) if *request.method() == Method::OPTIONS => Ok(Found::Answer(allowed(&allow)?)),
        Lookup::OtherMethods(allow) => Err(Problem::method_not_allowed(&allow)),
        Lookup::Unknown => Err(Problem::not_found()),
    }
}

/// The answer to OPTIONS.
fn allowed(methods: &str) -> Result<Response<BoxBody>, Problem> {
    let mut response = Response::with_body(StatusCode::NO_CONTENT, BoxBody::new(()));
    let allow = HeaderValue::try_from(methods).map_err(Problem::internal)?;
    response.headers_mut().insert(ALLOW, allow);
    Ok(response)
}

fn preflight(config: &Config, incoming: &Incoming) -> Option<Response<BoxBody>> {
    let (request, headers) = (&incoming.request, incoming.request.headers());
    let method = cors::asked_method(request.method(), headers)?;
    match look_up_announced(config, request, &incoming.path, method) {
        Lookup::Found(Destination::Route(index)) => {
            config.routes[index].cors.as_ref().map(|cors| cors.preflight(headers, method))
        }
        Lookup::Found(Destination::Builtin(_)) | Lookup::OtherMethods(_) | Lookup::Unknown => None,
    }
}

fn look_up(config: &Config, request: &Request, path: &str) -> Lookup<Destination> {
    let has_header = |name: &str, value: &str| has_once(request.headers(), name, value);
    let (method, host) = (request.method().as_str(), host(request));
    config.table.find(&Asked { method, path, host, has_header: &has_header })
}

/// The same for the request that a preflight request asks about. A browser says which headers it will send, but not
/// their values.
fn look_up_announced(config: &Config, request: &Request, path: &str, method: &str) -> Lookup<Destination> {
    let announced = |name: &str, _: &str| cors::announces(request.headers(), name);
    config.table.find(&Asked { method, path, host: host(request), has_header: &announced })
}

/// Whether a header is there exactly once, with exactly this value.
pub(super) fn has_once(headers: &HeaderMap, name: &str, value: &str) -> bool {
    let mut fields = headers.get_all(name);
    fields.next().is_some_and(|field| field.as_bytes() == value.as_bytes()) && fields.next().is_none()
}

/// The host that is asked for. An absolute target has overridden the field before.
pub(super) fn host(request: &Request) -> &str {
    request.headers().get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
