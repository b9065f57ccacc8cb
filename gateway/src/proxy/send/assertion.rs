//! The signed statement about the caller that an upstream asks for: from memory while it is fresh.

use std::{net::IpAddr, time::SystemTime};

use actix_http::header::HeaderValue;
use chassis::{identity::Assertion, problem::Problem};

use crate::{auth::caller::Caller, runtime::worker::Worker, upstream::handle::Upstream};

/// The statement, where the upstream asks for one.
pub(crate) fn assertion(
    worker: &Worker,
    upstream: &Upstream,
    caller: Option<&Caller>,
    client_ip: IpAddr,
) -> Result<Option<HeaderValue>, Problem> {
    let Some(signer) = upstream.signer() else { return Ok(None) };
    let now = SystemTime::now();
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let sign = || signer.sign(&statement(caller, client_ip), now);
    let kept = caller.map_or(&worker.anonymous_assertions, |caller| &caller.assertions);
    kept.borrow_mut().get(upstream.id(), client_ip, since_epoch, sign).map(Some)
}

/// What an upstream is told about the caller.
pub(crate) fn statement(caller: Option<&Caller>, client_ip: IpAddr) -> Assertion {
    let claim = |name| caller.and_then(|caller| caller.text(name)).map(str::to_owned);
    Assertion { sub: claim("sub"), user_type: claim("user_type"), sid: claim("sid"), client_ip: Some(client_ip) }
}
