//! Decides whether a request may go on: who calls, whether they may, whether there is room, whether its body fits.

use actix_http::{
    HttpMessage, Payload,
    header::{self, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue},
};
use chassis::{
    extract::too_large,
    problem::{Code, Problem},
};

use super::incoming::Incoming;
use crate::{
    auth::caller::Caller,
    body::upload::{Upload, UploadLimits},
    limit::rate::{LimitKey, Limiter, RateKey},
    route::RouteSettings,
};

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What a limit leaves, as clients are told (draft-ietf-httpapi-ratelimit-headers).
pub(crate) struct Allowance {
    policy: HeaderValue,
    state: HeaderValue,
}

impl Allowance {
    /// Adds it to an answer, behind what a service says of limits of its own.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        headers.append(RATELIMIT_POLICY, self.policy);
        headers.append(RATELIMIT, self.state);
    }
}

pub(crate) fn admit(limiter: &Limiter, caller: Option<&Caller>, incoming: &Incoming) -> Result<Allowance, Problem> {
    let headers = incoming.request.headers();
    let verdict = limiter.admit(|key| {
        let text = match key {
            LimitKey::ClientIp => None,
            LimitKey::Caller => caller.and_then(|caller| caller.text("sub")).map(str::as_bytes),
            LimitKey::Header(name) => headers.get(name).map(HeaderValue::as_bytes),
        };
        text.map_or(RateKey::Address(incoming.client_ip), RateKey::Text)
    });
    let policy = HeaderValue::try_from(limiter.policy()).map_err(Problem::internal)?;
    let state = HeaderValue::try_from(verdict.state).map_err(Problem::internal)?;
    let Some(wait) = verdict.wait else { return Ok(Allowance { policy, state }) };
    let seconds = wait.as_secs() + 1;
    Err(Problem::new(Code::RateLimited, format!("too many requests; try again in {seconds} s"))
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
        .with_header(RATELIMIT_POLICY, policy)
        .with_header(RATELIMIT, state))
}

/// The body, where there is one. One that declares too much is refused before anybody connects anywhere.
pub(crate) fn upload(route: &RouteSettings, headers: &HeaderMap, payload: Payload) -> Result<Option<Upload>, Problem> {
    if matches!(payload, Payload::None) {
        return Ok(None);
    }
    let length = fits(route, headers)?;
    let limits =
        UploadLimits { bytes_max: route.body_bytes_max, idle: route.timeouts.idle, rate_min: route.body_rate_min };
    Ok(Some(Upload::new(payload, length, limits)))
}

/// The length that is declared, if it is not too much.
pub(crate) fn fits(route: &RouteSettings, headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let length = content_length(headers);
    if length.is_some_and(|length| length > route.body_bytes_max) {
        return Err(too_large(usize::try_from(route.body_bytes_max).unwrap_or(usize::MAX)));
    }
    Ok(length)
}

pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
