//! The keys in use at one moment: one signs, all of them verify.

use std::sync::Arc;

use jsonwebtoken::jwk::JwkSet;

use super::key::Key;

/// The keys in use at one moment.
#[derive(Clone, Debug)]
pub(crate) struct KeySet {
    signing: Arc<Key>,
    verifying: Vec<Arc<Key>>,
}

impl KeySet {
    /// One key signs; it and the `others` verify and are published.
    pub(crate) fn new(signing: Arc<Key>, others: impl IntoIterator<Item = Arc<Key>>) -> Self {
        let verifying = std::iter::once(Arc::clone(&signing)).chain(others).collect();
        Self { signing, verifying }
    }

    /// Returns the key that signs new tokens.
    pub(crate) const fn signing(&self) -> &Arc<Key> {
        &self.signing
    }

    /// Returns the keys whose tokens are accepted, the signing key first.
    pub(crate) fn verifying(&self) -> &[Arc<Key>] {
        &self.verifying
    }

    /// Returns the public keys, as `/.well-known/jwks.json` publishes them (RFC 7517, section 5).
    pub(crate) fn jwks(&self) -> JwkSet {
        JwkSet { keys: self.verifying.iter().filter_map(|key| key.public.clone()).collect() }
    }

    /// Returns the ids of the keys, that of the signing key first.
    pub(crate) fn kids(&self) -> Vec<&str> {
        self.verifying.iter().map(|key| key.kid.as_str()).collect()
    }
}
