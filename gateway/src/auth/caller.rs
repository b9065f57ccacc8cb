//! A caller whose identity has been verified.

use std::cell::RefCell;

use super::{assertions::AssertionCache, policy::Claims};

/// A caller whose token was verified.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) claims: Claims,
    /// What was signed about this caller.
    pub(crate) assertions: RefCell<AssertionCache>,
    pub(crate) expires: u64,
}

impl Caller {
    /// A caller that something else than a token told of; it is not remembered, and so does not expire.
    pub(crate) fn of(claims: Claims) -> Self {
        Self::until(claims, u64::MAX)
    }

    pub(crate) fn until(claims: Claims, expires: u64) -> Self {
        Self { claims, assertions: RefCell::new(AssertionCache::of_caller()), expires }
    }

    /// A claim that is a text.
    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(serde_json::Value::as_str)
    }
}
