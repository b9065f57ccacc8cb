//! Issues access tokens (RFC 9068). The only place where tokens are signed.

use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

use chassis::identity::unix_seconds;
use jsonwebtoken::Header;
use serde::Serialize;
use serde_json::Value;

use crate::auth::{keys::key::Key, policy::Claims, settings::OwnTokens};

/// The `typ` of an access token (RFC 9068, section 2.1): other tokens of the same issuer are not taken for one.
pub(crate) const TYP: &str = "at+jwt";

/// The claims of an access token. `id` is there for clients of the system before this one.
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

/// Who signs in.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) id: i64,
    pub(crate) user_type: &'a str,
}

/// Signs the tokens of one issuer.
#[derive(Debug)]
pub(crate) struct Issuer {
    issuer: String,
    audience: String,
    ttl: Duration,
}

impl Issuer {
    /// An issuer as configured.
    pub(crate) fn new(settings: &OwnTokens) -> Self {
        Self { issuer: settings.issuer.clone(), audience: settings.audience.clone(), ttl: settings.ttl }
    }

    /// How long a token is valid.
    pub(crate) const fn ttl(&self) -> Duration {
        self.ttl
    }

    /// An access token for `subject`, valid from `now`.
    ///
    /// # Errors
    /// The key cannot sign, or the system gives no randomness.
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

    /// A token with any claims, for development: what `claims` lacks of the usual is added.
    ///
    /// # Errors
    /// The key cannot sign, or the system gives no randomness.
    pub(crate) fn issue_any(&self, key: &Key, mut claims: Claims, now: SystemTime) -> Result<String, String> {
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

/// 128 random bits in hexadecimal.
fn random_id() -> Result<String, String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| format!("the system gives no randomness: {error}"))?;
    Ok(random.iter().fold(String::with_capacity(32), |mut id, byte| {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02x}");
        id
    }))
}
