//! A caller whose identity has been verified.

use std::cell::RefCell;

use super::{assertions::AssertionCache, claims::Claims};

/// A verified caller.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) claims: Claims,
    /// The assertions about this caller that upstreams were sent.
    pub(crate) assertions: RefCell<AssertionCache>,
    /// When its token expires, in seconds since the epoch of Unix, leeway included.
    pub(crate) expires_at: u64,
}

impl Caller {
    /// A caller that something other than a token identified. It is not cached and does not expire.
    pub(crate) fn from_claims(claims: Claims) -> Self {
        Self::with_expiry(claims, u64::MAX)
    }

    /// A caller whose token expires.
    pub(crate) fn with_expiry(claims: Claims, expires_at: u64) -> Self {
        Self { claims, assertions: RefCell::new(AssertionCache::for_caller()), expires_at }
    }

    /// Returns a claim that is a string.
    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(serde_json::Value::as_str)
    }
}
