//! Caches the callers of verified tokens. Knows no signatures and no clock.
//!
//! It is a cache of [`quick_cache`], which keeps what is used: a client that collects tokens and uses each of them once
//! pushes out other tokens that were used once, but none that are in use. A plain LRU could be flushed that way, and it
//! would have to move an entry to the front of a list at each hit, where this one sets a counter.
//!
//! The tricky part is trust. An entry says that a signature was verified with a key, so that it must not outlive the
//! trust in that key; but one key that goes must not cost the callers of all other keys a verification each, all at
//! once. So each entry knows its key, and [`TokenCache::retain_trusted`] drops only those whose key is gone.

use std::{
    hash::{Hash, Hasher},
    rc::Rc,
    sync::Arc,
};

use foldhash::fast::RandomState;
use quick_cache::{Equivalent, UnitWeighter, unsync::Cache};

use super::{caller::Caller, issuers::verifying_key::KeyId};

/// Maximum number of tokens. 4,096 tokens of 0.5 KiB with their claims of about 1.5 KiB take 8 MiB for each worker.
pub(super) const ENTRIES_MAX: usize = 4096;
/// How many bytes at the end of a token are hashed. They are the end of its signature, random to anybody who has no
/// key, and only verified tokens are inserted: collisions cannot be arranged. Hashing all of its 400 bytes would take
/// longer than the rest of the lookup.
const HASHED_BYTES: usize = 32;

/// The callers of verified tokens, by the text of the token. Each worker has its own, so that it takes no lock.
#[derive(Debug)]
pub(super) struct TokenCache(Cache<Token, Entry, UnitWeighter, RandomState>);

/// The key with which a token was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TrustedKey {
    /// The index of its issuer.
    pub(super) issuer: usize,
    pub(super) id: Arc<KeyId>,
}

#[derive(Clone, Debug)]
struct Entry {
    caller: Rc<Caller>,
    key: TrustedKey,
}

impl TokenCache {
    pub(super) fn new() -> Self {
        let (weights, lifecycle) = (UnitWeighter, Default::default());
        Self(Cache::with(ENTRIES_MAX, ENTRIES_MAX as u64, weights, RandomState::default(), lifecycle))
    }

    /// Returns the caller of a token that was verified before.
    pub(super) fn get(&self, token: &str) -> Option<&Rc<Caller>> {
        self.0.get(&TokenRef(token)).map(|entry| &entry.caller)
    }

    /// Adds a token that was verified with `key`. If the cache is full, a token that has not been used lately is
    /// dropped.
    pub(super) fn insert(&mut self, token: &str, caller: Rc<Caller>, key: TrustedKey) {
        self.0.insert(Token(token.into()), Entry { caller, key });
    }

    pub(super) fn remove(&mut self, token: &str) {
        self.0.remove(&TokenRef(token));
    }

    /// Drops the tokens whose key is not trusted any more.
    pub(super) fn retain_trusted(&mut self, is_trusted: impl Fn(&TrustedKey) -> bool) {
        self.0.retain(|_, entry| is_trusted(&entry.key));
    }
}

/// The text of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token(Box<str>);

/// A borrowed [`Token`], to look it up without an allocation.
struct TokenRef<'a>(&'a str);

impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        TokenRef(&self.0).hash(state);
    }
}

impl Hash for TokenRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let bytes = self.0.as_bytes();
        state.write(&bytes[bytes.len().saturating_sub(HASHED_BYTES)..]);
    }
}

impl Equivalent<Token> for TokenRef<'_> {
    fn equivalent(&self, token: &Token) -> bool {
        *self.0 == *token.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::claims::Claims;

    fn caller() -> Rc<Caller> {
        Rc::new(Caller::from_claims(Claims::new()))
    }

    fn key(issuer: usize, thumbprint: &str) -> TrustedKey {
        let id = KeyId { kid: Some("kid".to_owned()), thumbprint: thumbprint.to_owned() };
        TrustedKey { issuer, id: Arc::new(id) }
    }

    #[test]
    fn a_full_cache_stays_full_and_keeps_the_tokens_in_use() {
        let mut cache = TokenCache::new();
        let in_use: Vec<String> = (0..100).map(|number| format!("in use {number}")).collect();
        in_use.iter().for_each(|token| cache.insert(token, caller(), key(0, "a")));
        for number in 0..3 * ENTRIES_MAX {
            cache.insert(&format!("used once {number}"), caller(), key(0, "a"));
            assert!(cache.get(&in_use[number % in_use.len()]).is_some(), "{number}");
            assert!(cache.0.len() <= ENTRIES_MAX);
        }
        assert_eq!(cache.0.len(), ENTRIES_MAX, "never emptied");
    }

    #[test]
    fn only_the_tokens_of_a_key_that_is_gone_are_dropped() {
        let mut cache = TokenCache::new();
        for (token, key) in [("a", key(0, "1")), ("b", key(0, "2")), ("c", key(1, "1"))] {
            cache.insert(token, caller(), key);
        }
        cache.retain_trusted(|trusted| *trusted != key(0, "1"));
        let cached = ["a", "b", "c"].map(|token| cache.get(token).is_some());
        assert_eq!(cached, [false, true, true]);
    }

    #[test]
    fn tokens_with_the_same_end_are_different_tokens() {
        let mut cache = TokenCache::new();
        let end = "x".repeat(HASHED_BYTES);
        cache.insert(&format!("a{end}"), caller(), key(0, "1"));
        assert!(cache.get(&format!("a{end}")).is_some());
        assert!(cache.get(&format!("b{end}")).is_none());
        cache.remove(&format!("a{end}"));
        assert!(cache.get(&format!("a{end}")).is_none());
    }
}
