//! Takes a request in: its path in normal form, the address of its client, and the route or page that it belongs to.

use std::net::{IpAddr, Ipv4Addr};

use actix_http::{
    HttpMessage, Method, Request, Response, StatusCode,
    body::BoxBody,
    header::{ALLOW, HeaderValue, MAX_FORWARDS},
};
use chassis::{
    problem::{Code, Problem},
    trace::RequestContext,
};

use super::{
    headers,
    target::{self, Target},
    upgrade,
};
use crate::{
    config::{Builtin, Destination},
    routing::{
        path::{self, EncodedSlash, PathError, PathOptions},
        table::Lookup,
    },
    worker::Worker,
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
    pub peer: IpAddr,
    pub client_ip: IpAddr,
}

pub(super) fn accept(worker: &Worker, mut request: Request, context: &RequestContext) -> Result<Incoming, Problem> {
    let shared = &worker.shared;
    if head_bytes(&request) > shared.config.limits.head_bytes_max {
        return Err(Problem::new(Code::HeadTooLarge, "the request line and the headers are too large"));
    }
    let target = target::check(request.head_mut())?;
    upgrade::refuse_hidden_body(request.head())?;
    shared.process.via.refuse_loop(request.headers())?;
    // A peer without an address is none that could be trusted.
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |addr| addr.ip());
    let path = match target {
        Target::Resource => path(worker, &request)?,
        Target::Server => String::new(),
    };
    let client_ip = headers::client_ip(peer, request.headers(), &shared.config.trusted_proxies);
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
fn path(worker: &Worker, request: &Request) -> Result<String, Problem> {
    let (raw, config) = (request.path(), &worker.shared.config);
    let normal = |options| path::normalize_with(raw, options).map(|normal| aliased(&normal, &config.aliases));
    let bad = |error: PathError| Problem::new(Code::BadRequest, error.detail());
    if !path::has_disputed_slashes(raw) {
        return normal(PathOptions::default()).map_err(bad);
    }
    let options_of = |path: &str| match config.table.find(path, request.method().as_str()) {
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

pub(super) fn find(worker: &Worker, incoming: &Incoming) -> Result<Found, Problem> {
    let method = incoming.request.method();
    if incoming.is_for_gateway {
        return Ok(Found::Answer(allowed(target::METHODS)?));
    }
    match worker.shared.config.table.find(&incoming.path, method.as_str()) {
        Lookup::Found(Destination::Route(index)) => Ok(Found::Route(index)),
        Lookup::Found(Destination::Builtin(page)) => Ok(Found::Builtin(page)),
        Lookup::OtherMethods(allow) if *method == Method::OPTIONS => Ok(Found::Answer(allowed(&allow)?)),
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
