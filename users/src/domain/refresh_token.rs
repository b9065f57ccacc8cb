//! Refresh tokens: how they look, how one follows from another, and what is stored of them. Makes no random numbers.
//!
//! A token has two random parts. The *handle* names the session; it is not the session's id, which is in every access
//! token and in lists and logs, so that nobody who has seen an id can present a token of that session, not even a wrong
//! one. The id is a hash of the handle. The *secret* proves that the token is the current one, and is stored as a hash.
//!
//! The secret of the next token is computed from the present one and a random nonce, and not drawn at random: whoever
//! presents the same token again within the grace gets the same successor, although only hashes and the nonce are stored.
//! The nonce alone is of no use to anybody.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::session_id::{SessionId, decode};

/// How every refresh token begins, so that a scanner for secrets finds one that was published by accident.
const PREFIX: &str = "msa_rt_";
/// 128 bits, so that nobody finds a handle by trying.
const HANDLE_BYTES: usize = 16;
/// 256 bits, as many as the hash has.
const SECRET_BYTES: usize = 32;
/// Number of random bytes in a token.
pub(crate) const TOKEN_BYTES: usize = HANDLE_BYTES + SECRET_BYTES;
/// Number of random bytes that make the next secret another one at each rotation.
pub(crate) const NONCE_BYTES: usize = 16;

/// A refresh token. Wiped from memory when dropped, and not shown by `Debug`.
#[derive(Clone)]
pub(crate) struct RefreshToken {
    handle: Zeroizing<[u8; HANDLE_BYTES]>,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

impl RefreshToken {
    /// The token of these random bytes.
    pub(crate) fn new(random: &[u8; TOKEN_BYTES]) -> Self {
        let mut token = Self { handle: Zeroizing::new([0; HANDLE_BYTES]), secret: Zeroizing::new([0; SECRET_BYTES]) };
        let (handle, secret) = random.split_at(HANDLE_BYTES);
        token.handle.copy_from_slice(handle);
        token.secret.copy_from_slice(secret);
        token
    }

    /// Reads a token that a client sent; `None` where it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        let written = URL_SAFE_NO_PAD.decode_slice(text.strip_prefix(PREFIX)?, bytes.as_mut_slice()).ok()?;
        (written == TOKEN_BYTES).then(|| Self::new(&bytes))
    }

    /// The token as clients keep it.
    pub(crate) fn expose(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new([self.handle.as_slice(), self.secret.as_slice()].concat());
        Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&bytes)))
    }

    /// The session of the token.
    pub(crate) fn session_id(&self) -> SessionId {
        let mut id = [0; SessionId::BYTES];
        id.copy_from_slice(&Sha256::digest(self.handle.as_slice())[..SessionId::BYTES]);
        SessionId(id)
    }

    /// The hash of the secret, to be stored.
    pub(crate) fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.secret.as_slice()).into())
    }

    /// The next token of the session: HMAC-SHA256 of the nonce with the secret as the key.
    pub(crate) fn successor(&self, nonce: &Nonce) -> Self {
        // HMAC accepts a key of any length (RFC 2104, section 2).
        #[expect(clippy::expect_used, reason = "HMAC accepts keys of every length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_slice()).expect("a key of any length is valid");
        mac.update(&nonce.0);
        let secret = Zeroizing::new(mac.finalize().into_bytes().into());
        Self { handle: self.handle.clone(), secret }
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[redacted, session {}]", self.session_id())
    }
}

/// The SHA-256 of the secret of a refresh token. A fast hash is enough: the secret is random and has 256 bits.
#[derive(Clone, Copy)]
pub(crate) struct SecretHash([u8; 32]);

/// In constant time.
impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretHash {}

impl SecretHash {
    /// The hash itself, for the file.
    pub(crate) fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl FromStr for SecretHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        decode(text).map(Self).ok_or("must be the 32 bytes of a SHA-256 in base64url")
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What makes the next secret another one at each rotation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonce(pub(crate) [u8; NONCE_BYTES]);

impl Nonce {
    /// The nonce itself, for the file.
    pub(crate) fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl FromStr for Nonce {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        decode(text).map(Self).ok_or("must be 16 bytes in base64url")
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> RefreshToken {
        RefreshToken::new(&std::array::from_fn(|at| u8::try_from(at).unwrap()))
    }

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let text = token().expose();
        assert_eq!(*text, "msa_rt_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v");
        let read = RefreshToken::parse(&text).unwrap();
        assert_eq!((read.session_id(), read.hash()), (token().session_id(), token().hash()));
    }

    #[test]
    fn anything_else_is_no_token() {
        let text = token().expose();
        for wrong in [
            "",
            "msa_rt_",
            &text[1..],
            &text[..text.len() - 1],
            &format!("{}A", *text),
            &format!("{}=", *text),
            &format!(" {}", *text),
            &text.replace("AAEC", "AA+C"),
            &text.to_uppercase(),
            &"msa_rt_A".repeat(10_000),
        ] {
            assert!(RefreshToken::parse(wrong).is_none(), "{wrong:.100}");
        }
    }

    #[test]
    fn a_successor_is_of_the_same_session_and_depends_on_secret_and_nonce() {
        let (token, nonce) = (token(), Nonce([7; NONCE_BYTES]));
        let next = token.successor(&nonce);
        assert_eq!(next.session_id(), token.session_id());
        assert_eq!(next.hash(), token.successor(&nonce).hash(), "the same again");
        for other in [token.hash(), token.successor(&Nonce([8; NONCE_BYTES])).hash(), next.successor(&nonce).hash()] {
            assert_ne!(next.hash(), other);
        }
    }

    #[test]
    fn neither_token_nor_hash_shows_itself() {
        let shown = format!("{:?} {:?} {:?}", token(), token().hash(), Nonce([7; NONCE_BYTES]));
        assert_eq!(shown, format!("[redacted, session {}] [redacted] [redacted]", token().session_id()));
    }
}
