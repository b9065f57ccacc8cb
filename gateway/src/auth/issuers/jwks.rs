//! Reads the JWKS document of an issuer (RFC 7517). Pure: knows no network.

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse, ThumbprintHash},
};
use serde::Deserialize;

use super::verifying_key::{ExpectedClaims, KeyId, VerifyingKey};

/// Maximum number of keys of one issuer. Two or three are usual.
const KEYS_MAX: usize = 64;
/// Minimum length of an RSA modulus: 2048 bits (RFC 7518, section 3.3) are 342 characters of base64url without padding.
const RSA_MODULUS_CHARS_MIN: usize = 342;

/// A JWKS document. Its keys are read one by one, so that one of an unknown kind spoils no other.
#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

/// Returns the keys of a JWKS document that verify signatures. Other keys in it (for encryption, of unknown kinds) are
/// ignored, as RFC 7517, section 5, recommends.
///
/// # Errors
/// It is not a JWKS, or has no usable key.
pub(super) fn verifying_keys(document: &[u8], expected: ExpectedClaims<'_>) -> Result<Vec<VerifyingKey>, String> {
    let document: Document =
        serde_json::from_slice(document).map_err(|error| format!("the document is not a JWKS: {error}"))?;
    if document.keys.len() > KEYS_MAX {
        return Err(format!("the JWKS has more than {KEYS_MAX} keys"));
    }
    let jwks = document.keys.into_iter().filter_map(|value| serde_json::from_value::<Jwk>(value).ok());
    let keys: Vec<VerifyingKey> = jwks
        .filter_map(|jwk| {
            let algorithm = algorithm(&jwk)?;
            let decoding = DecodingKey::from_jwk(&jwk).ok()?;
            let thumbprint = jwk.thumbprint(ThumbprintHash::SHA256).ok()?;
            let id = KeyId { kid: jwk.common.key_id, thumbprint };
            Some(VerifyingKey::new(id, decoding, algorithm, expected))
        })
        .collect();
    if keys.is_empty() { Err("the JWKS has no key that verifies signatures".to_owned()) } else { Ok(keys) }
}

/// The algorithms of RSA keys. The first one is usual, and that of a key that names none.
const RSA: &[(KeyAlgorithm, Algorithm)] = &[
    (KeyAlgorithm::RS256, Algorithm::RS256),
    (KeyAlgorithm::RS384, Algorithm::RS384),
    (KeyAlgorithm::RS512, Algorithm::RS512),
    (KeyAlgorithm::PS256, Algorithm::PS256),
    (KeyAlgorithm::PS384, Algorithm::PS384),
    (KeyAlgorithm::PS512, Algorithm::PS512),
];
const P256: &[(KeyAlgorithm, Algorithm)] = &[(KeyAlgorithm::ES256, Algorithm::ES256)];
const P384: &[(KeyAlgorithm, Algorithm)] = &[(KeyAlgorithm::ES384, Algorithm::ES384)];
const ED25519: &[(KeyAlgorithm, Algorithm)] = &[(KeyAlgorithm::EdDSA, Algorithm::EdDSA)];

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum of the library is non-exhaustive; an unknown kind is ignored"
)]
/// Returns the algorithm of a key: the one that it names, if keys of its kind have it, or else the usual one of its kind. A key
/// has a single algorithm (RFC 8725, section 3.1). `None` if the key is for something else, or if it is a shared secret, which
/// a published document must not contain.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
        return None;
    }
    let known = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) if rsa.n.len() >= RSA_MODULUS_CHARS_MIN => RSA,
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => P256,
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P384 => P384,
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => ED25519,
        _ => return None,
    };
    let found = match jwk.common.key_algorithm {
        Some(named) => known.iter().find(|(name, _)| *name == named),
        None => known.first(),
    };
    found.map(|(_, algorithm)| *algorithm)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const EXPECTED: ExpectedClaims<'static> =
        ExpectedClaims { issuer: "issuer", audience: "api", audience_claim: "aud" };

    fn read(keys: &Value) -> Result<Vec<(Option<String>, Algorithm)>, String> {
        let document = json!({ "keys": keys }).to_string();
        let keys = verifying_keys(document.as_bytes(), EXPECTED)?;
        Ok(keys.into_iter().map(|key| (key.id.kid.clone(), key.validation.algorithms[0])).collect())
    }

    #[test]
    fn the_kind_of_a_key_decides_the_algorithm() {
        // The key of RFC 8037, appendix A.2, and the one of RFC 7515, appendix A.3.
        let ed25519 =
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "a"});
        let p256 = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "kid": "b"});
        let rsa = json!({"kty": "RSA", "n": "w".repeat(342), "e": "AQAB", "alg": "RS256"});
        // The base point of the curve (FIPS 186-4, section D.1.2.4).
        let p384 = json!({"kty": "EC", "crv": "P-384", "kid": "c",
            "x": "qofKIr6LBTeOscce8yCtdG4dO2KLp5uYWfdB4IJUKjhVAvJdv1UpbDpUXjhydgq3",
            "y": "NhfeSpYmLG9dnpi_kpLcKfj0Hb0omhR86doxE7XwuMAKYLHOHX6BnXpDHXyQ6g5f"});
        let pss = json!({"kty": "RSA", "n": "w".repeat(342), "e": "AQAB", "alg": "PS256"});
        let read = read(&json!([ed25519, p256, p384, rsa, pss])).unwrap();
        let expected = [
            (Some("a".to_owned()), Algorithm::EdDSA),
            (Some("b".to_owned()), Algorithm::ES256),
            (Some("c".to_owned()), Algorithm::ES384),
            (None, Algorithm::RS256),
            (None, Algorithm::PS256),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn a_key_that_verifies_no_signature_is_ignored() {
        let rsa = |more: Value| {
            let mut key = json!({"kty": "RSA", "n": "w".repeat(342), "e": "AQAB"});
            key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            key
        };
        for (why, key) in [
            ("to encrypt", rsa(json!({"use": "enc"}))),
            ("another algorithm", rsa(json!({"alg": "RSA-OAEP"}))),
            ("an algorithm of another kind", rsa(json!({"alg": "ES256"}))),
            ("a short modulus", rsa(json!({"n": "w".repeat(171)}))),
            ("a secret", json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ", "alg": "HS256"})),
            ("an unknown kind", json!({"kty": "PQ", "x": "1"})),
        ] {
            assert!(read(&json!([key.clone()])).is_err(), "{why}");
            assert_eq!(read(&json!([key, rsa(json!({}))])).unwrap().len(), 1, "{why}");
        }
        assert!(verifying_keys(b"[]", EXPECTED).is_err());
        assert!(read(&Value::Array(vec![rsa(json!({})); KEYS_MAX + 1])).is_err());
    }
}
