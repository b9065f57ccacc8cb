//! Decides whether a request may go on: who calls, whether they may, whether there is room, whether its body fits.

use std::{rc::Rc, time::SystemTime};

use actix_http::{
    HttpMessage, Payload,
    header::{self, CONTENT_LENGTH, HeaderMap, HeaderValue},
};
use chassis::{
    extract::too_large,
    problem::{Code, Problem},
};

use super::{Incoming, body::Upload, hooked::Hooked};
use crate::{
    auth::{bearer, policy::Verdict, verifier::Caller},
    config::RouteSettings,
    limit::{self, LimitKey, Limiter},
    worker::Worker,
};

pub(super) async fn identify(
    worker: &Worker,
    route: &RouteSettings,
    incoming: &Incoming,
    hooked: &Hooked<'_>,
) -> Result<Option<Rc<Caller>>, Problem> {
    if route.policy.is_public() {
        return Ok(None);
    }
    if let Some(caller) = hooked.identify().await? {
        return Ok(Some(caller));
    }
    let token = bearer::token(incoming.request.headers())?;
    worker.verify(token, SystemTime::now()).await.map(Some)
}

pub(super) fn authorize(route: &RouteSettings, caller: Option<&Caller>) -> Result<(), Problem> {
    let Some(caller) = caller else { return Ok(()) };
    match route.policy.decide(&caller.claims) {
        Verdict::Allowed => Ok(()),
        Verdict::Denied { claim } => Err(bearer::insufficient(claim)),
    }
}

pub(super) fn admit(limiter: &Limiter, caller: Option<&Caller>, incoming: &Incoming) -> Result<(), Problem> {
    let key = match limiter.rate().key {
        LimitKey::ClientIp => limit::address_key(incoming.client_ip),
        LimitKey::Caller => caller.and_then(|caller| caller.text("sub")).unwrap_or_default().to_owned(),
    };
    limiter.admit(&key).map_err(|refused| limited(limiter, refused))
}

/// 429 with the fields of draft-ietf-httpapi-ratelimit-headers.
fn limited(limiter: &Limiter, refused: limit::Refused) -> Problem {
    let rate = limiter.rate();
    let seconds = refused.wait.as_secs() + 1;
    let policy = format!("\"default\";q={};w={}", rate.count, rate.window.as_secs());
    let state = format!("\"default\";r=0;t={seconds}");
    let mut problem = Problem::new(Code::RateLimited, format!("too many requests; try again in {seconds} s"))
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds));
    for (name, value) in [("ratelimit-policy", policy), ("ratelimit", state)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            problem = problem.with_header(header::HeaderName::from_static(name), value);
        }
    }
    problem
}

/// The body, where there is one. One that declares too much is refused before anybody connects anywhere.
pub(super) fn upload(route: &RouteSettings, headers: &HeaderMap, payload: Payload) -> Result<Option<Upload>, Problem> {
    if matches!(payload, Payload::None) {
        return Ok(None);
    }
    let length = content_length(headers);
    if length.is_some_and(|length| length > route.body_bytes_max) {
        return Err(too_large(usize::try_from(route.body_bytes_max).unwrap_or(usize::MAX)));
    }
    Ok(Some(Upload::new(payload, length, route.body_bytes_max, route.timeouts.idle)))
}

pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
