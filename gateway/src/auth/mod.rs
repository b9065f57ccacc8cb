//! Who calls and whether they may: keys, tokens, policies. Knows no routes, no upstreams and no limits.

pub mod assertions;
pub mod bearer;
pub mod issuer;
pub mod keys;
pub mod policy;
pub mod verifier;
