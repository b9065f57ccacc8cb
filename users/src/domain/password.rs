//! Passwords as entered, as accepted by the policy, and as stored. Computes no hash.

use std::{fmt, str::FromStr};

use chassis::config::Secret;
use zeroize::Zeroizing;

use super::name::UserName;

/// The minimum cost of bcrypt. An imported hash may have it; new hashes cost more.
const COST_MIN: u32 = 4;
/// Maximum cost, also of an imported hash. A hash of cost 15 takes about two seconds; with a higher cost, one login could
/// occupy a core for minutes.
pub(crate) const COST_MAX: u32 = 15;
/// Maximum length: bcrypt reads 72 bytes, of which the last is its NUL.
const PASSWORD_BYTES_MAX: usize = 71;
/// Minimum length of a username that a password must not contain: nearly every password contains `a`.
const USERNAME_CHARS_MIN: usize = 3;
/// The most common passwords, which are guessed first: one on each line, in lower case.
const COMMON: &str = include_str!("common_passwords.txt");

/// A password as a client sent it. Wiped from memory when dropped, and not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Plaintext(Zeroizing<String>);

impl Plaintext {
    /// Wraps any text.
    pub(crate) fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The password, if bcrypt would hash all of it: it ignores what follows 71 bytes or a NUL.
    pub(crate) fn hashable(&self) -> Option<&str> {
        (self.0.len() <= PASSWORD_BYTES_MAX && !self.0.contains('\0')).then_some(self.0.as_str())
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A password that the policy has accepted.
#[derive(Clone, Debug)]
pub(crate) struct NewPassword(Plaintext);

impl NewPassword {
    /// The password, for the place that hashes it.
    pub(crate) const fn plaintext(&self) -> &Plaintext {
        &self.0
    }
}

/// The requirements for a new password (NIST SP 800-63B-4, section 3.1.1.2). They do not apply at login.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PasswordPolicy {
    pub(crate) chars_min: usize,
}

impl PasswordPolicy {
    /// Accepts a password for a user. The name is absent if it is not valid itself.
    pub(crate) fn accept(self, text: &str, username: Option<&UserName>) -> Result<NewPassword, String> {
        let password = Plaintext::new(text);
        if text.contains('\0') {
            return Err("must not contain a NUL character".to_owned());
        }
        if password.hashable().is_none() {
            return Err(format!("must have at most {PASSWORD_BYTES_MAX} bytes"));
        }
        if text.chars().count() < self.chars_min {
            return Err(format!("must have at least {} characters", self.chars_min));
        }
        let lower = Zeroizing::new(text.to_lowercase());
        if COMMON.lines().any(|common| common == *lower) {
            return Err("is one of the most common passwords; choose another".to_owned());
        }
        if username.is_some_and(|username| contains_name(&lower, username)) {
            return Err("must not contain the username".to_owned());
        }
        Ok(NewPassword(password))
    }

    /// Accepts a password from the configuration.
    pub(crate) fn accept_secret(self, secret: &Secret, username: &UserName) -> Result<NewPassword, String> {
        self.accept(secret.expose(), Some(username))
    }
}

fn contains_name(password_lower: &str, username: &UserName) -> bool {
    let name = username.folded().as_str();
    name.chars().count() >= USERNAME_CHARS_MIN && password_lower.contains(name)
}

/// A bcrypt hash with a cost from [`COST_MIN`] to [`COST_MAX`]. It never leaves this service and is never logged.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PasswordHash {
    text: Box<str>,
    cost: u32,
    salt: [u8; 16],
}

impl PasswordHash {
    /// The hash itself, for the file and for verification.
    pub(crate) fn expose(&self) -> &str {
        &self.text
    }

    /// The cost: computing the hash takes 2^cost rounds.
    pub(crate) const fn cost(&self) -> u32 {
        self.cost
    }

    /// The salt, which is the first part of what follows the cost.
    pub(crate) const fn salt(&self) -> &[u8; 16] {
        &self.salt
    }
}

impl FromStr for PasswordHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The message of the library describes the format and repeats nothing of the hash.
        let parts = bcrypt::HashParts::from_str(text).map_err(|error| format!("is no bcrypt hash: {error}"))?;
        let cost = parts.get_cost();
        if !(COST_MIN..=COST_MAX).contains(&cost) {
            return Err(format!("has the bcrypt cost {cost}; costs from {COST_MIN} to {COST_MAX} are supported"));
        }
        Ok(Self { text: text.into(), cost, salt: parts.get_salt_raw() })
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[redacted, cost {}]", self.cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_refuses_what_is_guessed_first() {
        let policy = PasswordPolicy { chars_min: 15 };
        let ann = UserName::parse("Annika").unwrap();
        for (text, refused) in [
            ("correct horse battery", None),
            ("short", Some("at least 15 characters")),
            ("пароль-длинный!", None),
            ("PasswordPassword", Some("most common")),
            ("my name is ANNIKA!", Some("username")),
            ("nul is not allowed\0", Some("NUL")),
        ] {
            let outcome = policy.accept(text, Some(&ann)).map(drop);
            match refused {
                None => assert_eq!(outcome, Ok(()), "{text}"),
                Some(why) => assert!(outcome.clone().unwrap_err().contains(why), "{text}: {outcome:?}"),
            }
        }
        let al = UserName::parse("al").unwrap();
        assert!(policy.accept("almost any password", Some(&al)).is_ok(), "a short name is part of many words");
    }

    #[test]
    fn a_password_has_at_most_71_bytes() {
        let policy = PasswordPolicy { chars_min: 1 };
        assert!(policy.accept(&"é".repeat(35), None).is_ok());
        assert!(policy.accept(&"é".repeat(36), None).is_err());
        assert!(Plaintext::new(&"x".repeat(71)).hashable().is_some());
        assert!(Plaintext::new(&"x".repeat(72)).hashable().is_none());
    }

    #[test]
    fn the_block_list_is_what_it_says() {
        for line in COMMON.lines() {
            assert!(!line.is_empty() && line == line.trim() && line == line.to_lowercase(), "{line:?}");
        }
        assert!(
            COMMON.lines().filter(|line| line.chars().count() >= 15).count() >= 20,
            "the default length needs some"
        );
    }

    #[test]
    fn a_hash_is_bcrypt_of_a_limited_cost() {
        let hash = |cost: &str| format!("$2b${cost}$16kNu5IW80k1Tw7xz2H3iOCsz0.oMZ7q5OSGa/OIfOae0WGFe8aI2");
        for (text, valid) in [
            (hash("12"), true),
            (hash("04"), true),
            (hash("15"), true),
            (hash("16"), false),
            (hash("31"), false),
            (hash("03"), false),
            (hash("xx"), false),
            ("secret".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(text.parse::<PasswordHash>().is_ok(), valid, "{text}");
        }
    }

    #[test]
    fn neither_password_nor_hash_shows_itself() {
        let hash: PasswordHash = "$2b$12$16kNu5IW80k1Tw7xz2H3iOCsz0.oMZ7q5OSGa/OIfOae0WGFe8aI2".parse().unwrap();
        assert_eq!(format!("{:?} {hash:?}", Plaintext::new("hunter2")), "[redacted] [redacted, cost 12]");
    }
}
