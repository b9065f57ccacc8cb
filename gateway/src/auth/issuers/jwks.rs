//! Reads the public keys of an issuer (RFC 7517) into what verifies its tokens. Pure: knows no network.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;

use crate::auth::settings::LEEWAY;

/// An issuer has two or three keys. More than this is none whose keys we want to keep.
const KEYS_MAX: usize = 64;
/// 2048 bits (RFC 7518, section 3.3); in base64url, without padding, 342 characters.
const RSA_MODULUS_CHARS_MIN: usize = 342;

/// Verifies the tokens of one key.
#[derive(Clone)]
pub(crate) struct VerifyingKey {
    /// What the `kid` of a token must be; an only key may have no name.
    pub(crate) kid: Option<String>,
    pub(crate) decoding: DecodingKey,
    /// With the algorithm that belongs to the key: a token does not choose it.
    pub(crate) validation: Validation,
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyingKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl VerifyingKey {
    /// A key whose tokens must be of this issuer and for this audience.
    pub(crate) fn new(
        kid: Option<String>,
        decoding: DecodingKey,
        algorithm: Algorithm,
        issuer: &str,
        audience: &str,
    ) -> Self {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY.as_secs();
        validation.validate_nbf = true;
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Self { kid, decoding, validation }
    }
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

/// The keys of a JWKS document that verify signatures. Others in it (to encrypt, of kinds unknown here) are passed over,
/// as RFC 7517, section 5, has it.
///
/// # Errors
/// It is no JWKS, or has no key that could be used.
pub(crate) fn verifying_keys(document: &[u8], issuer: &str, audience: &str) -> Result<Vec<VerifyingKey>, String> {
    let document: Document = serde_json::from_slice(document).map_err(|error| format!("this is no JWKS: {error}"))?;
    if document.keys.len() > KEYS_MAX {
        return Err(format!("it has more than {KEYS_MAX} keys"));
    }
    let jwks = document.keys.into_iter().filter_map(|value| serde_json::from_value::<Jwk>(value).ok());
    let keys: Vec<VerifyingKey> = jwks
        .filter_map(|jwk| {
            let algorithm = algorithm(&jwk)?;
            let decoding = DecodingKey::from_jwk(&jwk).ok()?;
            Some(VerifyingKey::new(jwk.common.key_id, decoding, algorithm, issuer, audience))
        })
        .collect();
    if keys.is_empty() { Err("it has no key that verifies signatures".to_owned()) } else { Ok(keys) }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum of the library is non-exhaustive; an unknown kind is none"
)]
/// The one algorithm of a key, by its kind; where it names another, it is for something else. A secret, which the
/// document would publish, is none.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
        return None;
    }
    let usual = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) if rsa.n.len() >= RSA_MODULUS_CHARS_MIN => {
            (KeyAlgorithm::RS256, Algorithm::RS256)
        }
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            (KeyAlgorithm::ES256, Algorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (KeyAlgorithm::EdDSA, Algorithm::EdDSA)
        }
        _ => return None,
    };
    jwk.common.key_algorithm.is_none_or(|named| named == usual.0).then_some(usual.1)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(keys: &Value) -> Result<Vec<(Option<String>, Algorithm)>, String> {
        let document = json!({ "keys": keys }).to_string();
        let keys = verifying_keys(document.as_bytes(), "issuer", "api")?;
        Ok(keys.into_iter().map(|key| (key.kid, key.validation.algorithms[0])).collect())
    }

    #[test]
    fn the_kind_of_a_key_decides_the_algorithm() {
        // The key of RFC 8037, appendix A.2, and the one of RFC 7515, appendix A.3.
        let ed25519 =
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "a"});
        let p256 = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "kid": "b"});
        let rsa = json!({"kty": "RSA", "n": "w".repeat(342), "e": "AQAB", "alg": "RS256"});
        let read = read(&json!([ed25519, p256, rsa])).unwrap();
        let expected = [
            (Some("a".to_owned()), Algorithm::EdDSA),
            (Some("b".to_owned()), Algorithm::ES256),
            (None, Algorithm::RS256),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn what_verifies_no_signature_is_passed_over() {
        let rsa = |more: Value| {
            let mut key = json!({"kty": "RSA", "n": "w".repeat(342), "e": "AQAB"});
            key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            key
        };
        for (why, key) in [
            ("to encrypt", rsa(json!({"use": "enc"}))),
            ("another algorithm", rsa(json!({"alg": "RSA-OAEP"}))),
            ("a short modulus", rsa(json!({"n": "w".repeat(171)}))),
            ("a secret", json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ", "alg": "HS256"})),
            ("an unknown kind", json!({"kty": "PQ", "x": "1"})),
        ] {
            assert!(read(&json!([key.clone()])).is_err(), "{why}");
            assert_eq!(read(&json!([key, rsa(json!({}))])).unwrap().len(), 1, "{why}");
        }
        assert!(verifying_keys(b"[]", "i", "a").is_err());
        assert!(read(&Value::Array(vec![rsa(json!({})); KEYS_MAX + 1])).is_err());
    }
}
