//! Sends a request, to another target where an attempt failed and nothing can be done twice by it.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use actix_http::header::{HeaderName, HeaderValue, IF_MATCH, RETRY_AFTER};
use awc::ClientResponse;
use chassis::problem::{Code, Problem};
use tokio::time::timeout;

use crate::{
    auth::caller::Caller,
    body::upload::Upload,
    proxy::exchange::Exchange,
    route::RouteSettings,
    runtime::worker::Worker,
    upstream::{
        decide::{
            balance::{self, Balance, HashKey},
            pool::TargetSet,
            retry::{self, AttemptedRequest, RetryDecision},
        },
        handle::{Permit, Unavailable, Upstream},
        wire::{
            client::{Client, Outgoing},
            failure::Failure,
            tunnel::Opened,
        },
    },
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub(crate) async fn send(
    worker: &Worker,
    route: &RouteSettings,
    upstream: &Upstream,
    mut outgoing: Outgoing,
    from: Sender<'_>,
    permit: &mut Permit,
    exchange: &mut Exchange,
) -> Result<ClientResponse, Problem> {
    let client = &worker.clients[route.upstream];
    let key = sticky(upstream, &outgoing, from);
    let method = outgoing.method.clone();
    let (mut attempts, mut had_stale) = (0, false);
    let mut tried = TargetSet::default();
    upstream.budget().deposit(route.retry.budget_percent);
    loop {
        let attempt = upstream.pick(key, tried, Instant::now());
        let mut attempt = attempt.map_err(|out| unavailable(upstream, out))?;
        exchange.sends_to(attempt.address().authority.as_str());
        let failure = match within(from.deadline, client, attempt.address(), &mut outgoing).await {
            Ok(answer) => {
                attempt.answered(answer.status());
                permit.hold(attempt);
                return Ok(answer);
            }
            Err(failure) => failure,
        };
        attempt.failed(failure.kind);
        if let Some(fault) = outgoing.body.as_ref().and_then(Upload::fault) {
            return Err(fault.to_problem());
        }
        tried = tried.with(attempt.index());
        attempts += 1;
        let request = AttemptedRequest {
            method: &method,
            has_idempotency_key: outgoing.headers.contains_key(IDEMPOTENCY_KEY),
            has_if_match: outgoing.headers.contains_key(IF_MATCH),
            body_is_whole: outgoing.body.as_ref().is_none_or(Upload::rewind),
            attempts,
            had_stale,
            has_other_target: upstream.has_other_target(tried, Instant::now()),
        };
        let again = match retry::decide(&route.retry, failure.kind, &request) {
            _ if left(from.deadline).is_some_and(|left| left.is_zero()) => false,
            RetryDecision::GiveUp => false,
            RetryDecision::Retry => upstream.budget().withdraw(),
            RetryDecision::RetryFree => {
                had_stale = true;
                true
            }
        };
        if !again {
            return Err(failure.to_problem(upstream.name()));
        }
        upstream.count_retry();
    }
}

/// Asks one target for a WebSocket: the client tries again by itself, as after every end of one.
pub(crate) async fn send_upgrade(
    worker: &Worker,
    route: &RouteSettings,
    upstream: &Upstream,
    outgoing: Outgoing,
    from: Sender<'_>,
    permit: &mut Permit,
    exchange: &mut Exchange,
) -> Result<Opened, Problem> {
    let key = sticky(upstream, &outgoing, from);
    let attempt = upstream.pick(key, TargetSet::default(), Instant::now());
    let mut attempt = attempt.map_err(|out| unavailable(upstream, out))?;
    exchange.sends_to(attempt.address().authority.as_str());
    match worker.clients[route.upstream].open_tunnel(attempt.address(), outgoing).await {
        Ok(opened) => {
            attempt.answered(opened.status());
            permit.hold(attempt);
            Ok(opened)
        }
        Err(failure) => {
            attempt.failed(failure.kind);
            Err(failure.to_problem(upstream.name()))
        }
    }
}

/// Who sends a request, and until when it has to be done.
#[derive(Clone, Copy)]
pub(crate) struct Sender<'a> {
    pub(crate) caller: Option<&'a Caller>,
    pub(crate) client_ip: IpAddr,
    pub(crate) deadline: Option<Instant>,
}

/// What keeps a request at a target, where the upstream asks for that.
fn sticky(upstream: &Upstream, outgoing: &Outgoing, from: Sender<'_>) -> Option<u64> {
    match &upstream.settings().balance {
        Balance::RoundRobin | Balance::LeastInFlight | Balance::P2c => None,
        Balance::Hash(HashKey::Header(name)) => outgoing.headers.get(name).map(|value| balance::hash(value.as_bytes())),
        Balance::Hash(HashKey::Caller) => Some(match from.caller.and_then(|caller| caller.text("sub")) {
            Some(sub) => balance::hash(sub.as_bytes()),
            None => balance::hash(from.client_ip.to_string().as_bytes()),
        }),
    }
}

/// Sends until the deadline of the whole request. A target that is still silent then was too slow; while the body is
/// still coming, the client may have been.
async fn within(
    deadline: Option<Instant>,
    client: &Client,
    target: &crate::upstream::settings::TargetAddress,
    outgoing: &mut Outgoing,
) -> Result<ClientResponse, Failure> {
    let Some(left) = left(deadline) else { return client.send(target, outgoing).await };
    if outgoing.body.is_none() {
        outgoing.head_timeout = outgoing.head_timeout.min(left);
        return client.send(target, outgoing).await;
    }
    timeout(left, client.send(target, outgoing)).await.unwrap_or_else(|_| Err(Failure::total_timeout()))
}

fn left(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
}

fn unavailable(upstream: &Upstream, out: Unavailable) -> Problem {
    let seconds = out.wait.as_secs() + 1;
    let detail = format!("all targets of `{}` are out; try again in {seconds} s", upstream.name());
    Problem::new(Code::UpstreamUnavailable, detail).with_header(RETRY_AFTER, HeaderValue::from(seconds))
}
