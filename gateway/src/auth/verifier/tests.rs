//! Tests of the verifier: which tokens it accepts, which it refuses, and what it caches.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::{config::Secret, problem::Code};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use super::{super::token_cache::ENTRIES_MAX, *};
use crate::auth::{
    issuers::own::Subject,
    keys::{files as keys, key::Key},
    settings::{KeySource, OwnTokens, TokenSettings},
};

const LEEWAY_SECONDS: u64 = LEEWAY.as_secs();

struct Fixture {
    issuers: TokenIssuers,
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
        let issuers =
            TokenIssuers::load(&TokenSettings { own: Some(own), other_issuers: Vec::new(), sessions: None }, now)
                .unwrap();
        let key = match source {
            KeySource::Secret(secret) => Key::hs256(&secret),
            KeySource::Folder(folder) => {
                Key::ed25519(&Secret::from_file(&folder.join(keys::SIGNING_KEY_FILE)).unwrap())
            }
        };
        Self { issuers, key: key.unwrap(), now }
    }

    fn verifier(&self) -> Verifier {
        Verifier::new(self.issuers.clone())
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

    fn verify(&self, token: &str) -> Result<(), Code> {
        self.verifier().verify(token, self.now).map(|_| ()).map_err(|error| error.into_problem().code())
    }
}

#[test]
fn an_issued_token_is_valid_until_it_expires() {
    let folder = tempfile::tempdir().unwrap();
    for fixture in [Fixture::hs256(), Fixture::of(KeySource::Folder(folder.path().to_owned()))] {
        let subject = Subject { id: 7, user_type: "admin", session: None };
        let (token, _) = fixture.issuers.issue(&subject, fixture.now).unwrap();
        let mut verifier = fixture.verifier();
        let caller = verifier.verify(&token, fixture.now).unwrap();
        assert_eq!((caller.text("sub"), caller.text("user_type")), (Some("7"), Some("admin")));
        let late = fixture.now + Duration::from_secs(60 + LEEWAY_SECONDS + 1);
        let refused = verifier.verify(&token, late).unwrap_err().into_problem();
        assert_eq!(refused.code(), Code::TokenExpired, "a cached token expires too");
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
        ("exp", json!(-1), Err(Code::TokenInvalid)),
        ("exp", json!((now + 60).to_string()), Err(Code::TokenInvalid)),
        ("nbf", json!(now + 60), Err(Code::TokenInvalid)),
        ("nbf", json!("soon"), Err(Code::TokenInvalid)),
        ("nbf", json!(now + 4), Ok(())),
    ] {
        let mut claims = fixture.claims();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(claim);
        } else {
            claims[claim] = value.clone();
        }
        let token = fixture.token(&fixture.header(), &claims);
        assert_eq!(fixture.verify(&token), expected, "{claim} = {value}");
    }
}

#[test]
fn a_time_with_a_fraction_is_cut_to_whole_seconds_whether_the_token_is_cached_or_not() {
    let fixture = Fixture::hs256();
    let now = unix_seconds(fixture.now);
    let second = |offset: i64, fraction: &str| -> Value {
        serde_json::from_str(&format!("{}.{fraction}", now.saturating_add_signed(offset))).unwrap()
    };
    for (claim, value, expected) in [
        ("exp", second(60, "25"), Ok(())),
        ("exp", second(60, "75"), Ok(())),
        ("exp", second(-5, "75"), Ok(())),
        ("exp", second(-6, "75"), Err(Code::TokenExpired)),
        ("exp", json!(9e9), Ok(())),
        ("exp", json!(1e300), Err(Code::TokenInvalid)),
        ("nbf", second(5, "75"), Ok(())),
        ("nbf", second(6, "25"), Err(Code::TokenInvalid)),
        ("iat", second(-1, "75"), Ok(())),
    ] {
        let mut claims = fixture.claims();
        claims[claim] = value.clone();
        let token = fixture.token(&fixture.header(), &claims);
        let mut verifier = fixture.verifier();
        for attempt in ["verified", "cached", "cached again"] {
            let verified = verifier.verify(&token, fixture.now);
            let code = verified.map(|_| ()).map_err(|error| error.into_problem().code());
            assert_eq!(code, expected, "{claim} = {value}, {attempt}");
        }
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
        ("no key, by another algorithm", Header { kid: None, alg: Algorithm::HS384, ..good.clone() }),
        ("an unknown extension", Header { crit: Some(vec!["b64".to_owned()]), ..good.clone() }),
        ("another algorithm", Header { alg: Algorithm::HS384, ..good.clone() }),
    ] {
        let token = fixture.token(&header, &fixture.claims());
        assert_eq!(fixture.verify(&token), Err(Code::TokenInvalid), "{why}");
    }
    let long = Header { typ: Some("application/AT+JWT".to_owned()), ..good };
    assert_eq!(fixture.verify(&fixture.token(&long, &fixture.claims())), Ok(()));
}

#[test]
fn a_token_without_a_key_id_is_tried_with_the_only_key_that_can_have_signed_it() {
    let folder = tempfile::tempdir().unwrap();
    for fixture in [Fixture::hs256(), Fixture::of(KeySource::Folder(folder.path().to_owned()))] {
        let header = Header { kid: None, ..fixture.header() };
        let good = fixture.token(&header, &fixture.claims());
        assert_eq!(fixture.verify(&good), Ok(()), "{:?}", header.alg);
        let end = good.len() - 10;
        let forged =
            format!("{}{}{}", &good[..end], if good[end..].starts_with('A') { 'B' } else { 'A' }, &good[end + 1..]);
        assert_eq!(fixture.verify(&forged), Err(Code::TokenInvalid), "{:?}", header.alg);
    }
    keys::create_next_signing_key(folder.path(), SystemTime::now()).unwrap();
    let two_keys = Fixture::of(KeySource::Folder(folder.path().to_owned()));
    assert_eq!(two_keys.verify(&two_keys.token(&two_keys.header(), &two_keys.claims())), Ok(()));
    let nameless = two_keys.token(&Header { kid: None, ..two_keys.header() }, &two_keys.claims());
    assert_eq!(two_keys.verify(&nameless), Err(Code::TokenInvalid), "either key can have signed it");
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
        assert_eq!(fixture.verify(&token), Err(Code::TokenInvalid), "{why}");
    }
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::of(KeySource::Folder(folder.path().to_owned()));
    let public = serde_json::to_vec(&fixture.issuers.jwks()).unwrap();
    let jwks: Value = serde_json::from_slice(&public).unwrap();
    let x = URL_SAFE_NO_PAD.decode(jwks["keys"][0]["x"].as_str().unwrap()).unwrap();
    for secret in [public, x] {
        let header = Header { alg: Algorithm::HS256, ..fixture.header() };
        let forged = jsonwebtoken::encode(&header, &fixture.claims(), &EncodingKey::from_secret(&secret)).unwrap();
        assert_eq!(fixture.verify(&forged), Err(Code::TokenInvalid));
    }
}

#[test]
fn only_public_keys_are_published() {
    assert_eq!(serde_json::to_string(&Fixture::hs256().issuers.jwks()).unwrap(), r#"{"keys":[]}"#);
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::of(KeySource::Folder(folder.path().to_owned()));
    let jwks = serde_json::to_value(fixture.issuers.jwks()).unwrap();
    let key = &jwks["keys"][0];
    assert_eq!(key["kty"], "OKP");
    assert_eq!(key["kid"], fixture.key.kid.as_str());
    assert!(key.get("d").is_none(), "{key}");
    let again = Fixture::of(KeySource::Folder(folder.path().to_owned()));
    assert_eq!(again.key.kid, fixture.key.kid, "the key stays");
}

/// A gateway with a folder of keys, and a verifier that counts its cache.
struct Rotation {
    folder: tempfile::TempDir,
    issuers: TokenIssuers,
    verifier: Verifier,
    metrics: TokenCacheMetrics,
    start: SystemTime,
}

impl Rotation {
    const TTL: Duration = Duration::from_secs(3600);

    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let start = SystemTime::now();
        let own = OwnTokens {
            issuer: "issuer".to_owned(),
            audience: "api".to_owned(),
            ttl: Self::TTL,
            keys: KeySource::Folder(folder.path().to_owned()),
            publish_for: Duration::from_secs(600),
        };
        let issuers =
            TokenIssuers::load(&TokenSettings { own: Some(own), other_issuers: Vec::new(), sessions: None }, start)
                .unwrap();
        let metrics = TokenCacheMetrics::default();
        let verifier = Verifier::new(issuers.clone()).with_metrics(metrics.clone());
        Self { folder, issuers, verifier, metrics, start }
    }

    fn issue(&self) -> String {
        self.issuers.issue(&Subject { id: 7, user_type: "admin", session: None }, self.start).unwrap().0
    }

    /// Polls the folder as if `seconds` had passed.
    fn poll(&self, seconds: u64) {
        self.issuers.reload_own_keys(self.start + Duration::from_secs(seconds)).unwrap();
    }

    /// Whether the token is accepted, and whether it was in the cache.
    fn verify(&mut self, token: &str) -> (bool, bool) {
        let hits = self.metrics.hits.get();
        let accepted = self.verifier.verify(token, self.start).is_ok();
        (accepted, self.metrics.hits.get() > hits)
    }
}

const CACHED: (bool, bool) = (true, true);
const VERIFIED: (bool, bool) = (true, false);
const REFUSED: (bool, bool) = (false, false);

#[test]
fn a_new_key_leaves_the_tokens_of_the_old_one_cached_and_a_revoked_key_drops_only_its_own() {
    let mut rotation = Rotation::new();
    let old = rotation.issue();
    assert_eq!(rotation.verify(&old), VERIFIED);
    assert_eq!(rotation.verify(&old), CACHED);

    keys::create_next_signing_key(rotation.folder.path(), rotation.start).unwrap();
    rotation.poll(0);
    assert_eq!(rotation.verify(&old), CACHED, "the next key is published");
    rotation.poll(601);
    let new = rotation.issue();
    assert_eq!(rotation.verify(&new), VERIFIED);
    assert_eq!(rotation.verify(&old), CACHED, "the next key signs");

    let first = rotation.folder.path().join(keys::SIGNING_KEY_FILE);
    std::fs::rename(&first, first.with_extension("revoked")).unwrap();
    rotation.poll(602);
    assert_eq!(rotation.verify(&old), REFUSED, "its key is revoked");
    assert_eq!(rotation.verify(&new), CACHED, "its key is still trusted");
}

#[test]
fn a_retired_key_takes_its_cached_tokens_with_it() {
    let mut rotation = Rotation::new();
    let old = rotation.issue();
    assert_eq!(rotation.verify(&old), VERIFIED);
    keys::create_next_signing_key(rotation.folder.path(), rotation.start).unwrap();
    // Published for 600 s, then superseded for the lifetime of a token and twice the leeway.
    rotation.poll(601 + Rotation::TTL.as_secs() + 2 * LEEWAY_SECONDS);
    assert_eq!(rotation.verify(&old), REFUSED);
}

#[test]
fn the_cache_has_a_maximum_size_and_keeps_the_tokens_in_use() {
    let fixture = Fixture::hs256();
    let metrics = TokenCacheMetrics::default();
    let mut verifier = fixture.verifier().with_metrics(metrics.clone());
    let token = |number: usize| {
        let mut claims = fixture.claims();
        claims["jti"] = json!(number);
        fixture.token(&fixture.header(), &claims)
    };
    let in_use = token(0);
    verifier.verify(&in_use, fixture.now).unwrap();
    let more = ENTRIES_MAX + 100;
    for number in 1..=more {
        verifier.verify(&token(number), fixture.now).unwrap();
        verifier.verify(&in_use, fixture.now).unwrap();
    }
    assert_eq!((metrics.hits.get(), metrics.misses.get()), (more as u64, more as u64 + 1));
}
