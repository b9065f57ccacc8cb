//! The handlers of sessions. What a sign-in or a refresh answers is here too: the user and the session, from which the
//! gateway makes the access token.

use std::time::SystemTime;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, Path},
};
use chassis::{
    extract::{JsonBody, PathId},
    identity::{Admin, Caller, CallerSession, UserId},
    page::refuse_unknown_parameters,
    problem::Problem,
};
use serde::Serialize;

use super::{
    contract::{self, RefreshIn, SessionOut, TokenOut, UserOut},
    error::of_own_account,
    initiator::By,
    parameters::{
        AdminProblems, IdIn, MalformedProblems, OwnAccountProblems, RefreshProblems, SessionIdIn, UnknownProblems,
        WriteProblems,
    },
};
use crate::{
    domain::{EndReason, Method, Refusal, SessionId},
    store::{Grant, StoreError, UsersStore},
};

/// The answer to a sign-in or a refresh, for the gateway.
#[derive(Serialize)]
struct GrantOut<'a> {
    #[serde(flatten)]
    user: UserOut<'a>,
    session: OpenSessionOut<'a>,
}

#[derive(Serialize)]
struct OpenSessionOut<'a> {
    /// The claim `sid`.
    id: String,
    /// The claim `auth_time`: seconds since 1970.
    authenticated_at: i64,
    /// The claim `amr`.
    methods: Vec<&'static str>,
    refresh_token: &'a str,
    /// Seconds until the session ends, unless it is refreshed before.
    expires_in: u64,
}

/// Answers with what a client was granted.
pub(super) fn answer(grant: &Grant) -> HttpResponse {
    let session = &grant.session;
    let body = GrantOut {
        user: UserOut::new(&grant.user),
        session: OpenSessionOut {
            id: session.id.to_string(),
            authenticated_at: session.authenticated_at.unix_micros().div_euclid(1_000_000),
            methods: session.methods.iter().copied().map(Method::as_str).collect(),
            refresh_token: &grant.token.expose(),
            expires_in: session.expires_at.saturating_since(SystemTime::now().into()).as_secs(),
        },
    };
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}

/// Exchange a refresh token for a new access token and the next refresh token.
///
/// A refresh token is used once. For 30 seconds it may be sent again, for a lost answer, and gets the same next token;
/// later than that it ends the session, because somebody else may have a copy of it.
#[utoipa::path(
    post, path = "/api/token/refresh", tag = "sessions", operation_id = "refresh_token",
    request_body = RefreshIn, security(()),
    responses((status = 201, description = "Refreshed", body = TokenOut), RefreshProblems, WriteProblems),
)]
pub(super) async fn refresh(
    By(initiator): By,
    body: JsonBody,
    store: Data<UsersStore>,
) -> Result<HttpResponse, Problem> {
    let token = contract::read_refresh(body)?.ok_or(StoreError::Refused(Refusal::InvalidRefreshToken))?;
    Ok(answer(&store.by(initiator).refresh(token).await?))
}

/// Sign out: end the session of the access token.
///
/// Within about two seconds its access tokens are refused. A token of another issuer has no session here, and stays valid.
#[utoipa::path(
    post, path = "/api/logout", tag = "sessions", operation_id = "logout",
    responses((status = 204, description = "The session has ended"), MalformedProblems, OwnAccountProblems, WriteProblems),
    security(("bearer" = [])),
)]
pub(super) async fn logout(
    (caller, CallerSession(session), By(initiator)): (Caller, CallerSession, By),
    request: HttpRequest,
    store: Data<UsersStore>,
) -> Result<HttpResponse, Problem> {
    refuse_unknown_parameters(request.query_string(), &[])?;
    if let Some(id) = session.and_then(|id| id.parse().ok()) {
        match store.by(initiator).end_session(caller.user_id, id, EndReason::SignedOut).await {
            // It has ended before.
            Ok(()) | Err(StoreError::Refused(_)) => {}
            Err(StoreError::Fault(fault)) => return Err(fault.into()),
        }
    }
    Ok(HttpResponse::NoContent().finish())
}

/// List your sessions: where you are signed in. Those used last come first.
#[utoipa::path(
    get, path = "/api/sessions", tag = "sessions", operation_id = "list_sessions",
    responses((status = 200, description = "All of them", body = [SessionOut]), MalformedProblems, OwnAccountProblems),
    security(("bearer" = [])),
)]
pub(super) async fn list(
    (caller, CallerSession(current)): (Caller, CallerSession),
    request: HttpRequest,
    store: Data<UsersStore>,
) -> Result<HttpResponse, Problem> {
    refuse_unknown_parameters(request.query_string(), &[])?;
    let sessions = store.sessions_of(caller.user_id).await.map_err(of_own_account)?;
    Ok(show(&SessionOut::list(&sessions, current.as_deref())))
}

/// End one of your sessions.
#[utoipa::path(
    delete, path = "/api/sessions/{session_id}", tag = "sessions", operation_id = "end_session", params(SessionIdIn),
    responses(
        (status = 204, description = "The session has ended"),
        UnknownProblems, MalformedProblems, OwnAccountProblems, WriteProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn end(
    (caller, By(initiator)): (Caller, By),
    id: Path<String>,
    request: HttpRequest,
    store: Data<UsersStore>,
) -> Result<HttpResponse, Problem> {
    refuse_unknown_parameters(request.query_string(), &[])?;
    let id: SessionId = id.parse().map_err(|_| Problem::not_found())?;
    store.by(initiator).end_session(caller.user_id, id, EndReason::EndedByUser).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List the sessions of a user. Those used last come first.
#[utoipa::path(
    get, path = "/api/users/{user_id}/sessions", tag = "sessions", operation_id = "list_sessions_of_user", params(IdIn),
    responses(
        (status = 200, description = "All of them", body = [SessionOut]),
        UnknownProblems, MalformedProblems, AdminProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn list_of_user(
    (_admin, CallerSession(current), id): (Admin, CallerSession, PathId),
    request: HttpRequest,
    store: Data<UsersStore>,
) -> Result<HttpResponse, Problem> {
    refuse_unknown_parameters(request.query_string(), &[])?;
    let sessions = store.sessions_of(UserId(id.0)).await?;
    Ok(show(&SessionOut::list(&sessions, current.as_deref())))
}

/// End all sessions of a user, who may sign in again.
#[utoipa::path(
    delete, path = "/api/users/{user_id}/sessions", tag = "sessions", operation_id = "end_sessions_of_user", params(IdIn),
    responses(
        (status = 204, description = "They have ended"),
        UnknownProblems, MalformedProblems, AdminProblems, WriteProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn end_of_user(
    (_, By(initiator), id): (Admin, By, PathId),
    request: HttpRequest,
    store: Data<UsersStore>,
) -> Result<HttpResponse, Problem> {
    refuse_unknown_parameters(request.query_string(), &[])?;
    store.by(initiator).end_sessions(UserId(id.0), EndReason::EndedByAdmin).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn show(sessions: &[SessionOut<'_>]) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(sessions)
}
