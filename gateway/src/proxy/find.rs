//! Finds the route or the page that a request is for. Answers preflight requests and `OPTIONS`.

use actix_http::{
    HttpMessage, Method, Request, Response, StatusCode,
    body::BoxBody,
    header::{ALLOW, HOST, HeaderMap, HeaderValue},
};
use chassis::problem::Problem;

use super::{accept::target, incoming::Incoming};
use crate::{
    config::Config,
    route::{Builtin, Destination},
    routing::{condition::RouteQuery, table::Lookup},
    rules::cors,
};

/// Where a request leads.
pub(crate) enum Found {
    Route(usize),
    Builtin(Builtin),
    Answer(Response<BoxBody>),
}

/// Finds where a request leads. Preflight requests are answered here, before anybody is asked who they are: browsers
/// send no token with them.
pub(crate) fn find(config: &Config, incoming: &Incoming) -> Result<Found, Problem> {
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

pub(crate) fn look_up(config: &Config, request: &Request, path: &str) -> Lookup<Destination> {
    let has_header = |name: &str, value: &str| has_once(request.headers(), name, value);
    let (method, host) = (request.method().as_str(), host(request));
    config.table.find(&RouteQuery { method, path, host, has_header: &has_header })
}

/// The same for the request that a preflight request asks about. A browser says which headers it will send, but not
/// their values.
pub(crate) fn look_up_announced(config: &Config, request: &Request, path: &str, method: &str) -> Lookup<Destination> {
    let announced = |name: &str, _: &str| cors::announces(request.headers(), name);
    config.table.find(&RouteQuery { method, path, host: host(request), has_header: &announced })
}

/// Whether a header is there exactly once, with exactly this value.
pub(crate) fn has_once(headers: &HeaderMap, name: &str, value: &str) -> bool {
    let mut fields = headers.get_all(name);
    fields.next().is_some_and(|field| field.as_bytes() == value.as_bytes()) && fields.next().is_none()
}

/// The host that is asked for. An absolute target has overridden the field before.
pub(crate) fn host(request: &Request) -> &str {
    request.headers().get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
