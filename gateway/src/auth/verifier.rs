//! Verifies access tokens, strictly: algorithm pinned by the key, type, issuer, audience and expiry
//! required. The verified are remembered, so that a caller's second request costs no signature.

use std::{collections::HashMap, rc::Rc, time::SystemTime};

use chassis::{identity::unix_seconds, problem::Problem};
use foldhash::fast::RandomState;
use jsonwebtoken::{Header, errors::ErrorKind};
use serde::Deserialize;

use super::{
    bearer,
    caller::Caller,
    issuers::{jwks::VerifyingKey, own::TYP},
    metrics::TokenCacheMetrics,
    policy::Claims,
    settings::{LEEWAY, TypRule},
    token_issuers::{IssuerKeys, TokenIssuers},
};

/// A token of ours has about 400 bytes. A longer one is not ours, and not worth hashing.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// 4,096 tokens of 0.5 KiB with their claims of about 1.5 KiB: 8 MiB for each worker at most.
const CACHE_ENTRIES_MAX: usize = 4096;

/// Why a token is not believed.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// 401.
    Problem(Problem),
    /// It names a key that this issuer elsewhere may have by now: fetched anew, it may turn out to be good.
    UnknownKey { foreign: usize },
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Refusal {
    /// What the client is told.
    pub(crate) fn into_problem(self) -> Problem {
        match self {
            Self::Problem(problem) => problem,
            Self::UnknownKey { .. } => unknown_key(),
        }
    }
}

/// Verifies tokens. One for each worker, since it remembers.
#[derive(Debug)]
pub(crate) struct Verifier {
    issuers: TokenIssuers,
    /// Of the issuers, when it was asked last.
    generation: u64,
    believed: Vec<IssuerKeys>,
    /// By a quick hash, keyed at random: only who can have tokens signed could fill it.
    verified: HashMap<Box<str>, Rc<Caller>, RandomState>,
    lookups: TokenCacheMetrics,
}

impl Verifier {
    /// A verifier for the tokens of every issuer that is believed.
    pub(crate) fn new(issuers: TokenIssuers) -> Self {
        // Before the keys, so that a change in between is seen the next time.
        let generation = issuers.generation();
        let believed = issuers.believed();
        Self { issuers, generation, believed, verified: HashMap::default(), lookups: TokenCacheMetrics::default() }
    }

    /// Counts with these whether tokens were remembered.
    #[must_use]
    pub(crate) fn counting(self, lookups: TokenCacheMetrics) -> Self {
        Self { lookups, ..self }
    }

    /// The caller that a token names, at the time `now`.
    ///
    /// # Errors
    /// 401 `token_invalid` or `token_expired`, or a key that is not known yet.
    pub(crate) fn verify(&mut self, token: &str, now: SystemTime) -> Result<Rc<Caller>, Refusal> {
        if self.issuers.generation() != self.generation {
            // What was verified with a key that is believed no more must not stay.
            *self = Self::new(self.issuers.clone()).counting(self.lookups.clone());
        }
        let now = unix_seconds(now);
        if let Some(caller) = self.verified.get(token) {
            self.lookups.hits.inc();
            if now <= caller.expires {
                return Ok(Rc::clone(caller));
            }
            self.verified.remove(token);
            return Err(bearer::expired().into());
        }
        self.lookups.misses.inc();
        if token.len() > TOKEN_BYTES_MAX {
            return Err(bearer::invalid("the token is too long").into());
        }
        let caller = Rc::new(self.decode(token)?);
        if self.verified.len() >= CACHE_ENTRIES_MAX {
            self.forget(now);
        }
        self.verified.insert(token.into(), Rc::clone(&caller));
        Ok(caller)
    }

    fn decode(&self, token: &str) -> Result<Caller, Refusal> {
        let header =
            jsonwebtoken::decode_header(token).map_err(|error| bearer::invalid("this is no JWT").because(error))?;
        // A `crit` header names extensions that must be understood; there are none here (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(bearer::invalid("the token asks for extensions that are unknown here").into());
        }
        let issuer = self.issuer_of(token)?;
        if !issuer.typ.allows(header.typ.as_deref()) {
            return Err(bearer::invalid("the token is not an access token").into());
        }
        let key = key_of(issuer, &header)?;
        let data = jsonwebtoken::decode::<Claims>(token, &key.decoding, &key.validation).map_err(refusal)?;
        let expires = data.claims.get("exp").and_then(serde_json::Value::as_u64).unwrap_or(0);
        Ok(Caller::until(data.claims, expires.saturating_add(LEEWAY.as_secs())))
    }

    /// Whose token it says it is. Only that issuer's keys are tried then, and `iss` is verified with the rest: keys of
    /// one issuer never vouch for another, whatever they call themselves.
    fn issuer_of(&self, token: &str) -> Result<&IssuerKeys, Problem> {
        if let [only] = self.believed.as_slice() {
            return Ok(only);
        }
        let claimed: Issued = jsonwebtoken::dangerous::insecure_decode_claims(token)
            .map_err(|error| bearer::invalid("the token names no issuer").because(error))?;
        let found = self.believed.iter().find(|believed| believed.issuer == claimed.iss);
        found.ok_or_else(|| bearer::invalid("the token is of an issuer that is unknown here"))
    }

    /// Makes room: first the expired, and where that is not enough, all. They only cost a verification.
    fn forget(&mut self, now: u64) {
        self.verified.retain(|_, caller| now <= caller.expires);
        if self.verified.len() >= CACHE_ENTRIES_MAX {
            self.verified.clear();
        }
    }
}

/// What is read of a token before it is verified, to know with whose keys to verify it.
#[derive(Deserialize)]
struct Issued {
    iss: String,
}

/// The key that a token names. Where an issuer elsewhere has only one, its tokens need not name it.
fn key_of<'a>(issuer: &'a IssuerKeys, header: &Header) -> Result<&'a VerifyingKey, Refusal> {
    let found = match (&header.kid, issuer.foreign, issuer.keys.as_slice()) {
        (Some(kid), _, keys) => keys.iter().find(|key| key.kid.as_ref() == Some(kid)),
        (None, Some(_), [only]) => Some(only),
        (None, _, _) => None,
    };
    found.ok_or_else(|| match issuer.foreign {
        Some(foreign) => Refusal::UnknownKey { foreign },
        None => unknown_key().into(),
    })
}

fn unknown_key() -> Problem {
    bearer::invalid("the token was signed with a key that is unknown here")
}

impl TypRule {
    /// RFC 9068, section 4: `at+jwt` or `application/at+jwt`; media types are case-insensitive.
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

fn refusal(error: jsonwebtoken::errors::Error) -> Problem {
    if matches!(error.kind(), ErrorKind::ExpiredSignature) {
        bearer::expired().because(error)
    } else {
        bearer::invalid("the token is not valid here").because(error)
    }
}

#[cfg(test)]
mod tests;
