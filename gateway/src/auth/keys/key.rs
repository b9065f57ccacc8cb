//! One key of the gateway: it signs, verifies and is published. A private key leaves this module only as an encoding
//! key of the library.

use chassis::config::Secret;
use ed25519_dalek::{SigningKey, pkcs8::DecodePrivateKey};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{Jwk, PublicKeyUse, ThumbprintHash},
};
use zeroize::Zeroizing;

/// PKCS #8 version 1 of an Ed25519 key (RFC 8410, section 7): these 16 bytes, then the 32 of the key.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A key that signs and verifies tokens.
pub(crate) struct Key {
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) encoding: EncodingKey,
    pub(crate) decoding: DecodingKey,
    /// The public key; `None` for a shared secret, which is never published.
    pub(crate) public: Option<Jwk>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Key {
    /// Creates a key from a shared secret (HS256).
    ///
    /// # Errors
    /// The library cannot compute the id of the key.
    pub(crate) fn hs256(secret: &Secret) -> Result<Self, String> {
        let encoding = EncodingKey::from_secret(secret.expose().as_bytes());
        let decoding = DecodingKey::from_secret(secret.expose().as_bytes());
        let jwk = Jwk::from_encoding_key(&encoding, Algorithm::HS256).map_err(|error| error.to_string())?;
        let kid = thumbprint(&jwk)?;
        Ok(Self { kid, algorithm: Algorithm::HS256, encoding, decoding, public: None })
    }

    /// Creates a key from an Ed25519 private key in PKCS #8 (PEM).
    ///
    /// # Errors
    /// The text is not such a key.
    pub(crate) fn ed25519(pem: &Secret) -> Result<Self, String> {
        let key = SigningKey::from_pkcs8_pem(pem.expose()).map_err(|error| error.to_string())?;
        let der = Zeroizing::new([&PKCS8_PREFIX[..], key.as_bytes()].concat());
        let encoding = EncodingKey::from_ed_der(&der);
        let mut jwk = Jwk::from_encoding_key(&encoding, Algorithm::EdDSA).map_err(|error| error.to_string())?;
        let kid = thumbprint(&jwk)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let decoding = DecodingKey::from_ed_der(key.verifying_key().as_bytes());
        Ok(Self { kid, algorithm: Algorithm::EdDSA, encoding, decoding, public: Some(jwk) })
    }

    /// Returns its id, the `kid` of token headers.
    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }
}

/// The `kid` of a key is its thumbprint (RFC 7638), so that the same key has the same name everywhere.
fn thumbprint(jwk: &Jwk) -> Result<String, String> {
    jwk.thumbprint(ThumbprintHash::SHA256).map_err(|error| error.to_string())
}
