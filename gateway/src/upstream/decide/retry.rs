//! Decides whether a request is sent again after a failed attempt. Pure: knows no sockets and no clock.
//!
//! The tricky part is that a failure does not say whether the upstream has acted on the request: it may have been read
//! and executed before the connection broke. So what may have been sent is sent again only if doing it twice is as good
//! as once.

use actix_http::Method;

use super::failure_kind::FailureKind;

/// How often a request may be sent, and which ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RetrySettings {
    /// Maximum number of attempts; 1 means no retry.
    pub(crate) attempts: u32,
    /// Maximum share of retries in the requests of the upstream, in percent.
    pub(crate) budget_percent: u8,
    /// Methods that may be repeated in addition to the safe ones: PUT, DELETE (RFC 9110, section 9.2.2).
    pub(crate) methods: Vec<Method>,
    /// Whether a request with an `Idempotency-Key` may be repeated, because the upstream honours it.
    pub(crate) idempotency_key: bool,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self { attempts: 2, budget_percent: 20, methods: Vec::new(), idempotency_key: false }
    }
}

/// What a decision needs to know about the request.
#[derive(Clone, Debug)]
pub(crate) struct AttemptedRequest<'a> {
    pub(crate) method: &'a Method,
    /// It has an `Idempotency-Key`.
    pub(crate) has_idempotency_key: bool,
    /// It has an `If-Match`: a repetition would fail although the first attempt succeeded.
    pub(crate) has_if_match: bool,
    /// Its body can be sent from the beginning: nothing of it was read, or all of that is in the replay buffer.
    pub(crate) body_is_whole: bool,
    /// Number of attempts so far.
    pub(crate) attempts: u32,
    /// One of them failed with [`FailureKind::Stale`].
    pub(crate) had_stale: bool,
    /// There is an eligible target that was not tried.
    pub(crate) has_other_target: bool,
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryDecision {
    GiveUp,
    /// Send it again, if the budget allows it.
    Retry,
    /// Send it again without using the budget: the target is fine, only an idle connection was closed.
    RetryFree,
}

/// Decides about a request whose attempt failed in this way.
///
/// A request that was never sent may always be sent again; one that may have been sent, only if it is idempotent (RFC
/// 9110, section 9.2.2).
pub(crate) fn decide(settings: &RetrySettings, kind: FailureKind, request: &AttemptedRequest<'_>) -> RetryDecision {
    let possible = request.body_is_whole
        && match kind {
            FailureKind::NotConnected | FailureKind::ConnectTimeout => true,
            FailureKind::Broken | FailureKind::Stale => may_repeat(settings, request),
            // The same target would most probably fail in the same way.
            FailureKind::HeadTimeout | FailureKind::Invalid => {
                request.has_other_target && may_repeat(settings, request)
            }
            // The client has got the head of the answer, or does not want one.
            FailureKind::AnswerCut | FailureKind::AnswerStalled | FailureKind::RequestBody | FailureKind::Deadline => {
                false
            }
        };
    if !possible {
        return RetryDecision::GiveUp;
    }
    if kind == FailureKind::Stale && !request.had_stale {
        return RetryDecision::RetryFree;
    }
    // The attempt on the stale connection does not count.
    let counted = request.attempts - u32::from(request.had_stale && request.attempts > 0);
    if counted < settings.attempts { RetryDecision::Retry } else { RetryDecision::GiveUp }
}

fn may_repeat(settings: &RetrySettings, request: &AttemptedRequest<'_>) -> bool {
    let repeatable = matches!(*request.method, Method::GET | Method::HEAD | Method::OPTIONS)
        || settings.methods.contains(request.method)
        || (settings.idempotency_key && request.has_idempotency_key);
    repeatable && !request.has_if_match
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(method: &Method) -> AttemptedRequest<'_> {
        AttemptedRequest {
            method,
            has_idempotency_key: false,
            has_if_match: false,
            body_is_whole: true,
            attempts: 1,
            had_stale: false,
            has_other_target: true,
        }
    }

    #[test]
    fn only_idempotent_requests_are_retried_once_they_may_have_been_sent() {
        use FailureKind::{Broken, ConnectTimeout, HeadTimeout, Invalid, NotConnected, RequestBody, Stale};
        use RetryDecision::{GiveUp, Retry, RetryFree};
        let settings = RetrySettings::default();
        for (kind, method, expected) in [
            (NotConnected, Method::POST, Retry),
            (ConnectTimeout, Method::GET, Retry),
            (Broken, Method::GET, Retry),
            (Broken, Method::HEAD, Retry),
            (Broken, Method::OPTIONS, Retry),
            (Broken, Method::POST, GiveUp),
            (Broken, Method::PUT, GiveUp),
            (Broken, Method::DELETE, GiveUp),
            (Stale, Method::GET, RetryFree),
            (Stale, Method::POST, GiveUp),
            (HeadTimeout, Method::GET, Retry),
            (Invalid, Method::GET, Retry),
            (RequestBody, Method::GET, GiveUp),
        ] {
            assert_eq!(decide(&settings, kind, &request(&method)), expected, "{kind:?} {method}");
        }
    }

    #[test]
    fn a_route_may_allow_more_but_never_with_if_match() {
        let settings = RetrySettings { methods: vec![Method::PUT], idempotency_key: true, ..RetrySettings::default() };
        let broken = |request: AttemptedRequest<'_>| decide(&settings, FailureKind::Broken, &request);
        assert_eq!(broken(request(&Method::PUT)), RetryDecision::Retry);
        assert_eq!(broken(request(&Method::DELETE)), RetryDecision::GiveUp);
        assert_eq!(
            broken(AttemptedRequest { has_idempotency_key: true, ..request(&Method::POST) }),
            RetryDecision::Retry
        );
        assert_eq!(broken(AttemptedRequest { has_if_match: true, ..request(&Method::PUT) }), RetryDecision::GiveUp);
        assert_eq!(broken(AttemptedRequest { has_if_match: true, ..request(&Method::GET) }), RetryDecision::GiveUp);
    }

    #[test]
    fn a_target_that_was_too_slow_is_not_tried_again() {
        let alone = AttemptedRequest { has_other_target: false, ..request(&Method::GET) };
        assert_eq!(decide(&RetrySettings::default(), FailureKind::HeadTimeout, &alone), RetryDecision::GiveUp);
        assert_eq!(decide(&RetrySettings::default(), FailureKind::Broken, &alone), RetryDecision::Retry);
    }

    proptest! {
        #[test]
        fn no_request_is_sent_more_often_than_it_may(attempts_max in 1u32..6, kinds in proptest::collection::vec(0usize..6, 20)) {
            let all = [FailureKind::NotConnected, FailureKind::ConnectTimeout, FailureKind::Broken, FailureKind::Stale,
                FailureKind::HeadTimeout, FailureKind::Invalid];
            let settings = RetrySettings { attempts: attempts_max, ..RetrySettings::default() };
            let method = Method::GET;
            let mut state = AttemptedRequest { attempts: 0, ..request(&method) };
            for kind in kinds {
                state.attempts += 1;
                let decide = decide(&settings, all[kind], &state);
                state.had_stale |= decide == RetryDecision::RetryFree;
                if decide == RetryDecision::GiveUp {
                    break;
                }
            }
            prop_assert!(state.attempts <= attempts_max + 1, "one more than the maximum, for a stale connection");
        }

        #[test]
        fn a_body_that_cannot_be_replayed_is_never_sent_again(kind in 0usize..4) {
            let kind = [FailureKind::NotConnected, FailureKind::Broken, FailureKind::Stale, FailureKind::HeadTimeout][kind];
            let gone = AttemptedRequest { body_is_whole: false, ..request(&Method::GET) };
            prop_assert_eq!(decide(&RetrySettings::default(), kind, &gone), RetryDecision::GiveUp);
        }
    }
}
