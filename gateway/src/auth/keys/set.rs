//! The keys in use at one moment: one signs, all of them verify.

use std::sync::Arc;

use jsonwebtoken::jwk::JwkSet;

use super::key::Key;

/// The keys at some time.
#[derive(Clone, Debug)]
pub(crate) struct KeySet {
    pub(crate) signing: Arc<Key>,
    pub(crate) believed: Vec<Arc<Key>>,
}

impl KeySet {
    /// One key signs; it and the `others` verify and are published.
    pub(crate) fn new(signing: Arc<Key>, others: impl IntoIterator<Item = Arc<Key>>) -> Self {
        let believed = std::iter::once(Arc::clone(&signing)).chain(others).collect();
        Self { signing, believed }
    }

    /// The key that signs.
    pub(crate) const fn signing(&self) -> &Arc<Key> {
        &self.signing
    }

    /// The keys whose tokens are good.
    pub(crate) fn believed(&self) -> &[Arc<Key>] {
        &self.believed
    }

    /// The public keys, as `/.well-known/jwks.json` shows them (RFC 7517, section 5).
    pub(crate) fn jwks(&self) -> JwkSet {
        JwkSet { keys: self.believed.iter().filter_map(|key| key.public.clone()).collect() }
    }

    /// The names of the keys, the signing one first.
    pub(crate) fn kids(&self) -> Vec<&str> {
        self.believed.iter().map(|key| key.kid.as_str()).collect()
    }
}
