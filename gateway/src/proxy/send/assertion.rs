//! The assertion about the caller that an upstream asks for: cached while it is fresh, else signed anew.

use std::{net::IpAddr, time::SystemTime};

use actix_http::header::HeaderValue;
use chassis::{identity::Assertion, problem::Problem};
use serde_json::Value;

use crate::{auth::caller::Caller, runtime::worker::Worker, upstream::handle::Upstream};

/// The signed assertion; `None` where the upstream asks for none.
pub(super) fn assertion(
    worker: &Worker,
    upstream: &Upstream,
    caller: Option<&Caller>,
    client_ip: IpAddr,
) -> Result<Option<HeaderValue>, Problem> {
    let Some(signer) = upstream.signer() else { return Ok(None) };
    let now = SystemTime::now();
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let sign = || signer.sign(&statement(caller, client_ip), now);
    let cache = caller.map_or(&worker.anonymous_assertions, |caller| &caller.assertions);
    cache.borrow_mut().get(upstream.id(), client_ip, since_epoch, sign).map(Some)
}

/// What an upstream is told about the caller.
pub(crate) fn statement(caller: Option<&Caller>, client_ip: IpAddr) -> Assertion {
    let text = |name| caller.and_then(|caller| caller.text(name)).map(str::to_owned);
    let claim = |name| caller.and_then(|caller| caller.claims.get(name));
    let methods = claim("amr").and_then(Value::as_array).into_iter().flatten();
    Assertion {
        sub: text("sub"),
        user_type: text("user_type"),
        sid: text("sid"),
        auth_time: claim("auth_time").and_then(Value::as_u64),
        amr: methods.filter_map(Value::as_str).map(str::to_owned).collect(),
        client_ip: Some(client_ip),
    }
}
