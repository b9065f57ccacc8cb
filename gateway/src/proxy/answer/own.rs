//! Makes the answer of a route that has no upstream: the configured one, or a redirect.

use actix_http::{
    Response,
    body::BoxBody,
    header::{HeaderValue, LOCATION},
};
use chassis::problem::{Code, Problem};

use super::super::{find, incoming::Incoming};
use crate::{
    route::{OwnAnswer, RouteSettings},
    routing::redirect::Redirect,
};

/// Makes the answer to a request.
///
/// # Errors
/// 400 where a redirect needs the `Host` of the request, which has none.
pub(crate) fn own(
    answer: &OwnAnswer,
    route: &RouteSettings,
    incoming: &Incoming,
) -> Result<Response<BoxBody>, Problem> {
    let mut response = match answer {
        OwnAnswer::Respond(fixed) => fixed.to_response(),
        OwnAnswer::Redirect(redirect) => to_location(redirect, incoming)?,
    };
    route.response_edits.apply(response.headers_mut());
    Ok(response)
}

fn to_location(redirect: &Redirect, incoming: &Incoming) -> Result<Response<BoxBody>, Problem> {
    let request = &incoming.request;
    let location = redirect.location(&incoming.path, request.uri().query(), find::host(request));
    let location = location.map_err(|_| Problem::new(Code::BadRequest, "the request names no host to redirect to"))?;
    let mut response = Response::with_body(redirect.status, BoxBody::new(()));
    response.headers_mut().insert(LOCATION, HeaderValue::try_from(location).map_err(Problem::internal)?);
    Ok(response)
}
