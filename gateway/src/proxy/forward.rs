//! The life of one request, step by step. Each step is a call that fits on a line; the module of its name says how it works.
//! The right column lists the problems that a step may answer with.
//!
//! ```text
//! accept      request id, trace, client address          400 405 431 508
//! match       method and path → route, or a page         400 404 405
//! identify    credentials → caller                       400 401
//! authorize   policy × caller                            403
//! admit       rate limit, body size, capacity            429 413 503
//! send        compose, pick a target, send, retry        400 408 413 502 503 504
//! answer      post-process, or stream the body            502 504
//! ```

use std::rc::Rc;

use actix_http::{Payload, Request, Response, body::BoxBody};
use chassis::{middleware::catch_panic, problem::Problem};

use super::{
    accept::accept,
    admit::{admit, capacity, check_address, upload},
    answer::{addresses::Addresses, deadline, own::own, respond::respond, websocket::websocket},
    exchange::{CountedBody, Exchange},
    find::{Found, find},
    hook_calls::HookCalls,
    identify::{authorize, identify},
    send::{
        Sending,
        attempts::{send, send_upgrade},
        compose::outgoing,
    },
};
use crate::{body::upload::Upload, pages, route::LiveTarget, runtime::worker::Worker, telemetry::access_log::Phase};

/// Answers a request, whatever happens. A panic becomes a 500.
pub(crate) async fn handle(worker: Rc<Worker>, mut request: Request) -> Response<CountedBody> {
    let payload = request.take_payload();
    let mut exchange = Exchange::begin(&worker, &request, !matches!(payload, Payload::None));
    let outcome = catch_panic(forward(&worker, request, payload, &mut exchange)).await;
    let response = match outcome.and_then(|answered| answered) {
        Ok(response) => response,
        Err(problem) => exchange.refuse(problem),
    };
    exchange.answer(response)
}

async fn forward(
    worker: &Worker,
    request: Request,
    payload: Payload,
    exchange: &mut Exchange,
) -> Result<Response<BoxBody>, Problem> {
    let snapshot = &worker.snapshot;
    let mut incoming = accept(&snapshot.config, &snapshot.process.via, request, &exchange.context)?;
    exchange.client_ip = Some(incoming.client_ip);
    let index = match find(&snapshot.config, &mut incoming)? {
        Found::Route(index) => index,
        Found::Answer(response) => return Ok(response),
        Found::Builtin(page) => {
            exchange.matched_builtin();
            // Boxed, like the upgrade below: the future of a usual request is moved, and these would make it larger.
            return Box::pin(pages::answer(worker, page, &incoming.path)).await;
        }
    };
    exchange.matched_route(index);
    let route = &snapshot.routes[index];
    check_address(&route.settings, incoming.client_ip)?;
    exchange.phase_done(Phase::Match);

    let mut hooks = HookCalls::of(worker, route, &incoming);
    let caller = identify(worker, route, &incoming, &hooks).await?;
    exchange.caller.clone_from(&caller);
    authorize(&route.settings, caller.as_deref(), &incoming.path)?;
    hooks.authorize(caller.as_ref()).await?;
    exchange.phase_done(Phase::Authorize);

    admit(route, &incoming, exchange)?;
    let upload = upload(worker, &route.settings, &incoming.request, payload)?;
    exchange.bytes_in = upload.as_ref().map(Upload::bytes_read);
    let (index, upstream) = match &route.target {
        LiveTarget::Upstream { index, handle } => (*index, handle),
        LiveTarget::Own(answer) => return own(answer, &route.settings, &incoming),
    };
    let permit = capacity(upstream)?;
    exchange.phase_done(Phase::Admit);

    let mut outgoing = outgoing(worker, (&route.settings, upstream), caller.as_deref(), &mut incoming, upload)?;
    hooks.headers(&mut outgoing.headers).await?;
    let addresses = Addresses::of(&route.settings, upstream, &incoming.path, &outgoing);
    let deadline = exchange.deadline(route.settings.timeouts.total);
    outgoing.deadline = deadline.map(Into::into);
    let (client, caller, client_ip) = (worker.client(index), caller.as_deref(), incoming.client_ip);
    let mut sending = Sending { worker, route, upstream, client, outgoing, caller, client_ip, permit };
    if route.settings.websocket && incoming.asks_for_websocket {
        return Box::pin(upgrade(sending, exchange, addresses.as_ref())).await;
    }
    let answer = send(&mut sending, exchange).await?;
    exchange.upstream_answered();

    let response = respond(sending, &incoming, &hooks, answer, addresses.as_ref()).await?;
    Ok(deadline::limit(response, deadline))
}

/// The steps send and answer of a request for a WebSocket.
async fn upgrade(
    sending: Sending<'_>,
    exchange: &mut Exchange,
    addresses: Option<&Addresses<'_>>,
) -> Result<Response<BoxBody>, Problem> {
    let route = sending.route;
    let (opened, permit) = send_upgrade(sending, exchange).await?;
    exchange.upstream_answered();
    Ok(websocket(&route.settings, opened, permit, addresses))
}
