//! `then: issue-token`: the upstream has checked name and password and answers the user; the client gets a token.

use actix_http::{
    StatusCode,
    header::{self, HeaderMap, HeaderValue},
};
use chassis::problem::{Code, Problem};
use serde::{Deserialize, Serialize};

use super::request::{Answer, Request};

/// The name of this hook.
pub(crate) const NAME: &str = "issue-token";

/// What the upstream must say about a user.
#[derive(Deserialize)]
struct User {
    id: i64,
    user_type: String,
}

/// The answer to a login (RFC 6749, section 5.1).
#[derive(Serialize)]
struct Token {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
}

/// The answer for the client, from the user that the upstream answered with.
///
/// # Errors
/// 502 where the upstream answered no user, 500 where no token can be signed.
pub(crate) fn run(request: &Request, answer: &Answer) -> Result<Answer, Problem> {
    let user: User = serde_json::from_slice(&answer.body)
        .map_err(|error| Problem::new(Code::UpstreamInvalid, "the login service answered no user").because(error))?;
    let (access_token, ttl) = request.issue_token(user.id, &user.user_type)?;
    let token = Token { access_token, token_type: "bearer", expires_in: ttl.as_secs() };
    let body = serde_json::to_vec(&token).map_err(Problem::internal)?.into();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // RFC 6749, section 5.1: a token must not be cached.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(Answer { status: StatusCode::CREATED, headers, body })
}
