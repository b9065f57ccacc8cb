//! Reads the bearer token of a request, and builds the challenges of its refusal (RFC 6750). Knows no keys.

use actix_http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use chassis::problem::{Code, Problem};

/// The realm of the challenges: one for the whole gateway.
const REALM: &str = "api";

/// Returns the token of a request.
///
/// # Errors
/// 401 without an error code if there is no bearer token (section 3.1: "the resource server SHOULD NOT include an error
/// code"), 400 if there are two `Authorization` fields.
pub(crate) fn token(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut fields = headers.get_all(AUTHORIZATION);
    let field = match (fields.next(), fields.next()) {
        (None, _) => return Err(missing("this needs a bearer token: send `Authorization: Bearer …`")),
        (Some(field), None) => field,
        (Some(_), Some(_)) => {
            let problem = Problem::new(Code::BadRequest, "there are two Authorization headers; send one");
            return Err(challenge(problem, &[("error", "invalid_request")]));
        }
    };
    // The scheme is case-insensitive and one or more spaces follow it (RFC 9110, section 11.4).
    // Not with `to_str`, which checks each byte by itself: a token has hundreds of them, and its signature covers them.
    let text = str::from_utf8(field.as_bytes()).unwrap_or_default();
    let (scheme, token) = text.split_once(' ').unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing("the Authorization header has no bearer token: send `Authorization: Bearer …`"));
    }
    match token.trim_start_matches(' ') {
        "" => Err(missing("the bearer token is empty")),
        token => Ok(token),
    }
}

fn missing(detail: &'static str) -> Problem {
    challenge(Problem::new(Code::TokenMissing, detail), &[])
}

/// Returns the problem for a token that is malformed, of an unknown issuer, or revoked.
///
/// ```
/// let problem = gateway::bearer::invalid("the token is of another tenant");
/// let response = problem.to_response();
/// let challenge = response.headers().get("www-authenticate").and_then(|value| value.to_str().ok());
/// assert_eq!(challenge, Some(r#"Bearer realm="api", error="invalid_token""#));
/// ```
pub fn invalid(detail: &'static str) -> Problem {
    challenge(Problem::new(Code::TokenInvalid, detail), &[("error", "invalid_token")])
}

/// Returns the problem for an expired token.
///
/// ```
/// assert_eq!(gateway::bearer::expired().status(), 401);
/// ```
pub fn expired() -> Problem {
    challenge(Problem::new(Code::TokenExpired, "the token has expired; sign in again"), &[("error", "invalid_token")])
}

/// Returns the problem for a token whose session has ended.
pub(crate) fn session_ended() -> Problem {
    let detail = "the session of the token has ended; sign in again";
    challenge(Problem::new(Code::SessionEnded, detail), &[("error", "invalid_token")])
}

/// Returns the problem for a valid token whose `claim` does not allow the request.
///
/// ```
/// assert_eq!(gateway::bearer::insufficient("tenant").status(), 403);
/// ```
pub fn insufficient(claim: &str) -> Problem {
    let problem =
        Problem::new(Code::InsufficientScope, format!("the claim `{claim}` of the token does not allow this"));
    challenge(problem, &[("error", "insufficient_scope")])
}

/// Returns the problem for a valid token without all of these scopes (RFC 6750, section 3.1).
pub(crate) fn insufficient_scopes(scopes: &[String]) -> Problem {
    let scopes = scopes.join(" ");
    let problem = Problem::new(Code::InsufficientScope, format!("the token does not have the scopes `{scopes}`"));
    challenge(problem, &[("error", "insufficient_scope"), ("scope", &scopes)])
}

/// Returns the problem for a valid token none of whose claims allow the request.
pub(crate) fn insufficient_claims() -> Problem {
    let problem = Problem::new(Code::InsufficientScope, "the claims of the token do not allow this");
    challenge(problem, &[("error", "insufficient_scope")])
}

fn challenge(problem: Problem, parameters: &[(&str, &str)]) -> Problem {
    let parameters: String = parameters.iter().map(|(name, value)| format!(", {name}=\"{value}\"")).collect();
    let value = HeaderValue::try_from(format!("Bearer realm=\"{REALM}\"{parameters}"));
    problem.with_header(WWW_AUTHENTICATE, value.unwrap_or(HeaderValue::from_static("Bearer")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[&'static str]) -> Result<String, Code> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(AUTHORIZATION, HeaderValue::from_static(field));
        }
        token(&headers).map(str::to_owned).map_err(|problem| problem.code())
    }

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        for field in ["Bearer abc", "bearer abc", "BEARER abc", "Bearer  abc"] {
            assert_eq!(read(&[field]).as_deref(), Ok("abc"), "{field}");
        }
    }

    #[test]
    fn a_field_without_a_bearer_token_is_like_none() {
        for field in ["abc", "Basic abc", "Bearer", "Bearer ", "", "Bearerabc"] {
            assert_eq!(read(&[field]), Err(Code::TokenMissing), "{field}");
        }
        assert_eq!(read(&[]), Err(Code::TokenMissing));
        assert_eq!(read(&["Bearer a", "Bearer a"]), Err(Code::BadRequest));
    }
}
