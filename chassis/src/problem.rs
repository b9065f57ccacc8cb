//! Problem details (RFC 9457), the body of every error of every service. Nothing else writes error bodies.

use std::{borrow::Cow, error::Error, fmt};

use actix_http::{
    Response, StatusCode,
    body::BoxBody,
    header::{self, HeaderName, HeaderValue},
};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::trace::RequestContext;

/// A stable name for a kind of error. Clients branch on it: a code never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    AddressRefused,
    AssertionInvalid,
    BadRequest,
    CurrentPasswordRequired,
    CursorGone,
    EmailTaken,
    HeadTooLarge,
    IdempotencyKeyReused,
    InsufficientScope,
    Internal,
    InvalidCredentials,
    InvalidRefreshToken,
    KeysUnavailable,
    LastAdmin,
    LoopDetected,
    MalformedJson,
    MethodNotAllowed,
    Misdirected,
    NotFound,
    NotReady,
    OutcomeUnknown,
    Overloaded,
    PayloadTooLarge,
    PreconditionFailed,
    ProtectedUser,
    RateLimited,
    RequestTimeout,
    SessionEnded,
    SessionsUnknown,
    StorageFull,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    UnsupportedMediaType,
    UpstreamInvalid,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
    UsernameTaken,
    ValidationFailed,
    WrongState,
}

impl Code {
    /// Name, HTTP status and title of the code.
    const fn parts(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::AddressRefused => ("address_refused", 403, "Not allowed from this address"),
            Self::AssertionInvalid => ("assertion_invalid", 401, "The request did not come through the gateway"),
            Self::BadRequest => ("bad_request", 400, "Bad request"),
            Self::CurrentPasswordRequired => ("current_password_required", 403, "The current password is required"),
            Self::CursorGone => ("cursor_gone", 410, "The cursor is of another time"),
            Self::EmailTaken => ("email_taken", 409, "E-mail address already in use"),
            Self::HeadTooLarge => ("head_too_large", 431, "The head of the request is too large"),
            Self::IdempotencyKeyReused => {
                ("idempotency_key_reused", 422, "The idempotency key belongs to another request")
            }
            Self::InsufficientScope => ("insufficient_scope", 403, "Not allowed for this caller"),
            Self::Internal => ("internal", 500, "Internal error"),
            Self::InvalidCredentials => ("invalid_credentials", 401, "Wrong username or password"),
            Self::InvalidRefreshToken => ("invalid_refresh_token", 401, "The refresh token is not valid"),
            Self::KeysUnavailable => ("keys_unavailable", 503, "The keys that verify the token are not available"),
            Self::LastAdmin => ("last_admin", 403, "The last admin must remain"),
            Self::LoopDetected => ("loop_detected", 508, "Loop detected"),
            Self::MalformedJson => ("malformed_json", 400, "The body is not JSON"),
            Self::MethodNotAllowed => ("method_not_allowed", 405, "Method not allowed"),
            Self::Misdirected => ("misdirected", 421, "Not served under this host name"),
            Self::NotFound => ("not_found", 404, "Not found"),
            Self::NotReady => ("not_ready", 503, "Not ready"),
            Self::OutcomeUnknown => ("outcome_unknown", 503, "The outcome is unknown"),
            Self::Overloaded => ("overloaded", 503, "Overloaded"),
            Self::PayloadTooLarge => ("payload_too_large", 413, "The body is too large"),
            Self::PreconditionFailed => ("precondition_failed", 412, "Precondition failed"),
            Self::ProtectedUser => ("protected_user", 403, "This user is protected"),
            Self::RateLimited => ("rate_limited", 429, "Too many requests"),
            Self::RequestTimeout => ("request_timeout", 408, "The request arrived too slowly"),
            Self::SessionEnded => ("session_ended", 401, "The session has ended"),
            Self::SessionsUnknown => ("sessions_unknown", 503, "It is not known which sessions have ended"),
            Self::StorageFull => ("storage_full", 507, "The storage is full"),
            Self::TokenExpired => ("token_expired", 401, "The token has expired"),
            Self::TokenInvalid => ("token_invalid", 401, "The token is not valid"),
            Self::TokenMissing => ("token_missing", 401, "A bearer token is required"),
            Self::UnsupportedMediaType => ("unsupported_media_type", 415, "Unsupported media type"),
            Self::UpstreamInvalid => ("upstream_invalid", 502, "The service gave an invalid answer"),
            Self::UpstreamTimeout => ("upstream_timeout", 504, "The service did not answer in time"),
            Self::UpstreamUnavailable => ("upstream_unavailable", 503, "The service is unavailable"),
            Self::UpstreamUnreachable => ("upstream_unreachable", 502, "The service cannot be reached"),
            Self::UsernameTaken => ("username_taken", 409, "Username already in use"),
            Self::ValidationFailed => ("validation_failed", 422, "The request is not valid"),
            Self::WrongState => ("wrong_state", 409, "Not possible in this state"),
        }
    }

    /// The code as clients see it, in `snake_case`.
    pub const fn name(self) -> &'static str {
        self.parts().0
    }

    /// The HTTP status that goes with the code.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.parts().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The code for an error that a library answered with a status only.
    fn from_status(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::TokenMissing,
            403 => Self::InsufficientScope,
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            408 => Self::RequestTimeout,
            413 => Self::PayloadTooLarge,
            415 => Self::UnsupportedMediaType,
            400..=499 => Self::BadRequest,
            _ => Self::Internal,
        }
    }
}

/// One wrong field of a request body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field as a JSON pointer (RFC 6901) into the body, `""` for the body itself.
    #[schema(example = "/password")]
    pub pointer: String,
    /// What is wrong, for a person.
    #[schema(example = "must have at least 15 characters")]
    pub detail: String,
}

/// An error on its way to the client: what the client sees and, separately, what the log shows.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Box<dyn Error + Send + Sync>>,
    context: Option<(String, String)>,
}

impl Problem {
    /// A problem with a detail that a client may read.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self(Box::new(Parts { code, detail, errors: Vec::new(), headers: Vec::new(), cause: None, context: None }))
    }

    /// The resource does not exist, or not for this caller.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "there is nothing at this address")
    }

    /// A failure of the service. The client does not see `cause`; the log has it with the request id.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Code::Internal, "something went wrong here; the request id finds it in the log").because(cause)
    }

    /// The service is overloaded; the client may try again after `seconds`.
    pub fn overloaded(seconds: u32) -> Self {
        Self::new(Code::Overloaded, "too much is waiting already; try again in a moment")
            .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// A body with invalid fields; every one of them is listed.
    pub fn validation(errors: Vec<FieldError>) -> Self {
        let named: Vec<String> =
            errors.iter().map(|e| format!("{} {}", e.pointer.trim_start_matches('/'), e.detail)).collect();
        let mut problem = Self::new(Code::ValidationFailed, named.join("; "));
        problem.0.errors = errors;
        problem
    }

    /// 405 with the methods that the resource supports (RFC 9110, section 15.5.6).
    pub fn method_not_allowed(allow: &str) -> Self {
        let problem = Self::new(Code::MethodNotAllowed, format!("this resource allows {allow}"));
        match HeaderValue::from_str(allow) {
            Ok(value) => problem.with_header(header::ALLOW, value),
            Err(_) => problem,
        }
    }

    /// The problem for an error that a library answered with a status only.
    pub fn from_status(status: StatusCode) -> Self {
        let code = Code::from_status(status);
        Self::new(code, code.parts().2)
    }

    /// Adds the cause, which only the log shows.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Adds a response header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Adds the request that failed.
    #[must_use]
    pub fn for_request(mut self, context: &RequestContext, path: &str) -> Self {
        self.0.context = Some((context.request_id().to_owned(), path.to_owned()));
        self
    }

    /// A copy of the part that the client sees.
    #[must_use]
    pub fn without_cause(&self) -> Self {
        Self(Box::new(Parts {
            code: self.0.code,
            detail: self.0.detail.clone(),
            errors: self.0.errors.clone(),
            headers: self.0.headers.clone(),
            cause: None,
            context: self.0.context.clone(),
        }))
    }

    /// The stable code.
    pub const fn code(&self) -> Code {
        self.0.code
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.code.status()
    }

    /// The detail that the client sees.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The answer to the client.
    pub fn to_response(&self) -> Response<BoxBody> {
        let (instance, request_id) = match &self.0.context {
            Some((request_id, path)) => (path.as_str(), request_id.as_str()),
            None => ("", ""),
        };
        let (code, status, title) = self.0.code.parts();
        let body = ProblemBody {
            r#type: format!("urn:problem:{code}"),
            title: title.to_owned(),
            status,
            detail: self.0.detail.clone().into_owned(),
            instance: instance.to_owned(),
            code: code.to_owned(),
            request_id: request_id.to_owned(),
            errors: self.0.errors.clone(),
        };
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::with_body(self.status(), BoxBody::new(json));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(value) = HeaderValue::from_str(request_id)
            && !request_id.is_empty()
        {
            headers.insert(crate::trace::REQUEST_ID, value);
        }
        for (name, value) in &self.0.headers {
            headers.append(name.clone(), value.clone());
        }
        response
    }

    /// Logs a failure of the service in one line: the public detail and the chain of causes. A client error is not logged.
    pub fn log(&self, context: &RequestContext) {
        if !self.status().is_server_error() {
            return;
        }
        let causes = self.cause_chain();
        log::error!(
            request_id = context.request_id(), code = self.0.code.name(), status = self.status().as_u16(), cause = causes.as_str();
            "{}", self.0.detail
        );
    }

    fn cause_chain(&self) -> String {
        self.0.cause.as_deref().map(|cause| error_chain(cause)).unwrap_or_default()
    }
}

/// An error with all its sources, for the log: `cannot insert an order: database disk image is malformed`.
pub fn error_chain(error: &dyn Error) -> String {
    let mut chain = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        chain = format!("{chain}: {source}");
        next = source.source();
    }
    chain
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.name(), self.0.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        self.to_response().into()
    }
}

/// The body of every error: problem details (RFC 9457) with a stable code and the request id.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `urn:problem:` and the code.
    #[schema(example = "urn:problem:not_found")]
    pub r#type: String,
    /// The kind of problem in a few words; the same for every problem of this code.
    pub title: String,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// What went wrong with this request, and what to do about it.
    pub detail: String,
    /// The path of the request.
    #[schema(example = "/api/orders/7")]
    pub instance: String,
    /// A stable name, for programs.
    #[schema(example = "not_found")]
    pub code: String,
    /// The id of this request in every log.
    pub request_id: String,
    /// The invalid fields of the body, if there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

#[cfg(test)]
mod tests {
    use actix_http::body::MessageBody;

    use super::*;

    #[test]
    fn the_cause_is_for_the_log_only() {
        let problem = Problem::internal("disk /var/secret is on fire");
        let bytes = problem.to_response().into_body().try_into_bytes().unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        assert!(!text.contains("fire"), "{text}");
        assert_eq!(problem.cause_chain(), "disk /var/secret is on fire");
    }

    #[test]
    fn a_validation_problem_names_every_field() {
        let wrong = |pointer: &str| FieldError { pointer: pointer.to_owned(), detail: "is required".to_owned() };
        let problem = Problem::validation(vec![wrong("/username"), wrong("/password")]);
        assert_eq!(problem.detail(), "username is required; password is required");
        assert_eq!(problem.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
}
