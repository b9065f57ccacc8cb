//! Who calls and whether they may: keys, tokens, policies. Knows no routes, no upstreams and no limits.

pub mod assertions;
pub mod bearer;
pub mod policy;
pub mod verifier;

pub mod trust;

pub mod foreign;
pub mod issuer;
pub mod jwks;
pub mod keyring;

pub mod key;
pub mod key_folder;
pub mod keys;
pub mod rotation;
