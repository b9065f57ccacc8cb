//! Sends a request, and sends it again to another target where an attempt failed and a retry cannot do anything twice. What
//! may be retried is decided by [`retry`], which is pure; this file has the effects.

use std::time::Instant;

use actix_http::header::{HeaderName, HeaderValue, IF_MATCH, RETRY_AFTER};
use awc::ClientResponse;
use chassis::problem::{Code, Problem};

use super::{super::exchange::Exchange, Sending};
use crate::{
    body::upload::Upload,
    upstream::{
        decide::{
            balance::{self, Balance, HashKey},
            failure_kind::FailureKind,
            pool::TargetSet,
            retry::{self, AttemptedRequest, RetryDecision},
        },
        handle::{Attempt, Permit, Unavailable, Upstream},
        wire::tunnel::UpgradeAnswer,
    },
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What is known of the attempts at one request so far.
#[derive(Default)]
struct History {
    attempts: u32,
    /// Whether one of them was on a pooled connection that the upstream had just closed.
    had_stale: bool,
    tried: TargetSet,
}

/// Sends the request until a target answers, or no retry is allowed.
pub(crate) async fn send(sending: &mut Sending<'_>, exchange: &mut Exchange) -> Result<ClientResponse, Problem> {
    let upstream = sending.upstream;
    let client = sending.client;
    let key = sticky_key(sending);
    let mut history = History::default();
    upstream.budget().deposit(sending.route.settings.retry.budget_percent);
    loop {
        let mut attempt = pick(upstream, key, history.tried)?;
        exchange.sends_to(attempt.address().authority.as_str());
        let failure = match client.send(attempt.address(), &mut sending.outgoing).await {
            Ok(answer) => {
                attempt.answered(answer.status());
                sending.permit.hold(attempt);
                return Ok(answer);
            }
            Err(failure) => failure,
        };
        attempt.failed(failure.kind);
        if let Some(fault) = sending.outgoing.body.as_ref().and_then(Upload::fault) {
            return Err(fault.to_problem());
        }
        history.tried = history.tried.with(attempt.index());
        history.attempts += 1;
        if !may_retry(sending, failure.kind, &mut history) {
            return Err(failure.to_problem(upstream.name()));
        }
        upstream.count_retry();
    }
}

fn may_retry(sending: &Sending<'_>, kind: FailureKind, history: &mut History) -> bool {
    let (upstream, outgoing) = (sending.upstream, &sending.outgoing);
    if outgoing.deadline.is_some_and(|deadline| deadline <= tokio::time::Instant::now()) {
        return false;
    }
    let request = AttemptedRequest {
        method: &outgoing.method,
        has_idempotency_key: outgoing.headers.contains_key(IDEMPOTENCY_KEY),
        has_if_match: outgoing.headers.contains_key(IF_MATCH),
        body_is_whole: outgoing.body.as_ref().is_none_or(Upload::rewind),
        attempts: history.attempts,
        had_stale: history.had_stale,
        has_other_target: upstream.has_other_target(history.tried, Instant::now()),
    };
    match retry::decide(&sending.route.settings.retry, kind, &request) {
        RetryDecision::GiveUp => false,
        RetryDecision::Retry => upstream.budget().withdraw(),
        RetryDecision::RetryFree => {
            history.had_stale = true;
            true
        }
    }
}

/// Asks one target for a WebSocket, and returns the permit that holds the attempt. There is no retry: clients reconnect by
/// themselves, as after every end of a WebSocket.
pub(crate) async fn send_upgrade(
    sending: Sending<'_>,
    exchange: &mut Exchange,
) -> Result<(UpgradeAnswer, Permit), Problem> {
    let upstream = sending.upstream;
    let mut attempt = pick(upstream, sticky_key(&sending), TargetSet::default())?;
    exchange.sends_to(attempt.address().authority.as_str());
    let client = sending.client;
    match client.open_tunnel(attempt.address(), sending.outgoing).await {
        Ok(opened) => {
            attempt.answered(opened.status());
            let mut permit = sending.permit;
            permit.hold(attempt);
            Ok((opened, permit))
        }
        Err(failure) => {
            attempt.failed(failure.kind);
            Err(failure.to_problem(upstream.name()))
        }
    }
}

fn pick(upstream: &Upstream, key: Option<u64>, tried: TargetSet) -> Result<Attempt, Problem> {
    upstream.begin_attempt(key, tried, Instant::now()).map_err(|unavailable| to_problem(upstream, unavailable))
}

/// Returns the hash that keeps a request at one target, where the upstream balances by hash.
fn sticky_key(sending: &Sending<'_>) -> Option<u64> {
    match &sending.upstream.settings().balance {
        Balance::RoundRobin | Balance::LeastInFlight | Balance::P2c => None,
        Balance::Hash(HashKey::Header(name)) => {
            sending.outgoing.headers.get(name).map(|value| balance::hash(value.as_bytes()))
        }
        Balance::Hash(HashKey::Caller) => Some(match sending.caller.and_then(|caller| caller.text("sub")) {
            Some(sub) => balance::hash(sub.as_bytes()),
            None => balance::hash(sending.client_ip.to_string().as_bytes()),
        }),
    }
}

fn to_problem(upstream: &Upstream, unavailable: Unavailable) -> Problem {
    let seconds = unavailable.retry_after.as_secs() + 1;
    let detail = format!("all targets of `{}` are unavailable; try again in {seconds} s", upstream.name());
    Problem::new(Code::UpstreamUnavailable, detail).with_header(RETRY_AFTER, HeaderValue::from(seconds))
}
