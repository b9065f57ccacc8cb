//! Finds the route or the page that a request is for. Answers preflight requests and `OPTIONS`.
//!
//! The tricky part is the path. It is brought into normal form once, and the same bytes are matched and forwarded, so that no
//! upstream can read another path than the one whose policy was applied. Routes may ask for another normal form (slashes
//! kept); see [`look_up_any_form`].

use actix_http::{
    HttpMessage, Method, Request, Response, StatusCode,
    body::BoxBody,
    header::{ALLOW, HOST, HeaderMap, HeaderValue},
};
use chassis::problem::{Code, Problem};

use super::{accept::target, incoming::Incoming};
use crate::{
    config::Config,
    route::{Builtin, Destination},
    routing::{
        condition::RouteQuery,
        path::{self, EncodedSlash, PathError, PathOptions},
        table::Lookup,
    },
    rules::cors,
};

/// Where a request leads.
pub(super) enum Found {
    /// The route at this index.
    Route(usize),
    Builtin(Builtin),
    /// The gateway answers `OPTIONS` itself.
    Answer(Response<BoxBody>),
}

/// Finds where a request leads, and sets its path in normal form. A usual request is looked up once.
///
/// Preflight requests are answered here, before authentication: browsers send no token with them.
///
/// # Errors
/// 400 where the path has no normal form, 404, and 405 with the methods that the path has.
pub(super) fn find(config: &Config, incoming: &mut Incoming) -> Result<Found, Problem> {
    if incoming.is_for_server {
        return Ok(Found::Answer(allowed(target::METHODS)?));
    }
    let request = &incoming.request;
    let announced_method = cors::announced_method(request.method(), request.headers());
    let (path, lookup) = match announced_method {
        None => look_up_any_form(config, request, |path| look_up(config, request, path))?,
        Some(method) => {
            let (path, announced) =
                look_up_any_form(config, request, |path| look_up_announced(config, request, path, method))?;
            if let Lookup::Found(Destination::Route(index)) = announced
                && let Some(cors) = &config.routes[index].cors
                && !incoming.is_last_hop
            {
                return Ok(Found::Answer(cors.preflight(request.headers(), method)));
            }
            let lookup = look_up(config, request, &path);
            (path, lookup)
        }
    };
    let method = request.method().clone();
    incoming.path = path;
    if incoming.is_last_hop {
        return Ok(Found::Answer(allowed(target::METHODS)?));
    }
    match lookup {
        Lookup::Found(Destination::Route(index)) => Ok(Found::Route(index)),
        Lookup::Found(Destination::Builtin(page)) => Ok(Found::Builtin(page)),
        Lookup::OtherMethods(allow) if method == Method::OPTIONS => Ok(Found::Answer(allowed(&allow)?)),
        Lookup::OtherMethods(allow) => Err(Problem::method_not_allowed(&allow)),
        Lookup::Unknown => Err(Problem::not_found()),
    }
}

/// Looks up a path in the normal form of its route, and returns both.
///
/// A path without disputed slashes has one normal form. Otherwise the plain reading is tried first, in which every slash
/// separates: what a route without options claims in it, no other route gets. A route that keeps slashes gets the path in its
/// own form, and only where that form still leads to the same route: it sees the bytes that are matched.
fn look_up_any_form(
    config: &Config,
    request: &Request,
    look_up: impl Fn(&str) -> Lookup<Destination>,
) -> Result<(String, Lookup<Destination>), Problem> {
    let raw = request.path();
    let normal = |options| path::normalize_with(raw, options).map(|normal| aliased(&normal, &config.aliases));
    let bad = |error: PathError| Problem::new(Code::BadRequest, error.detail());
    if path::has_disputed_slashes(raw) {
        let plain = normal(PathOptions { encoded_slash: EncodedSlash::Decode, merge_slashes: true }).map_err(bad)?;
        if options_of(config, &look_up(&plain)) != Some(PathOptions::default()) {
            for options in PathOptions::LENIENT {
                let Ok(kept) = normal(options) else { continue };
                let lookup = look_up(&kept);
                if options_of(config, &lookup) == Some(options) {
                    return Ok((kept, lookup));
                }
            }
        }
    }
    let path = normal(PathOptions::default()).map_err(bad)?;
    let lookup = look_up(&path);
    Ok((path, lookup))
}

fn options_of(config: &Config, lookup: &Lookup<Destination>) -> Option<PathOptions> {
    match lookup {
        Lookup::Found(Destination::Route(index)) => Some(config.routes[*index].path),
        Lookup::Found(Destination::Builtin(_)) => Some(PathOptions::default()),
        Lookup::OtherMethods(_) | Lookup::Unknown => None,
    }
}

fn aliased(path: &str, aliases: &[(String, String)]) -> String {
    for (prefix, replacement) in aliases {
        if let Some(rest) = path.strip_prefix(prefix.as_str())
            && (rest.is_empty() || rest.starts_with('/'))
        {
            return format!("{replacement}{rest}");
        }
    }
    path.to_owned()
}

/// Answers OPTIONS with the methods that are allowed.
fn allowed(methods: &str) -> Result<Response<BoxBody>, Problem> {
    let mut response = Response::with_body(StatusCode::NO_CONTENT, BoxBody::new(()));
    let allow = HeaderValue::try_from(methods).map_err(Problem::internal)?;
    response.headers_mut().insert(ALLOW, allow);
    Ok(response)
}

fn look_up(config: &Config, request: &Request, path: &str) -> Lookup<Destination> {
    let has_header = |name: &str, value: &str| has_once(request.headers(), name, value);
    let (method, host) = (request.method().as_str(), host(request));
    config.table.find(&RouteQuery { method, path, host, has_header: &has_header })
}

/// Looks up the request that a preflight request announces. It names the headers that the browser will send, but not their
/// values.
pub(crate) fn look_up_announced(config: &Config, request: &Request, path: &str, method: &str) -> Lookup<Destination> {
    let announced = |name: &str, _: &str| cors::announces(request.headers(), name);
    config.table.find(&RouteQuery { method, path, host: host(request), has_header: &announced })
}

/// Whether a header was sent exactly once, with exactly this value.
pub(crate) fn has_once(headers: &HeaderMap, name: &str, value: &str) -> bool {
    let mut fields = headers.get_all(name);
    fields.next().is_some_and(|field| field.as_bytes() == value.as_bytes()) && fields.next().is_none()
}

/// Returns the host of the request. An absolute target has replaced the field already ([`target::check`]).
pub(crate) fn host(request: &Request) -> &str {
    request.headers().get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
