//! Verifies access tokens, strictly: algorithm pinned by the key, type, issuer, audience and expiry
//! required. The verified are remembered, so that a caller's second request costs no signature.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::Rc,
    time::{Duration, SystemTime},
};

use chassis::{identity::unix_seconds, problem::Problem};
use jsonwebtoken::{Header, errors::ErrorKind};
use serde::Deserialize;

use super::{
    assertions::Assertions,
    bearer,
    issuer::TYP,
    jwks::VerifyingKey,
    policy::Claims,
    trust::{Believed, Trust},
};
use crate::config::TypRule;

/// Clocks of two machines may differ by this much; the default of the library, 60 s, is a gift to thieves.
pub const LEEWAY: Duration = Duration::from_secs(5);
/// A token of ours has about 400 bytes. A longer one is not ours, and not worth hashing.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// 4,096 tokens of 0.5 KiB with their claims of about 1.5 KiB: 8 MiB for each worker at most.
const CACHE_ENTRIES_MAX: usize = 4096;

/// A caller whose token was verified.
#[derive(Debug)]
pub struct Caller {
    pub claims: Claims,
    /// What was signed about this caller.
    pub assertions: RefCell<Assertions>,
    expires: u64,
}

impl Caller {
    /// A caller that something else than a token told of; it is not remembered, and so does not expire.
    pub fn of(claims: Claims) -> Self {
        Self::until(claims, u64::MAX)
    }

    fn until(claims: Claims, expires: u64) -> Self {
        Self { claims, assertions: RefCell::new(Assertions::of_caller()), expires }
    }

    /// A claim that is a text.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(serde_json::Value::as_str)
    }
}

/// Why a token is not believed.
#[derive(Debug)]
pub enum Refusal {
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
    pub fn into_problem(self) -> Problem {
        match self {
            Self::Problem(problem) => problem,
            Self::UnknownKey { .. } => unknown_key(),
        }
    }
}

/// Verifies tokens. One for each worker, since it remembers.
#[derive(Debug)]
pub struct Verifier {
    trust: Trust,
    /// Of the trust, when it was asked last.
    generation: u64,
    believed: Vec<Believed>,
    verified: HashMap<Box<str>, Rc<Caller>>,
}

impl Verifier {
    /// A verifier for the tokens of every issuer that is believed.
    pub fn new(trust: Trust) -> Self {
        // Before the keys, so that a change in between is seen the next time.
        let generation = trust.generation();
        let believed = trust.believed();
        Self { trust, generation, believed, verified: HashMap::new() }
    }

    /// The caller that a token names, at the time `now`.
    ///
    /// # Errors
    /// 401 `token_invalid` or `token_expired`, or a key that is not known yet.
    pub fn verify(&mut self, token: &str, now: SystemTime) -> Result<Rc<Caller>, Refusal> {
        if self.trust.generation() != self.generation {
            // What was verified with a key that is believed no more must not stay.
            *self = Self::new(self.trust.clone());
        }
        let now = unix_seconds(now);
        if let Some(caller) = self.verified.get(token) {
            if now <= caller.expires {
                return Ok(Rc::clone(caller));
            }
            self.verified.remove(token);
            return Err(bearer::expired().into());
        }
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
    fn issuer_of(&self, token: &str) -> Result<&Believed, Problem> {
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
fn key_of<'a>(issuer: &'a Believed, header: &Header) -> Result<&'a VerifyingKey, Refusal> {
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
mod tests {
    use std::time::Duration;

    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use chassis::{config::Secret, problem::Code};
    use jsonwebtoken::{Algorithm, EncodingKey, Header};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        auth::{issuer::Subject, key::Key, keys},
        config::{KeySource, OwnTokens, TokenSettings},
    };

    const LEEWAY_SECONDS: u64 = LEEWAY.as_secs();

    struct Fixture {
        trust: Trust,
        key: Key,
        now: SystemTime,
    }

    impl Fixture {
        fn of(source: KeySource) -> Self {
            let now = SystemTime::now();
            let own = OwnTokens {
                issuer: "issuer".to_owned(),
                audience: "api".to_owned(),
                ttl: Duration::from_secs(60),
                keys: source.clone(),
                publish_for: Duration::from_secs(600),
            };
            let trust = Trust::load(&TokenSettings { own: Some(own), foreign: Vec::new() }, now).unwrap();
            let key = match source {
                KeySource::Secret(secret) => Key::hs256(&secret),
                KeySource::Folder(folder) => {
                    Key::ed25519(&Secret::from_file(&folder.join(keys::SIGNING_KEY_FILE)).unwrap())
                }
            };
            Self { trust, key: key.unwrap(), now }
        }

        fn verifier(&self) -> Verifier {
            Verifier::new(self.trust.clone())
        }

        fn hs256() -> Self {
            Self::of(KeySource::Secret(Secret::new("s".repeat(32))))
        }

        fn token(&self, header: &Header, claims: &Value) -> String {
            jsonwebtoken::encode(header, claims, &self.key.encoding).unwrap()
        }

        fn header(&self) -> Header {
            Header { typ: Some(TYP.to_owned()), kid: Some(self.key.kid.clone()), ..Header::new(self.key.algorithm) }
        }

        fn claims(&self) -> Value {
            json!({"iss": "issuer", "aud": "api", "sub": "7", "exp": unix_seconds(self.now) + 60})
        }

        fn verdict(&self, token: &str) -> Result<(), Code> {
            self.verifier().verify(token, self.now).map(|_| ()).map_err(|refusal| refusal.into_problem().code())
        }
    }

    #[test]
    fn an_issued_token_is_valid_until_it_expires() {
        let folder = tempfile::tempdir().unwrap();
        for fixture in [Fixture::hs256(), Fixture::of(KeySource::Folder(folder.path().to_owned()))] {
            let subject = Subject { id: 7, user_type: "admin" };
            let (token, _) = fixture.trust.issue(&subject, fixture.now).unwrap();
            let mut verifier = fixture.verifier();
            let caller = verifier.verify(&token, fixture.now).unwrap();
            assert_eq!((caller.text("sub"), caller.text("user_type")), (Some("7"), Some("admin")));
            let late = fixture.now + Duration::from_secs(60 + LEEWAY_SECONDS + 1);
            let refused = verifier.verify(&token, late).unwrap_err().into_problem();
            assert_eq!(refused.code(), Code::TokenExpired, "a remembered token expires too");
        }
    }

    #[test]
    fn a_token_with_wrong_or_missing_claims_is_refused() {
        let fixture = Fixture::hs256();
        let now = unix_seconds(fixture.now);
        for (claim, value, expected) in [
            ("iss", json!("another"), Err(Code::TokenInvalid)),
            ("iss", Value::Null, Err(Code::TokenInvalid)),
            ("aud", json!("another"), Err(Code::TokenInvalid)),
            ("aud", Value::Null, Err(Code::TokenInvalid)),
            ("aud", json!(["x", "api"]), Ok(())),
            ("sub", Value::Null, Err(Code::TokenInvalid)),
            ("exp", Value::Null, Err(Code::TokenInvalid)),
            ("exp", json!("soon"), Err(Code::TokenInvalid)),
            ("exp", json!(now - 6), Err(Code::TokenExpired)),
            ("exp", json!(now - 1), Ok(())),
            ("nbf", json!(now + 60), Err(Code::TokenInvalid)),
        ] {
            let mut claims = fixture.claims();
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(claim);
            } else {
                claims[claim] = value.clone();
            }
            let token = fixture.token(&fixture.header(), &claims);
            assert_eq!(fixture.verdict(&token), expected, "{claim} = {value}");
        }
    }

    #[test]
    fn a_token_with_a_wrong_header_is_refused() {
        let fixture = Fixture::hs256();
        let good = fixture.header();
        for (why, header) in [
            ("an ID token", Header { typ: Some("JWT".to_owned()), ..good.clone() }),
            ("no type", Header { typ: None, ..good.clone() }),
            ("another key", Header { kid: Some("another".to_owned()), ..good.clone() }),
            ("a path as key", Header { kid: Some("../../dev/null".to_owned()), ..good.clone() }),
            ("no key", Header { kid: None, ..good.clone() }),
            ("an unknown extension", Header { crit: Some(vec!["b64".to_owned()]), ..good.clone() }),
            ("another algorithm", Header { alg: Algorithm::HS384, ..good.clone() }),
        ] {
            let token = fixture.token(&header, &fixture.claims());
            assert_eq!(fixture.verdict(&token), Err(Code::TokenInvalid), "{why}");
        }
        let long = Header { typ: Some("application/AT+JWT".to_owned()), ..good };
        assert_eq!(fixture.verdict(&fixture.token(&long, &fixture.claims())), Ok(()));
    }

    #[test]
    fn unsigned_and_tampered_tokens_are_refused() {
        let fixture = Fixture::hs256();
        let good = fixture.token(&fixture.header(), &fixture.claims());
        let parts: Vec<&str> = good.split('.').collect();
        let none = json!({"alg": "none", "typ": TYP, "kid": fixture.key.kid}).to_string();
        let admin = URL_SAFE_NO_PAD.encode(json!({"iss": "issuer", "aud": "api", "sub": "1", "exp": 9e9}).to_string());
        for (why, token) in [
            ("alg none", format!("{}.{}.", URL_SAFE_NO_PAD.encode(&none), parts[1])),
            ("alg none with a signature", format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(none), parts[1], parts[2])),
            ("other claims", format!("{}.{admin}.{}", parts[0], parts[2])),
            ("no signature", format!("{}.{}.", parts[0], parts[1])),
            ("two parts", format!("{}.{}", parts[0], parts[1])),
            ("no JWT", "abc".to_owned()),
            ("too long", "a".repeat(TOKEN_BYTES_MAX + 1)),
        ] {
            assert_eq!(fixture.verdict(&token), Err(Code::TokenInvalid), "{why}");
        }
    }

    #[test]
    fn a_public_key_is_no_shared_secret() {
        let folder = tempfile::tempdir().unwrap();
        let fixture = Fixture::of(KeySource::Folder(folder.path().to_owned()));
        let public = serde_json::to_vec(&fixture.trust.jwks()).unwrap();
        let jwks: Value = serde_json::from_slice(&public).unwrap();
        let x = URL_SAFE_NO_PAD.decode(jwks["keys"][0]["x"].as_str().unwrap()).unwrap();
        for secret in [public, x] {
            let header = Header { alg: Algorithm::HS256, ..fixture.header() };
            let forged = jsonwebtoken::encode(&header, &fixture.claims(), &EncodingKey::from_secret(&secret)).unwrap();
            assert_eq!(fixture.verdict(&forged), Err(Code::TokenInvalid));
        }
    }

    #[test]
    fn only_public_keys_are_published() {
        assert_eq!(serde_json::to_string(&Fixture::hs256().trust.jwks()).unwrap(), r#"{"keys":[]}"#);
        let folder = tempfile::tempdir().unwrap();
        let fixture = Fixture::of(KeySource::Folder(folder.path().to_owned()));
        let jwks = serde_json::to_value(fixture.trust.jwks()).unwrap();
        let key = &jwks["keys"][0];
        assert_eq!(key["kty"], "OKP");
        assert_eq!(key["kid"], fixture.key.kid.as_str());
        assert!(key.get("d").is_none(), "{key}");
        let again = Fixture::of(KeySource::Folder(folder.path().to_owned()));
        assert_eq!(again.key.kid, fixture.key.kid, "the key stays");
    }

    #[test]
    fn the_memory_for_verified_tokens_is_bounded() {
        let fixture = Fixture::hs256();
        let mut verifier = fixture.verifier();
        for n in 0..=CACHE_ENTRIES_MAX {
            let mut claims = fixture.claims();
            claims["jti"] = json!(n);
            verifier.verify(&fixture.token(&fixture.header(), &claims), fixture.now).unwrap();
        }
        assert!(verifier.verified.len() <= CACHE_ENTRIES_MAX);
    }
}
