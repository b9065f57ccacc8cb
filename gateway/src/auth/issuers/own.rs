//! Issues access tokens (RFC 9068). The only place where tokens are signed.

use std::{
    borrow::Cow,
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
    sid: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<u64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    amr: &'a [String],
    user_type: &'a str,
    id: i64,
}

/// The user that a token is issued for.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) id: i64,
    pub(crate) user_type: &'a str,
    /// The session that the token belongs to; `None` where the login service keeps none.
    pub(crate) session: Option<&'a Session>,
}

/// A session that a login service keeps, as its tokens describe it.
///
/// ```
/// use std::time::Duration;
///
/// use gateway::hooks::Session;
///
/// let session = Session {
///     id: "xT4kq0pJw3bqVvQm2fYh1A".to_owned(),
///     authenticated_at: 1_767_225_600,
///     methods: vec!["pwd".to_owned()],
///     ends_in: Duration::from_secs(7 * 24 * 3600),
/// };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The claim `sid`.
    pub id: String,
    /// When the user signed in, in seconds since 1970: the claim `auth_time` (OpenID Connect Core 1.0, section 2).
    pub authenticated_at: u64,
    /// How the user proved to be this user: the claim `amr` (RFC 8176).
    pub methods: Vec<String>,
    /// The time until the session ends by itself. No token outlives it.
    pub ends_in: Duration,
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

    /// Issues an access token for `subject`, valid from `now`, and returns for how long. A token without a session gets a
    /// random `sid`.
    ///
    /// # Errors
    /// The key cannot sign, or the system has no random numbers.
    pub(crate) fn issue(
        &self,
        key: &Key,
        subject: &Subject<'_>,
        now: SystemTime,
    ) -> Result<(String, Duration), String> {
        let iat = unix_seconds(now);
        let session = subject.session;
        let valid_for = session.map_or(self.ttl, |session| self.ttl.min(session.ends_in));
        let claims = AccessClaims {
            iss: &self.issuer,
            aud: &self.audience,
            sub: subject.id.to_string(),
            iat,
            exp: iat + valid_for.as_secs(),
            jti: random_id()?,
            sid: session.map_or_else(|| random_id().map(Cow::Owned), |session| Ok(Cow::Borrowed(&*session.id)))?,
            auth_time: session.map(|session| session.authenticated_at),
            amr: session.map(|session| &*session.methods).unwrap_or_default(),
            user_type: subject.user_type,
            id: subject.id,
        };
        Ok((sign(key, &claims)?, valid_for))
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
