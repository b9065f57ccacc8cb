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

use std::rc::Rc;

use actix_http::{ConnectionType, HttpMessage, Payload, Request, Response, body::BoxBody};
use chassis::{envelope::catch_panic, problem::Problem, trace::REQUEST_ID};

use super::{
    accept::accept,
    admit::{admit, upload},
    answer::{deadline, respond::respond},
    exchange::{CountedBody, Exchange},
    find::{Found, find},
    hook_calls::HookCalls,
    identify::{authorize, identify},
    send::{
        attempts::{Sender, send},
        compose::outgoing,
        upgrade,
    },
};
use crate::{body::upload::Upload, pages, runtime::worker::Worker};

/// Answers a request, whatever happens.
pub(crate) async fn handle(worker: Rc<Worker>, mut request: Request) -> Response<CountedBody> {
    let payload = request.take_payload();
    let mut exchange = Exchange::begin(&worker, &request, !matches!(payload, Payload::None));
    let outcome = catch_panic(forward(&worker, request, payload, &mut exchange)).await;
    let mut response = match outcome.and_then(|answered| answered) {
        Ok(response) => response,
        Err(problem) => {
            problem.log(&exchange.context);
            exchange.refused(&problem);
            problem.within(&exchange.context, &exchange.path).to_response()
        }
    };
    if let Some(cors) = exchange.cors() {
        // Refusals too, so that a page can read why.
        cors.mark(response.headers_mut(), exchange.origin.as_ref());
    }
    response.headers_mut().insert(REQUEST_ID, exchange.context.request_id_header().clone());
    if worker.snapshot.process.health.is_draining() {
        // So that clients go elsewhere before their connection is closed, and not because it was (RFC 9112, section 9.6).
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    exchange.answered(response)
}

async fn forward(
    worker: &Worker,
    request: Request,
    payload: Payload,
    exchange: &mut Exchange,
) -> Result<Response<BoxBody>, Problem> {
    let mut incoming = accept(&worker.snapshot.config, &worker.snapshot.process.via, request, &exchange.context)?;
    exchange.client_ip = Some(incoming.client_ip);
    let route = match find(&worker.snapshot.config, &incoming)? {
        Found::Route(index) => index,
        Found::Answer(response) => return Ok(response),
        Found::Builtin(page) => {
            exchange.builtin();
            // Boxed, like the upgrade below, so that the future of the usual request stays small: it is moved.
            return Box::pin(pages::answer(worker, page, &incoming.path)).await;
        }
    };
    let (index, route) = (route, &worker.snapshot.config.routes[route]);
    let upstream = &worker.snapshot.upstreams[route.upstream];
    exchange.routed(index, route.upstream);
    exchange.mark();

    let mut hooks = HookCalls::of(worker, route, &incoming);
    let caller = identify(worker, route, &incoming, &hooks).await?;
    exchange.caller.clone_from(&caller);
    authorize(route, caller.as_deref())?;
    hooks.authorize(caller.as_ref()).await?;
    exchange.mark();
    let limiter = worker.snapshot.limiters[index].as_deref();
    let allowance = limiter.map(|limiter| admit(limiter, caller.as_deref(), &incoming)).transpose()?;
    let upload = upload(route, incoming.request.headers(), payload)?;
    exchange.bytes_in = upload.as_ref().map(Upload::bytes_read);
    let mut permit = upstream.admit().ok_or_else(|| Problem::overloaded(1))?;
    exchange.mark();
    let mut outgoing = outgoing(worker, route, upstream, caller.as_deref(), &mut incoming, upload)?;
    hooks.headers(&mut outgoing.headers).await?;
    let deadline = exchange.deadline(route.timeouts.total);
    let from = Sender { caller: caller.as_deref(), client_ip: incoming.client_ip, deadline };
    if route.websocket && incoming.asks_for_websocket {
        return Box::pin(upgrade::open(worker, route, upstream, outgoing, from, permit, exchange)).await;
    }
    let answer = send(worker, route, upstream, outgoing, from, &mut permit, exchange).await?;
    exchange.mark();
    let mut response = respond(worker, route, upstream, &incoming, &hooks, answer, permit).await?;
    if let Some(allowance) = allowance {
        allowance.tell(response.headers_mut());
    }
    Ok(deadline::limit(response, deadline))
}
