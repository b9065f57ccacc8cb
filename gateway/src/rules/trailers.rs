//! Which fields may follow a body as trailers (RFC 9110, section 6.5). Knows no bodies.
//!
//! A recipient may merge trailers into the headers that it has acted upon already, so that a trailer could say what a
//! header was not allowed to. These fields are dropped: they decide how a message is framed, routed, authenticated or
//! read (section 6.5.1).

use actix_http::header::{
    ACCEPT, AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, COOKIE,
    DATE, EXPECT, EXPIRES, HOST, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    LOCATION, MAX_FORWARDS, ORIGIN, PRAGMA, PROXY_AUTHENTICATE, RANGE, RETRY_AFTER, SET_COOKIE, VARY, VIA, WARNING,
    WWW_AUTHENTICATE,
};
use chassis::trace::{REQUEST_ID, TRACEPARENT};

use super::{fields::HOP_BY_HOP, forwarding};

/// Fields that act as headers only.
const HEADERS_ONLY: [HeaderName; 32] = [
    ACCEPT,
    AGE,
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    DATE,
    EXPECT,
    EXPIRES,
    HOST,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_RANGE,
    IF_UNMODIFIED_SINCE,
    LOCATION,
    MAX_FORWARDS,
    ORIGIN,
    PRAGMA,
    PROXY_AUTHENTICATE,
    RANGE,
    REQUEST_ID,
    RETRY_AFTER,
    SET_COOKIE,
    TRACEPARENT,
    VARY,
    VIA,
    WARNING,
    WWW_AUTHENTICATE,
];

/// Returns whether a field may be a trailer. Fields that tell an upstream who the caller is are for the caller of this
/// function to refuse.
pub(crate) fn is_allowed(name: &HeaderName) -> bool {
    !HEADERS_ONLY.contains(name)
        && !HOP_BY_HOP.contains(name)
        && forwarding::kind(name.as_str()).is_none()
        && !name.as_str().starts_with("access-control-")
        && !name.as_str().starts_with("x-guard-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_how_a_message_is_read_or_by_whom_it_is_sent_is_no_trailer() {
        for name in [
            "content-length",
            "transfer-encoding",
            "host",
            "authorization",
            "set-cookie",
            "x-forwarded-for",
            "x_real_ip",
            "forwarded",
            "connection",
            "trailer",
            "x-request-id",
            "access-control-allow-origin",
            "x-guard-length",
        ] {
            assert!(!is_allowed(&HeaderName::from_static(name)), "{name}");
        }
        for name in ["grpc-status", "grpc-message", "etag", "digest", "repr-digest", "server-timing", "x-checksum"] {
            assert!(is_allowed(&HeaderName::from_static(name)), "{name}");
        }
    }
}
