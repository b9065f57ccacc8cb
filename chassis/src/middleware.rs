//! The middleware around every endpoint of a service: request id, caller, panics, problems, metrics. Knows no endpoint.
//!
//! The tricky part is that a failure arrives in three forms: a handler's [`Problem`], an error of actix or of a library
//! that is only a status, and a panic. All of them leave as a problem with the request in it, and are logged once.

use std::{any::Any, future::Future, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use actix_http::{Method, StatusCode, body::BoxBody, header::HOST};
use actix_web::{
    HttpMessage, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web,
};
use futures_util::FutureExt;
use prometheus_client::registry::Registry;

use crate::{
    health::Health,
    identity::AssertionVerifier,
    metrics::HttpMetrics,
    problem::Problem,
    trace::{REQUEST_ID, RequestContext},
};

/// Paths that are answered without an assertion: they show nothing about any user.
const PUBLIC_PATHS: [&str; 4] = ["/health/live", "/health/ready", "/metrics", "/openapi.json"];

/// What all endpoints of a service share.
#[derive(Clone)]
pub struct ServiceContext {
    pub health: Health,
    pub registry: Arc<Registry>,
    pub http_metrics: HttpMetrics,
    /// Verifies that requests came through the gateway; `None` for listeners that are not behind it.
    pub verifier: Option<Arc<AssertionVerifier>>,
    /// Refuses requests by their `Host`; `None` for listeners that no browser can reach.
    pub check_host: Option<Arc<HostCheck>>,
}

/// Decides whether a listener answers requests with this `Host`.
pub type HostCheck = dyn Fn(&str) -> Result<(), Problem> + Send + Sync;

/// Handles one request.
///
/// # Errors
/// A problem for which there is no response to put it into; actix answers with it.
pub(crate) async fn handle(
    service: web::Data<ServiceContext>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let start = Instant::now();
    let context = RequestContext::from_headers(request.headers());
    let method = request.method().clone();
    let path = request.path().to_owned();
    request.extensions_mut().insert(context.clone());

    let answered = match check_host(&service, &request).and_then(|()| identify(&service, &request)) {
        Err(problem) => Err(problem),
        Ok(()) => match catch_panic(next.call(request)).await {
            Ok(Ok(response)) => Ok(response.map_into_boxed_body()),
            Ok(Err(error)) => Err(error
                .as_error::<Problem>()
                .map_or_else(|| Problem::from_status(error.as_response_error().status_code()), Problem::without_cause)),
            Err(problem) => Err(problem),
        },
    };
    match answered {
        Ok(response) => {
            let route = response.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
            let response = finish(response, &context, &path);
            service.http_metrics.observe(method.as_str(), &route, response.status().as_u16(), start.elapsed());
            Ok(response)
        }
        // The request was consumed by what failed, so that there is no response to put the problem into: actix makes one
        // from the error.
        Err(problem) => {
            problem.log(&context);
            service.http_metrics.observe(method.as_str(), "refused", problem.status().as_u16(), start.elapsed());
            Err(problem.for_request(&context, &path).into())
        }
    }
}

/// A request without `Host` passes: no browser sends one.
fn check_host(service: &ServiceContext, request: &ServiceRequest) -> Result<(), Problem> {
    let Some(check) = &service.check_host else { return Ok(()) };
    request.headers().get_all(HOST).try_for_each(|host| check(host.to_str().unwrap_or_default()))
}

fn identify(service: &ServiceContext, request: &ServiceRequest) -> Result<(), Problem> {
    let Some(verifier) = &service.verifier else { return Ok(()) };
    if PUBLIC_PATHS.contains(&request.path()) {
        return Ok(());
    }
    let assertion = verifier.verify(request.headers())?;
    request.extensions_mut().insert(assertion);
    Ok(())
}

/// Turns an error into a problem of this request, and adds the request id to every answer.
fn finish(response: ServiceResponse<BoxBody>, context: &RequestContext, path: &str) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let own = response.response().error().and_then(|error| error.as_error::<Problem>());
    let problem = match own {
        Some(problem) => Some(problem.without_cause()),
        None if is_bare_error(status, &response) => Some(Problem::from_status(status)),
        None => None,
    };
    let mut response = match problem {
        None => response,
        Some(problem) => {
            own.unwrap_or(&problem).log(context);
            let answer: HttpResponse = problem.for_request(context, path).to_response().into();
            response.into_response(answer)
        }
    };
    response.headers_mut().insert(REQUEST_ID, context.request_id_header().clone());
    response
}

/// Whether a library answered an error status without a problem in the body.
fn is_bare_error(status: StatusCode, response: &ServiceResponse<BoxBody>) -> bool {
    (status.is_client_error() || status.is_server_error())
        && response.headers().get("content-type").is_none_or(|value| value != "application/problem+json")
}

/// Runs a handler, and turns a panic into a problem. Actix would let it end the connection and the worker.
///
/// # Errors
/// `internal`, with the message of the panic for the log.
pub async fn catch_panic<T>(handler: impl Future<Output = T>) -> Result<T, Problem> {
    AssertUnwindSafe(handler)
        .catch_unwind()
        .await
        .map_err(|panic| Problem::internal(format!("a handler panicked: {}", panic_message(panic.as_ref()))))
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Answers the methods that a resource does not have: OPTIONS with 204 and `Allow`, all others with 405 and `Allow`.
pub fn other_methods(allow: &'static str) -> actix_web::Route {
    web::route().to(move |method: Method| async move {
        if method == Method::OPTIONS {
            Ok(HttpResponse::NoContent().insert_header(("allow", allow)).finish())
        } else {
            Err(Problem::method_not_allowed(allow))
        }
    })
}
