//! A caller whose identity has been verified.

use std::cell::RefCell;

use super::{assertions::AssertionCache, claims::Claims, ended_sessions::TokenSession};

/// A verified caller.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) claims: Claims,
    /// The assertions about this caller that upstreams were sent.
    pub(crate) assertions: RefCell<AssertionCache>,
    /// When its token expires, in seconds since the epoch of Unix, leeway included.
    pub(crate) expires_at: u64,
    /// The session of its token, which may end; `None` where that is not checked.
    pub(crate) session: Option<TokenSession>,
}

impl Caller {
    /// A caller that something other than a token identified. It is not cached and does not expire.
    pub(crate) fn from_claims(claims: Claims) -> Self {
        Self::with_token(claims, u64::MAX, None)
    }

    /// A caller whose token expires, or may be refused before that because its session has ended.
    pub(crate) fn with_token(claims: Claims, expires_at: u64, session: Option<TokenSession>) -> Self {
        Self { claims, assertions: RefCell::new(AssertionCache::for_caller()), expires_at, session }
    }

    /// Returns a claim that is a string.
    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(serde_json::Value::as_str)
    }
}
