//! `then: issue-token`: the upstream has checked name and password and answers the user; the client gets a token.

use std::time::SystemTime;

use actix_http::{
    Response, StatusCode,
    body::BoxBody,
    header::{self, HeaderValue},
};
use chassis::problem::{Code, Problem};
use serde::{Deserialize, Serialize};

use crate::auth::{issuer::Subject, trust::Trust};

/// A user has about 300 bytes.
pub const USER_BYTES_MAX: usize = 64 * 1024;

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
pub fn answer(user: &[u8], trust: &Trust, now: SystemTime) -> Result<Response<BoxBody>, Problem> {
    let user: User = serde_json::from_slice(user)
        .map_err(|error| Problem::new(Code::UpstreamInvalid, "the login service answered no user").because(error))?;
    let subject = Subject { id: user.id, user_type: &user.user_type };
    let (access_token, ttl) = trust.issue(&subject, now)?;
    let token = Token { access_token, token_type: "bearer", expires_in: ttl.as_secs() };
    let json = serde_json::to_vec(&token).map_err(Problem::internal)?;
    let mut response = Response::with_body(StatusCode::CREATED, BoxBody::new(json));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // RFC 6749, section 5.1: a token must not be cached.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
