//! bcrypt (Provos and Mazières, 1999) that offers its core to others between any two rounds.
//!
//! The `bcrypt` crate computes a hash in one go. A thread that does so keeps its core until the scheduler takes it away,
//! and Linux looks after as much as 4 ms: however low the priority, every hundredth request to another service waited
//! that long. So the loop over the rounds, and only that, is here; `blowfish` computes a round, in about 60 µs, and
//! between two rounds the thread gives way to whoever waits for its core. Where nobody waits, that costs less than 1 %.
//! The decision and its figures: `docs/decisions/bcrypt-that-yields.md`.

use std::{
    thread,
    time::{Duration, Instant},
};

use base64::{
    Engine,
    alphabet::BCRYPT,
    engine::{GeneralPurpose, general_purpose::NO_PAD},
};
use blowfish::Blowfish;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The alphabet of bcrypt, without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(&BCRYPT, NO_PAD);
/// What bcrypt encrypts, in blocks of two words.
const TEXT: &[u8; 24] = b"OrpheanBeholderScryDoubt";
/// How many times it is encrypted.
const TIMES: u32 = 64;
/// The last byte of the encrypted text is not kept.
const DIGEST_BYTES: usize = TEXT.len() - 1;

/// How many times as long as this thread others have the core, at least, before it yields no more: what they get by their
/// higher priority.
const OTHERS_SHARE: u32 = 10;

pub(super) type Salt = [u8; 16];
pub(super) type Digest = [u8; DIGEST_BYTES];

/// The digest of a password of at most 71 bytes without a NUL, after 2^`cost` rounds.
pub(super) fn digest(password: &str, cost: u32, salt: &Salt) -> Digest {
    let key = Zeroizing::new([password.as_bytes(), b"\0"].concat());
    let mut state = Blowfish::bc_init_state();
    state.salted_expand_key(salt, &key);
    let mut yielding = Yielding::start();
    for _ in 0..1_u32 << cost {
        state.bc_expand_key(&key);
        state.bc_expand_key(salt);
        yielding.after_round();
    }
    encrypt(&state)
}

/// Yields the core to others, but not for ever.
struct Yielding {
    /// For how long others had the core when it was yielded last.
    waited: Duration,
    since: Instant,
}

impl Yielding {
    fn start() -> Self {
        Self { waited: Duration::ZERO, since: Instant::now() }
    }

    /// Yields the core, unless others have just had it for so long that it is the turn of this thread. Linux charges a
    /// thread that yields with a whole time slice: beside a program that only computes, a hash that yielded after each
    /// round would take minutes.
    fn after_round(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.since) < self.waited / OTHERS_SHARE {
            return;
        }
        thread::yield_now();
        self.since = Instant::now();
        self.waited = self.since.duration_since(now);
    }
}

fn encrypt(state: &Blowfish) -> Digest {
    let mut encrypted = [0; TEXT.len()];
    for (block, written) in TEXT.chunks_exact(8).zip(encrypted.chunks_exact_mut(8)) {
        let (left, right) = block.split_at(4);
        let mut words = [left, right].map(|bytes| bytes.iter().fold(0, |word, &byte| word << 8 | u32::from(byte)));
        for _ in 0..TIMES {
            words = state.bc_encrypt(words);
        }
        written.copy_from_slice(words.map(u32::to_be_bytes).as_flattened());
    }
    let [digest @ .., _] = encrypted;
    digest
}

/// A hash as it is stored (`$2b$12$`, 22 characters of salt, 31 of digest).
pub(super) fn format(cost: u32, salt: &Salt, digest: &Digest) -> String {
    format!("$2b${cost:02}${}{}", BASE64.encode(salt), BASE64.encode(digest))
}

/// Whether a stored hash ends with this digest. Takes the same time wherever they differ.
pub(super) fn ends_with(hash: &str, digest: &Digest) -> bool {
    let wanted = BASE64.encode(digest);
    let stored = &hash.as_bytes()[hash.len().saturating_sub(wanted.len())..];
    stored.ct_eq(wanted.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Hashes of John the Ripper and of OpenBSD's bcrypt that other implementations are tested with.
    #[test]
    fn hashes_that_others_have_published() {
        for (password, hash) in [
            ("", "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s."),
            ("a", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe"),
            ("abc", "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i"),
            ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        ] {
            let parts: bcrypt::HashParts = hash.parse().unwrap();
            let digest = digest(password, parts.get_cost(), &parts.get_salt_raw());
            assert!(ends_with(hash, &digest), "{password}");
            assert_eq!(format(parts.get_cost(), &parts.get_salt_raw(), &digest)[4..], hash[4..], "{password}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn each_hash_is_that_of_the_library(
            password in "[^\0]{0,17}", salt in any::<Salt>(), cost in 4_u32..6, changed in 0_usize..DIGEST_BYTES,
        ) {
            let mut own = digest(&password, cost, &salt);
            let hash = format(cost, &salt, &own);
            let expected = bcrypt::non_truncating_hash_with_salt(&password, cost, salt).unwrap();
            prop_assert_eq!(&hash, &expected.to_string());
            prop_assert!(ends_with(&hash, &own));
            own[changed] ^= 1;
            prop_assert!(!ends_with(&hash, &own));
        }
    }
}
