//! Takes a request in: checks what HTTP and the gateway demand of every request, and finds out where it comes from. The same
//! for a request that is served and for one that is only rehearsed.

mod client_ip;
pub(super) mod target;
mod upgrade;

use actix_http::{HttpMessage, Method, Request, header::MAX_FORWARDS};
use chassis::{
    problem::{Code, Problem},
    trace::RequestContext,
};

use self::target::Target;
use super::incoming::Incoming;
use crate::{
    config::Config,
    connection::{ClientStream, Peer},
    rules::via::Pseudonym,
};

/// Takes a request in.
///
/// # Errors
/// 400 for what is malformed, 405 for CONNECT and TRACE, 431 where the head is too large, 508 where the request has been
/// here before.
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
    let peer = ClientStream::of(&request).map(|connection| connection.peer().clone());
    let peer = peer.unwrap_or_else(|| Peer::new(request.peer_addr()));
    Ok(Incoming {
        context: context.clone(),
        path: String::new(),
        is_for_server: target == Target::Server,
        is_last_hop: is_last_hop(&request),
        asks_for_websocket: upgrade::asks_for_websocket(request.head()),
        client_ip: client_ip::client_ip(peer.ip, request.headers(), &config.trusted_proxies),
        peer,
        request,
    })
}

/// `Max-Forwards: 0` (RFC 9110, section 7.6.2). TRACE, the other method that has it, is never forwarded.
fn is_last_hop(request: &Request) -> bool {
    *request.method() == Method::OPTIONS && request.headers().get(MAX_FORWARDS).is_some_and(|left| left == "0")
}

/// The approximate size of the head on the wire.
fn head_bytes(request: &Request) -> usize {
    // `: ` and the end of the line.
    const PER_FIELD: usize = 4;
    let line = request.uri().path_and_query().map_or(1, |target| target.as_str().len());
    request.headers().iter().fold(line, |sum, (name, value)| sum + name.as_str().len() + value.len() + PER_FIELD)
}
