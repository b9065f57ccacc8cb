//! Who calls and whether they may: keys, tokens, policies. Knows no routes, no upstreams and no limits.

pub(crate) mod settings;

pub(crate) mod assertions;
pub(crate) mod bearer;
pub(crate) mod caller;
pub(crate) mod policy;
pub(crate) mod verifier;

pub(crate) mod issuers;
pub(crate) mod keys;
pub(crate) mod token_issuers;

mod generation;
pub(crate) mod metrics;
