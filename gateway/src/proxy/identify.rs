//! Who calls, and whether the policy of the route lets them.

use std::{rc::Rc, time::SystemTime};

use actix_http::{HttpMessage, header::HeaderMap};
use chassis::problem::Problem;

use super::{hook_calls::HookCalls, incoming::Incoming};
use crate::{
    auth::{bearer, caller::Caller, policy::PolicyDecision},
    route::RouteSettings,
    runtime::worker::Worker,
};

pub(crate) async fn identify(
    worker: &Worker,
    route: &RouteSettings,
    incoming: &Incoming,
    hooks: &HookCalls<'_>,
) -> Result<Option<Rc<Caller>>, Problem> {
    if !route.policy.is_public()
        && let Some(caller) = hooks.identify().await?
    {
        return Ok(Some(caller));
    }
    match wanted_token(route, incoming.request.headers())? {
        Some(token) => worker.verify(token, SystemTime::now()).await.map(Some),
        None => Ok(None),
    }
}

/// The token that says who calls, where the route wants to know.
pub(crate) fn wanted_token<'h>(route: &RouteSettings, headers: &'h HeaderMap) -> Result<Option<&'h str>, Problem> {
    if route.policy.is_public() { Ok(None) } else { bearer::token(headers).map(Some) }
}

pub(crate) fn authorize(route: &RouteSettings, caller: Option<&Caller>) -> Result<(), Problem> {
    let Some(caller) = caller else { return Ok(()) };
    match route.policy.decide(&caller.claims) {
        PolicyDecision::Allowed => Ok(()),
        PolicyDecision::Denied { claim } => Err(bearer::insufficient(claim)),
    }
}
