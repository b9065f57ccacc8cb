//! Issues access tokens (RFC 9068). The only place where tokens are signed.

use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

use chassis::identity::unix_seconds;
use jsonwebtoken::Header;
use serde::Serialize;
use serde_json::Value;

use crate::auth::{claims::Claims, keys::key::Key, settings::OwnTokens};

/// The `typ` of an access token (RFC 9068, section 2.1), by which it differs from other tokens of the same issuer.
pub(crate) const TYP: &str = "at+jwt";

/// The claims of an access token. `id` repeats `sub` as a number, for clients of the previous system.
#[derive(Debug, Serialize)]
struct AccessClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    iat: u64,
    exp: u64,
    jti: String,
    sid: String,
    user_type: &'a str,
    id: i64,
}

/// The user that a token is issued for.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) id: i64,
    pub(crate) user_type: &'a str,
}

/// Issues the tokens of the gateway.
#[derive(Debug)]
pub(crate) struct Issuer {
    issuer: String,
    audience: String,
    ttl: Duration,
}

impl Issuer {
    /// An issuer with these settings.
    pub(crate) fn new(settings: &OwnTokens) -> Self {
        Self { issuer: settings.issuer.clone(), audience: settings.audience.clone(), ttl: settings.ttl }
    }

    /// Returns how long a token is valid.
    pub(crate) const fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Issues an access token for `subject`, valid from `now`.
    ///
    /// # Errors
    /// The key cannot sign, or the system has no random numbers.
    pub(crate) fn issue(&self, key: &Key, subject: &Subject<'_>, now: SystemTime) -> Result<String, String> {
        let iat = unix_seconds(now);
        let claims = AccessClaims {
            iss: &self.issuer,
            aud: &self.audience,
            sub: subject.id.to_string(),
            iat,
            exp: iat + self.ttl.as_secs(),
            jti: random_id()?,
            sid: random_id()?,
            user_type: subject.user_type,
            id: subject.id,
        };
        sign(key, &claims)
    }

    /// Issues a token with any claims, for development. Missing standard claims are added.
    ///
    /// # Errors
    /// The key cannot sign, or the system has no random numbers.
    pub(crate) fn issue_with_claims(&self, key: &Key, mut claims: Claims, now: SystemTime) -> Result<String, String> {
        let iat = unix_seconds(now);
        for (claim, value) in [
            ("iss", Value::from(self.issuer.as_str())),
            ("aud", Value::from(self.audience.as_str())),
            ("sub", Value::from("0")),
            ("iat", Value::from(iat)),
            ("exp", Value::from(iat + self.ttl.as_secs())),
            ("jti", Value::from(random_id()?)),
            ("sid", Value::from(random_id()?)),
        ] {
            claims.entry(claim).or_insert(value);
        }
        sign(key, &claims)
    }
}

fn sign(key: &Key, claims: &impl Serialize) -> Result<String, String> {
    let header = Header { typ: Some(TYP.to_owned()), kid: Some(key.kid.clone()), ..Header::new(key.algorithm) };
    jsonwebtoken::encode(&header, claims, &key.encoding).map_err(|error| error.to_string())
}

/// Returns 128 random bits in hexadecimal.
fn random_id() -> Result<String, String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| format!("the system has no random numbers: {error}"))?;
    Ok(random.iter().fold(String::with_capacity(32), |mut id, byte| {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02x}");
        id
    }))
}
