//! Decides whether a failed attempt may be tried again. Pure: knows no sockets and no clock.

use actix_http::Method;

use super::failure::FailureKind;

/// One more attempt: a pooled connection that the upstream has just closed must not fail a request.
pub const ATTEMPTS_MAX: usize = 2;

/// Whether a request that failed this way may be sent again.
///
/// What was never sent may always be. What may have been sent, only if its method is safe (RFC 9110, section 9.2.1).
/// In both cases only while nothing of the body has been read: it cannot be read twice.
pub fn may_retry(kind: FailureKind, method: &Method, body_untouched: bool) -> bool {
    body_untouched
        && match kind {
            FailureKind::NotConnected | FailureKind::ConnectTimeout => true,
            FailureKind::Broken | FailureKind::Stale => method.is_safe(),
            FailureKind::HeadTimeout | FailureKind::Invalid | FailureKind::RequestBody => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_done_twice_by_it_is_retried() {
        for (kind, method, untouched, expected) in [
            (FailureKind::NotConnected, Method::POST, true, true),
            (FailureKind::NotConnected, Method::POST, false, false),
            (FailureKind::ConnectTimeout, Method::GET, true, true),
            (FailureKind::Broken, Method::GET, true, true),
            (FailureKind::Broken, Method::HEAD, true, true),
            (FailureKind::Broken, Method::POST, true, false),
            (FailureKind::Broken, Method::DELETE, true, false),
            (FailureKind::HeadTimeout, Method::GET, true, false),
            (FailureKind::Invalid, Method::GET, true, false),
        ] {
            assert_eq!(may_retry(kind, &method, untouched), expected, "{kind:?} {method} {untouched}");
        }
    }
}
