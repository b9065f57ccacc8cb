//! Sends a request, to another target where an attempt failed and nothing can be done twice by it.

use awc::ClientResponse;
use chassis::problem::Problem;

use super::{Exchange, body::Upload};
use crate::{
    config::RouteSettings,
    upstream::{Upstream, client::Outgoing, retry},
    worker::Worker,
};

pub(super) async fn send(
    worker: &Worker,
    route: &RouteSettings,
    upstream: &Upstream,
    outgoing: Outgoing,
    exchange: &mut Exchange,
) -> Result<ClientResponse, Problem> {
    let client = &worker.clients[route.upstream];
    let mut attempts = 0;
    loop {
        attempts += 1;
        let target = upstream.pick();
        exchange.sends_to(&target.authority);
        let failure = match client.send(target, outgoing.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        exchange.attempt_failed(failure.kind);
        if let Some(fault) = outgoing.body.as_ref().and_then(Upload::fault) {
            return Err(fault.to_problem());
        }
        let untouched = outgoing.body.as_ref().is_none_or(Upload::is_untouched);
        if attempts >= retry::ATTEMPTS_MAX || !retry::may_retry(failure.kind, &outgoing.method, untouched) {
            return Err(failure.to_problem(upstream.name()));
        }
        exchange.retries();
    }
}
