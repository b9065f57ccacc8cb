//! Takes a request in: its path in normal form, the address of its client, and the route or page that it belongs to.

use std::net::{IpAddr, Ipv4Addr};

use actix_http::{
    HttpMessage, Method, Request, Response, StatusCode,
    body::BoxBody,
    header::{ALLOW, HeaderValue},
};
use chassis::{
    problem::{Code, Problem},
    trace::RequestContext,
};

use super::headers;
use crate::{
    config::{Builtin, Destination},
    routing::{path, table::Lookup},
    worker::Worker,
};

/// A request as it came in, with what was found out about it.
pub struct Incoming {
    pub request: Request,
    pub context: RequestContext,
    /// In normal form, after aliases.
    pub path: String,
    pub peer: IpAddr,
    pub client_ip: IpAddr,
}

pub(super) fn accept(worker: &Worker, request: Request, context: &RequestContext) -> Result<Incoming, Problem> {
    let config = &worker.shared.config;
    if head_bytes(&request) > config.limits.head_bytes_max {
        return Err(Problem::new(Code::HeadTooLarge, "the request line and the headers are too large"));
    }
    // A peer without an address is none that could be trusted.
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |addr| addr.ip());
    let normal = path::normalize(request.path()).map_err(|error| Problem::new(Code::BadRequest, error.detail()))?;
    let path = aliased(&normal, &config.aliases);
    let client_ip = headers::client_ip(peer, request.headers(), &config.trusted_proxies);
    Ok(Incoming { request, context: context.clone(), path, peer, client_ip })
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
    match worker.shared.config.table.find(&incoming.path, method.as_str()) {
        Lookup::Found(Destination::Route(index)) => Ok(Found::Route(index)),
        Lookup::Found(Destination::Builtin(page)) => Ok(Found::Builtin(page)),
        Lookup::OtherMethods(allow) if *method == Method::OPTIONS => {
            let mut response = Response::with_body(StatusCode::NO_CONTENT, BoxBody::new(()));
            let allow = HeaderValue::try_from(allow).map_err(Problem::internal)?;
            response.headers_mut().insert(ALLOW, allow);
            Ok(Found::Answer(response))
        }
        Lookup::OtherMethods(allow) => Err(Problem::method_not_allowed(&allow)),
        Lookup::Unknown => Err(Problem::not_found()),
    }
}
