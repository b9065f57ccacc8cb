//! Verifies access tokens (RFC 7519, 8725 and 9068): the key determines the algorithm; type, issuer, audience and
//! expiry are required. Knows no routes.
//!
//! A verified token is cached, so that only the first request of a caller costs the verification of a signature, which
//! takes about 50 µs. The cache must not accept what a verification would refuse: a hit still checks the expiry, and
//! when keys change, the tokens of those that are gone are dropped before the next token is looked up (see
//! [`token_cache`](super::token_cache)).

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use actix_http::header::{HeaderValue, RETRY_AFTER};
use chassis::{
    identity::unix_seconds,
    problem::{Code, Problem},
};
use jsonwebtoken::Header;
use serde::Deserialize;
use serde_json::Value;

use super::{
    bearer,
    caller::Caller,
    claims::Claims,
    ended_sessions::{EndedSessions, SessionRefusal, TokenSession},
    issuers::{external::FETCH_INTERVAL_MIN, own::TYP, verifying_key::VerifyingKey},
    metrics::TokenCacheMetrics,
    settings::{LEEWAY, TypRule},
    token_cache::{TokenCache, TrustedKey},
    token_issuers::{IssuerKeys, TokenIssuers},
};

/// Maximum length of a token: 8 KiB. One of ours has about 400 bytes; those of external issuers may list groups.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// When a client is told to try again whose session could not be checked. The feed is read each second until then.
const RETRY_AFTER_SECONDS: u64 = 5;

/// Why a token is not accepted.
#[derive(Debug)]
pub(crate) enum VerifyError {
    /// 401.
    Rejected(Problem),
    /// It names a key that this external issuer may have by now: once its keys were fetched again
    /// ([`TokenIssuers::refetch`]), the token may turn out to be valid. If the issuer has no keys at all, they have never
    /// been fetched, and nothing is known about the token.
    UnknownKey { external: usize, has_keys: bool },
}

impl From<Problem> for VerifyError {
    fn from(problem: Problem) -> Self {
        Self::Rejected(problem)
    }
}

impl VerifyError {
    /// Returns the answer to the client.
    pub(crate) fn into_problem(self) -> Problem {
        match self {
            Self::Rejected(problem) => problem,
            Self::UnknownKey { has_keys: true, .. } => unknown_key(),
            Self::UnknownKey { has_keys: false, .. } => keys_unavailable(),
        }
    }
}

/// Verifies tokens. Each worker has one, with a cache of its own.
#[derive(Debug)]
pub(crate) struct Verifier {
    issuers: TokenIssuers,
    /// The generation of `keys`.
    generation: u64,
    keys: Vec<IssuerKeys>,
    cache: TokenCache,
    /// Which sessions have ended; `None` where nothing says so.
    sessions: Option<EndedSessions>,
    metrics: TokenCacheMetrics,
}

impl Verifier {
    /// A verifier for the tokens of every accepted issuer.
    pub(crate) fn new(issuers: TokenIssuers) -> Self {
        // Read before the keys: a change in between is noticed at the next token.
        let generation = issuers.generation();
        let keys = issuers.keys();
        let (cache, metrics) = (TokenCache::new(), TokenCacheMetrics::default());
        Self { issuers, generation, keys, cache, sessions: None, metrics }
    }

    /// Refuses our own tokens of these sessions.
    #[must_use]
    pub(crate) fn with_sessions(self, sessions: Option<EndedSessions>) -> Self {
        Self { sessions, ..self }
    }

    /// Counts the hits and misses of the cache in these metrics.
    #[must_use]
    pub(crate) fn with_metrics(self, metrics: TokenCacheMetrics) -> Self {
        Self { metrics, ..self }
    }

    /// Returns the caller of a token, at the time `now`.
    ///
    /// # Errors
    /// 401 `token_invalid`, `token_expired` or `session_ended`, 503 `sessions_unknown`, or a key that is not known yet.
    pub(crate) fn verify(&mut self, token: &str, now: SystemTime) -> Result<Rc<Caller>, VerifyError> {
        let generation = self.issuers.generation();
        if generation != self.generation {
            self.update_keys(generation);
        }
        if let Some(caller) = self.cache.get(token) {
            self.metrics.hits.inc();
            if unix_seconds(now) > caller.expires_at {
                self.cache.remove(token);
                return Err(bearer::expired().into());
            }
            // If the session has ended, the token stays in the cache: whoever goes on sending it costs no verification.
            check_session(self.sessions.as_ref(), caller)?;
            return Ok(Rc::clone(caller));
        }
        self.metrics.misses.inc();
        if token.len() > TOKEN_BYTES_MAX {
            return Err(bearer::invalid("the token is too long").into());
        }
        let (caller, key) = self.decode(token, now)?;
        check_session(self.sessions.as_ref(), &caller)?;
        let caller = Rc::new(caller);
        self.cache.insert(token, Rc::clone(&caller), key);
        Ok(caller)
    }

    /// Takes the current keys. Tokens whose key is still among them stay in the cache.
    fn update_keys(&mut self, generation: u64) {
        self.generation = generation;
        self.keys = self.issuers.keys();
        let keys = &self.keys;
        self.cache.retain_trusted(|trusted| {
            keys.get(trusted.issuer).is_some_and(|issuer| issuer.keys.iter().any(|key| key.id == trusted.id))
        });
    }

    fn decode(&self, token: &str, now: SystemTime) -> Result<(Caller, TrustedKey), VerifyError> {
        let header = jsonwebtoken::decode_header(token)
            .map_err(|error| bearer::invalid("the token is not a JWT").because(error))?;
        // A `crit` header names extensions that must be understood; there are none here (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(bearer::invalid("the token requires extensions that are not supported").into());
        }
        let index = self.issuer_of(token)?;
        let issuer = &self.keys[index];
        if !issuer.typ.allows(header.typ.as_deref()) {
            return Err(bearer::invalid("the token is not an access token").into());
        }
        let key = key_of(issuer, &header).map_or_else(|| Err(no_key(issuer, token)), Ok)?;
        let data = jsonwebtoken::decode::<Claims>(token, &key.decoding, &key.validation)
            .map_err(|error| bearer::invalid("the token is not valid").because(error))?;
        check_audience(key, &data.claims)?;
        let expires_at = check_times(&data.claims, unix_seconds(now))?;
        let is_own = issuer.external.is_none() && self.sessions.is_some();
        let sid = data.claims.get("sid").and_then(Value::as_str).filter(|_| is_own);
        let session = sid.map(TokenSession::new);
        let caller = Caller::with_token(data.claims, expires_at, session);
        Ok((caller, TrustedKey { issuer: index, id: Arc::clone(&key.id) }))
    }

    /// Returns the index of the issuer that a token claims to be of. Only the keys of this issuer are tried then, and
    /// `iss` is verified with the other claims: a key of one issuer never verifies a token of another, whatever its
    /// name.
    fn issuer_of(&self, token: &str) -> Result<usize, Problem> {
        if self.keys.len() == 1 {
            return Ok(0);
        }
        let claimed = claimed_issuer(token)?;
        self.keys.iter().position(|known| known.issuer == claimed).ok_or_else(unknown_issuer)
    }
}

/// Checks that the session of a token has not ended.
fn check_session(sessions: Option<&EndedSessions>, caller: &Caller) -> Result<(), Problem> {
    let Some((sessions, session)) = sessions.zip(caller.session.as_ref()) else { return Ok(()) };
    sessions.check(session).map_err(|refusal| match refusal {
        SessionRefusal::Ended => bearer::session_ended(),
        SessionRefusal::Unknown => sessions_unknown(),
    })
}

/// As with keys that are not available, a 401 would make clients throw their session away.
fn sessions_unknown() -> Problem {
    let detail = "it is not known at the moment which sessions have ended; try again";
    Problem::new(Code::SessionsUnknown, detail).with_header(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS))
}

/// Returns the issuer that a token claims to be of. Nothing is verified.
fn claimed_issuer(token: &str) -> Result<String, Problem> {
    let claimed: IssuerClaim = jsonwebtoken::dangerous::insecure_decode_claims(token)
        .map_err(|error| bearer::invalid("the token names no issuer").because(error))?;
    Ok(claimed.iss)
}

/// The claim that is read before a token is verified, to select the keys to verify it with.
#[derive(Deserialize)]
struct IssuerClaim {
    iss: String,
}

/// Returns the key that a token names. A token that names none is tried with the key that must have signed it: the only
/// one of its issuer for its algorithm. Its algorithm only selects the key: the signature is verified with that of the key.
fn key_of<'a>(issuer: &'a IssuerKeys, header: &Header) -> Option<&'a VerifyingKey> {
    match &header.kid {
        Some(kid) => issuer.keys.iter().find(|key| key.id.kid.as_ref() == Some(kid)),
        None => {
            let mut keys = issuer.keys.iter().filter(|key| key.validation.algorithms.contains(&header.alg));
            keys.next().filter(|_| keys.next().is_none())
        }
    }
}

/// Returns why a token is not accepted whose key this issuer does not have. A token that claims to be of somebody else is
/// refused at once: it must not have keys fetched, nor be answered 503 because those of this issuer are missing.
fn no_key(issuer: &IssuerKeys, token: &str) -> VerifyError {
    match (issuer.external, claimed_issuer(token)) {
        (_, Err(problem)) => problem.into(),
        (None, Ok(_)) => unknown_key().into(),
        (Some(external), Ok(claimed)) if claimed == issuer.issuer => {
            VerifyError::UnknownKey { external, has_keys: !issuer.keys.is_empty() }
        }
        (Some(_), Ok(_)) => unknown_issuer().into(),
    }
}

fn unknown_issuer() -> Problem {
    bearer::invalid("the issuer of the token is unknown")
}

/// A 401 would make clients throw their session away, although their token may be valid.
fn keys_unavailable() -> Problem {
    let detail = "the keys of the issuer of the token could not be fetched yet; try again";
    Problem::new(Code::KeysUnavailable, detail)
        .with_header(RETRY_AFTER, HeaderValue::from(FETCH_INTERVAL_MIN.as_secs()))
}

fn unknown_key() -> Problem {
    bearer::invalid("the key that signed the token is unknown")
}

impl TypRule {
    /// Returns whether a token of this type is accepted. RFC 9068, section 4: `at+jwt` or `application/at+jwt`; media
    /// types are case-insensitive.
    fn allows(self, typ: Option<&str>) -> bool {
        let typ = typ.map(str::to_ascii_lowercase);
        let typ = typ.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ));
        match self {
            Self::AccessToken => typ == Some(TYP),
            Self::Jwt => matches!(typ, Some(TYP | "jwt")),
            Self::Any => true,
        }
    }
}

/// Checks the audience of a token that has it in a claim other than `aud`.
fn check_audience(key: &VerifyingKey, claims: &Claims) -> Result<(), Problem> {
    let is_missing = |(claim, audience): &(String, String)| match claims.get(claim) {
        Some(Value::Array(items)) => !items.iter().any(|item| item == audience),
        held => held.is_none_or(|held| held != audience),
    };
    if key.audience.as_ref().is_some_and(is_missing) {
        return Err(bearer::invalid("the token is for another audience"));
    }
    Ok(())
}

/// Checks that a token is valid at `now`, and returns until when it is, in seconds since the epoch of Unix, leeway
/// included.
fn check_times(claims: &Claims, now: u64) -> Result<u64, Problem> {
    // A time that is `null` counts as absent.
    let time = |claim: &str| claims.get(claim).filter(|value| !value.is_null()).map(numeric_date);
    let expires = time("exp").flatten().ok_or_else(|| bearer::invalid("the token has no valid time of expiry"))?;
    let expires_at = expires.saturating_add(LEEWAY.as_secs());
    if expires_at < now {
        return Err(bearer::expired());
    }
    match time("nbf") {
        None => Ok(expires_at),
        Some(Some(not_before)) if not_before <= now.saturating_add(LEEWAY.as_secs()) => Ok(expires_at),
        Some(_) => Err(bearer::invalid("the token is not valid yet")),
    }
}

/// Returns a time of a token in whole seconds: a `NumericDate` may have a fraction (RFC 7519, section 2), which is cut off.
/// `None` if it is no such number.
fn numeric_date(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| Some(Duration::try_from_secs_f64(value.as_f64()?.floor()).ok()?.as_secs()))
}

#[cfg(test)]
mod tests;
