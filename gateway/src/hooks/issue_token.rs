//! `then: issue-token`: the upstream has checked who signs in, or a refresh token, and answers the user; the client gets an
//! access token. Where the upstream keeps sessions, the token belongs to the session that it answers.

use std::time::Duration;

use actix_http::{
    StatusCode,
    header::{self, HeaderMap, HeaderValue},
};
use chassis::problem::{Code, Problem};
use serde::{Deserialize, Serialize};

use super::request::{Answer, Request};
use crate::auth::issuers::own::Session;

/// The name of this hook.
pub(crate) const NAME: &str = "issue-token";

/// What the upstream must say about a user.
#[derive(Deserialize)]
struct User {
    id: i64,
    user_type: String,
    /// Absent where the upstream keeps no sessions.
    session: Option<OpenSession>,
}

/// What the upstream says about a session.
#[derive(Deserialize)]
struct OpenSession {
    id: String,
    /// Seconds since 1970.
    authenticated_at: u64,
    methods: Vec<String>,
    /// Seconds until the session ends by itself.
    expires_in: u64,
    refresh_token: Option<String>,
}

/// The answer to a login (RFC 6749, section 5.1).
#[derive(Serialize)]
struct Token {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    #[serde(flatten)]
    refresh: Option<Refresh>,
}

/// How the client gets the next access token.
#[derive(Serialize)]
struct Refresh {
    refresh_token: String,
    refresh_expires_in: u64,
}

/// The answer for the client, from the user that the upstream answered with.
///
/// # Errors
/// 502 where the upstream answered no user, 500 where no token can be signed.
pub(crate) fn run(request: &Request, answer: &Answer) -> Result<Answer, Problem> {
    let User { id, user_type, session } = serde_json::from_slice(&answer.body)
        .map_err(|error| Problem::new(Code::UpstreamInvalid, "the login service answered no user").because(error))?;
    let ((access_token, ttl), refresh) = match session {
        Some(session) => session.tokens(request, id, &user_type)?,
        None => (request.issue_token(id, &user_type)?, None),
    };
    let token = Token { access_token, token_type: "bearer", expires_in: ttl.as_secs(), refresh };
    let body = serde_json::to_vec(&token).map_err(Problem::internal)?.into();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // RFC 6749, section 5.1: a token must not be cached.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(Answer { status: StatusCode::CREATED, headers, body })
}

impl OpenSession {
    /// The access token of this session and how long it is valid, and what the client needs for the next one.
    fn tokens(
        self,
        request: &Request,
        user: i64,
        user_type: &str,
    ) -> Result<((String, Duration), Option<Refresh>), Problem> {
        let Self { id, authenticated_at, methods, expires_in, refresh_token } = self;
        let session = Session { id, authenticated_at, methods, ends_in: Duration::from_secs(expires_in) };
        let token = request.issue_session_token(user, user_type, &session)?;
        let refresh = |refresh_token| Refresh { refresh_token, refresh_expires_in: expires_in };
        Ok((token, refresh_token.map(refresh)))
    }
}
