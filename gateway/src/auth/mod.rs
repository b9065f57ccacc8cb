//! Authentication and authorization: keys, tokens, callers, policies. Knows no routes, no upstreams and no limits.
//!
//! A token becomes a [`caller`] in [`verifier`], each worker with its own cache; [`policy`] decides what the caller may
//! do. The keys come from [`token_issuers`]: [`keys`] are our own, [`issuers`] those of others. [`ended_sessions`] are those
//! whose tokens are refused although they have not expired.
//!
//! The tricky part is that keys change while requests are verified: see [`keys`] for rotation and [`verifier`] for what
//! happens to the tokens that are cached.

pub(crate) mod settings;

pub(crate) mod assertions;
pub(crate) mod bearer;
pub(crate) mod caller;
pub(crate) mod claims;
pub(crate) mod identity_claim;
pub(crate) mod policy;

pub(crate) mod ended_sessions;
pub(crate) mod token_cache;
pub(crate) mod verifier;

pub(crate) mod issuers;
pub(crate) mod keys;
pub(crate) mod token_issuers;

mod generation;
pub(crate) mod metrics;
