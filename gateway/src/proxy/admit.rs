//! Decides whether a request is admitted: where it comes from, the rate limits of its route, the size of its body, the
//! capacity of its upstream. The first that refuses ends the request, so that nothing after it is charged.

use std::net::IpAddr;

use std::sync::Arc;

use actix_http::{
    HttpMessage, Payload, Request,
    header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use chassis::{
    extract::too_large,
    problem::{Code, Problem},
};

use super::{exchange::Exchange, incoming::Incoming};
use crate::{
    body::{
        trailers::Trailers,
        upload::{Upload, UploadLimits, UploadTrailers},
    },
    limit::{fields::RateLimitFields, local::RateKey, rate::LimitKey},
    route::{LiveRoute, RouteSettings},
    rules::fields::content_length,
    runtime::worker::Worker,
    upstream::handle::{Permit, Upstream},
};

/// Checks from where the request comes, before anybody is asked who sends it.
///
/// # Errors
/// 403 where the route is not for clients with this address.
pub(super) fn check_address(route: &RouteSettings, client: IpAddr) -> Result<(), Problem> {
    if route.addresses.allow(client) {
        return Ok(());
    }
    Err(Problem::new(Code::AddressRefused, "this is not available from your address"))
}

/// Counts the request against the rate limits of its route.
///
/// # Errors
/// 429 where one of them is used up.
pub(super) fn admit(route: &LiveRoute, incoming: &Incoming, exchange: &mut Exchange) -> Result<(), Problem> {
    let Some(limiter) = &route.limiter else { return Ok(()) };
    let (headers, caller) = (incoming.request.headers(), exchange.caller.as_deref());
    let decision = limiter.admit(|key| {
        let text = match key {
            LimitKey::ClientIp => None,
            LimitKey::Caller => caller.and_then(|caller| caller.text("sub")).map(str::as_bytes),
            LimitKey::Header(name) => headers.get(name).map(HeaderValue::as_bytes),
        };
        text.map_or(RateKey::Address(incoming.client_ip), RateKey::Text)
    });
    let fields = RateLimitFields::new(limiter.policy(), decision.state).map_err(Problem::internal)?;
    exchange.rate_limit = Some(fields);
    let Some(wait) = decision.wait else { return Ok(()) };
    let seconds = wait.as_secs() + 1;
    Err(Problem::new(Code::RateLimited, format!("too many requests; try again in {seconds} s"))
        .with_header(RETRY_AFTER, HeaderValue::from(seconds)))
}

/// The body of the request, if it has one.
///
/// # Errors
/// 413 where its declared length is too large: refused before anything is sent anywhere.
pub(super) fn upload(
    worker: &Worker,
    route: &RouteSettings,
    request: &Request,
    payload: Payload,
) -> Result<Option<Upload>, Problem> {
    if matches!(payload, Payload::None) {
        return Ok(None);
    }
    let length = declared_length(route, request.headers())?;
    let trailers = request.extensions().get::<Trailers>().map(|received| {
        let snapshot = Arc::clone(&worker.snapshot);
        let is_allowed = Box::new(move |name: &HeaderName| !snapshot.identity.contains(name.as_str()));
        UploadTrailers { received: received.clone(), is_allowed }
    });
    let limits =
        UploadLimits { bytes_max: route.body_bytes_max, idle: route.timeouts.idle, rate_min: route.body_rate_min };
    Ok(Some(Upload::new(payload, length, limits, trailers)))
}

/// The declared length of the body.
///
/// # Errors
/// 413 where it is too large for the route.
pub(super) fn declared_length(route: &RouteSettings, headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let length = content_length(headers);
    if length.is_some_and(|length| length > route.body_bytes_max) {
        return Err(too_large(usize::try_from(route.body_bytes_max).unwrap_or(usize::MAX)));
    }
    Ok(length)
}

/// A place among the requests in flight at the upstream.
///
/// # Errors
/// 503 where the upstream has no capacity left.
pub(super) fn capacity(upstream: &Upstream) -> Result<Permit, Problem> {
    upstream.admit().ok_or_else(|| Problem::overloaded(1))
}
