//! One request, in order. Each step is a call that fits on a line; what a step does stands in the module it calls.
//!
//! ```text
//! accept      request id, trace, client address
//! match       path and method  → route            400 404 405
//! identify    bearer token     → caller           400 401
//! authorize   policy × caller                     403
//! admit       rate limit, room at the upstream    429 413 503
//! send        headers, body, target, retry        502 504 408
//! answer      post-process, or stream untouched
//! ```

mod accept;
mod admit;
pub mod body;
pub mod headers;
mod hooked;
pub mod http2;
mod kept;
mod outgoing;
mod respond;
mod send;
mod total;

use std::{rc::Rc, time::Instant};

use actix_http::{HttpMessage, Payload, Request, Response, body::BoxBody};
use chassis::{
    envelope::catch_panic,
    problem::Problem,
    trace::{REQUEST_ID, RequestContext},
};

pub use accept::Incoming;
use accept::{Found, accept, find};
use admit::{admit, authorize, identify, upload};
use hooked::Hooked;
use outgoing::outgoing;
use respond::respond;
use send::{Sender, send};

use crate::{builtin, worker::Worker};

/// Answers a request, whatever happens.
pub async fn handle(worker: Rc<Worker>, mut request: Request) -> Response<BoxBody> {
    let start = Instant::now();
    let context = RequestContext::from_headers(request.headers());
    let instance = request.path().to_owned();
    let payload = request.take_payload();
    let mut label = Label::default();
    let outcome = catch_panic(forward(&worker, request, payload, &context, start, &mut label)).await;
    let mut response = match outcome.and_then(|answered| answered) {
        Ok(response) => response,
        Err(problem) => {
            problem.log(&context);
            problem.within(&context, &instance).to_response()
        }
    };
    response.headers_mut().insert(REQUEST_ID, context.request_id_header().clone());
    worker.shared.metrics.observe(&label.route, &label.upstream, response.status().as_u16(), start.elapsed());
    response
}

/// What the metrics call a request.
struct Label {
    route: String,
    upstream: String,
}

impl Default for Label {
    fn default() -> Self {
        Self { route: "unmatched".to_owned(), upstream: "none".to_owned() }
    }
}

async fn forward(
    worker: &Worker,
    request: Request,
    payload: Payload,
    context: &RequestContext,
    start: Instant,
    label: &mut Label,
) -> Result<Response<BoxBody>, Problem> {
    let mut incoming = accept(worker, request, context)?;
    let route = match find(worker, &incoming)? {
        Found::Route(index) => index,
        Found::Answer(response) => return Ok(response),
        Found::Builtin(page) => {
            label.route = "builtin".to_owned();
            return builtin::answer(worker, page, &incoming).await;
        }
    };
    let (route, limiter) = (&worker.shared.config.routes[route], worker.shared.limiters[route].as_ref());
    let upstream = &worker.shared.upstreams[route.upstream];
    *label = Label { route: route.name.clone(), upstream: upstream.name().to_owned() };

    let mut hooked = Hooked::of(worker, route, &incoming);
    let caller = identify(worker, route, &incoming, &hooked).await?;
    authorize(route, caller.as_deref())?;
    hooked.authorize(caller.as_ref()).await?;
    limiter.map_or(Ok(()), |limiter| admit(limiter, caller.as_deref(), &incoming))?;
    let upload = upload(route, incoming.request.headers(), payload)?;
    let mut permit = upstream.admit().ok_or_else(|| Problem::overloaded(1))?;
    let mut outgoing = outgoing(worker, route, upstream, caller.as_deref(), &mut incoming, upload)?;
    hooked.headers(&mut outgoing.headers).await?;
    let deadline = route.timeouts.total.map(|total| start + total);
    let from = Sender { caller: caller.as_deref(), client_ip: incoming.client_ip, deadline };
    let answer = send(worker, route, upstream, outgoing, from, &mut permit).await?;
    let response = respond(route, upstream, &incoming, &hooked, answer, permit).await?;
    Ok(total::limit(response, deadline))
}
