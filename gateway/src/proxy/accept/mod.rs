//! Takes a request in: its path in normal form, the address of its client, and the route or page that it belongs to.

mod client_ip;
pub(crate) mod http2;
pub(crate) mod target;
pub(crate) mod upgrade;

use actix_http::{HttpMessage, Method, Request, header::MAX_FORWARDS};
use chassis::{
    problem::{Code, Problem},
    trace::RequestContext,
};

use super::{
    find::{look_up, look_up_announced},
    incoming::Incoming,
};
use crate::{
    config::Config,
    connection::{ClientStream, Peer},
    route::Destination,
    routing::{
        path::{self, EncodedSlash, PathError, PathOptions},
        table::Lookup,
    },
    rules::{cors, via::Pseudonym},
};
use target::Target;

/// The same for a request that is served and for one that is only rehearsed.
pub(crate) fn accept(
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
    let peer = request.conn_data::<ClientStream>().map(|connection| connection.peer().clone());
    let peer = peer.unwrap_or_else(|| Peer::at(request.peer_addr()));
    let path = match target {
        Target::Resource => path(config, &request)?,
        Target::Server => String::new(),
    };
    let client_ip = client_ip::client_ip(peer.ip, request.headers(), &config.trusted_proxies);
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
