//! The handlers of sessions. What a sign-in or a refresh answers is here too: the user and the session, from which the
//! gateway makes the access token.

use std::time::SystemTime;

use actix_web::{HttpResponse, http::header, web::Data};
use chassis::{extract::JsonBody, problem::Problem};
use serde::Serialize;

use super::{
    contract::{self, RefreshIn, TokenOut, UserOut},
    parameters::{RefreshProblems, WriteProblems},
};
use crate::{
    domain::{Method, Refusal},
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
pub(super) async fn refresh(body: JsonBody, store: Data<UsersStore>) -> Result<HttpResponse, Problem> {
    let token = contract::read_refresh(body)?.ok_or(StoreError::Refused(Refusal::InvalidRefreshToken))?;
    Ok(answer(&store.refresh(token).await?))
}
