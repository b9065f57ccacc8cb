//! The fields that tell a client what the limits of a route leave (draft-ietf-httpapi-ratelimit-headers). Knows no counters.

use actix_http::header::{HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// `RateLimit-Policy` and `RateLimit` of one request. Every answer carries them, whatever happens to the request after it
/// was counted.
pub(crate) struct RateLimitFields {
    policy: HeaderValue,
    state: HeaderValue,
}

impl RateLimitFields {
    /// # Errors
    /// A text that no field can have.
    pub(crate) fn new(policy: &str, state: String) -> Result<Self, InvalidHeaderValue> {
        Ok(Self { policy: HeaderValue::try_from(policy)?, state: HeaderValue::try_from(state)? })
    }

    /// Appends the fields after those of a service that has limits of its own.
    pub(crate) fn append_to(self, headers: &mut HeaderMap) {
        headers.append(RATELIMIT_POLICY, self.policy);
        headers.append(RATELIMIT, self.state);
    }
}
