//! Finds out who calls, and whether the policy of the route lets them.

use std::{rc::Rc, time::SystemTime};

use actix_http::{HttpMessage, header::HeaderMap};
use chassis::problem::Problem;

use super::{hook_calls::HookCalls, incoming::Incoming};
use crate::{
    auth::{
        bearer,
        caller::Caller,
        policy::{PolicyDecision, requirement::Requirement},
    },
    route::{LiveRoute, RouteSettings},
    runtime::worker::Worker,
};

/// The caller, by the decoder of the route or by the bearer token; nobody on public routes.
///
/// # Errors
/// 401 where the route needs a caller and the credentials are missing or not accepted, 400 where there are two of them.
pub(super) async fn identify(
    worker: &Worker,
    route: &LiveRoute,
    incoming: &Incoming,
    hooks: &HookCalls<'_>,
) -> Result<Option<Rc<Caller>>, Problem> {
    if route.settings.policy.is_public() {
        return Ok(None);
    }
    if let Some(caller) = hooks.identify().await? {
        return Ok(Some(caller));
    }
    let token = bearer::token(incoming.request.headers())?;
    worker.verify(token, SystemTime::now()).await.map(Some)
}

/// The bearer token, where the route needs one.
///
/// # Errors
/// As [`identify`].
pub(super) fn required_token<'h>(route: &RouteSettings, headers: &'h HeaderMap) -> Result<Option<&'h str>, Problem> {
    if route.policy.is_public() { Ok(None) } else { bearer::token(headers).map(Some) }
}

/// Asks the policy of the route about the claims of the caller and the `path` in normal form.
///
/// # Errors
/// 403 where a claim does not hold.
pub(super) fn authorize(route: &RouteSettings, caller: Option<&Caller>, path: &str) -> Result<(), Problem> {
    let Some(caller) = caller else { return Ok(()) };
    match route.policy.decide(&caller.claims, &|segment| route.pattern.value_at(path, segment)) {
        PolicyDecision::Allowed => Ok(()),
        PolicyDecision::Denied(Requirement::Claim { at, .. }) => Err(bearer::insufficient(at.as_str())),
        PolicyDecision::Denied(Requirement::Scopes(scopes)) => Err(bearer::insufficient_scopes(scopes)),
        PolicyDecision::Denied(Requirement::Any(_) | Requirement::All(_)) => Err(bearer::insufficient_claims()),
    }
}
