//! The keys of the gateway: made, loaded, published. No private key leaves this module but as a signer.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use chassis::config::Secret;
use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey, KeypairBytes, spki::der::pem::LineEnding},
};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use zeroize::Zeroizing;

use crate::config::KeySource;

/// The file in the key folder.
pub const SIGNING_KEY_FILE: &str = "signing-key.pem";

/// PKCS #8 version 1 of an Ed25519 key (RFC 8410, section 7): these 16 bytes, then the 32 of the key.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// One key, with which tokens are signed and verified.
pub struct Key {
    pub(super) kid: String,
    pub(super) algorithm: Algorithm,
    pub(super) encoding: EncodingKey,
    pub(super) decoding: DecodingKey,
    /// What is published; nothing of a shared secret is.
    public: Option<Jwk>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Key {
    /// Loads the key, and makes it first where a folder has none.
    ///
    /// # Errors
    /// Names the file and the reason.
    pub fn load(source: &KeySource) -> Result<Self, String> {
        match source {
            KeySource::Secret(secret) => Self::hs256(secret),
            KeySource::Folder(folder) => Self::ed25519(folder),
        }
    }

    fn hs256(secret: &Secret) -> Result<Self, String> {
        let encoding = EncodingKey::from_secret(secret.expose().as_bytes());
        let decoding = DecodingKey::from_secret(secret.expose().as_bytes());
        let jwk = Jwk::from_encoding_key(&encoding, Algorithm::HS256).map_err(|error| error.to_string())?;
        let kid = thumbprint(&jwk)?;
        Ok(Self { kid, algorithm: Algorithm::HS256, encoding, decoding, public: None })
    }

    fn ed25519(folder: &Path) -> Result<Self, String> {
        create_signing_key(folder)?;
        let file = folder.join(SIGNING_KEY_FILE);
        let pem = Secret::from_file(&file)?;
        let key = SigningKey::from_pkcs8_pem(pem.expose())
            .map_err(|error| format!("{} holds no Ed25519 key in PKCS #8 (PEM): {error}", file.display()))?;
        let der = Zeroizing::new([&PKCS8_PREFIX[..], key.as_bytes()].concat());
        let encoding = EncodingKey::from_ed_der(&der);
        let mut jwk = Jwk::from_encoding_key(&encoding, Algorithm::EdDSA).map_err(|error| error.to_string())?;
        let kid = thumbprint(&jwk)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let decoding = DecodingKey::from_ed_der(key.verifying_key().as_bytes());
        Ok(Self { kid, algorithm: Algorithm::EdDSA, encoding, decoding, public: Some(jwk) })
    }

    /// The public keys, as `/.well-known/jwks.json` shows them (RFC 7517, section 5).
    pub fn jwks(&self) -> JwkSet {
        JwkSet { keys: self.public.iter().cloned().collect() }
    }
}

/// The `kid` of a key is its thumbprint (RFC 7638), so that the same key has the same name everywhere.
fn thumbprint(jwk: &Jwk) -> Result<String, String> {
    jwk.thumbprint(ThumbprintHash::SHA256).map_err(|error| error.to_string())
}

/// Makes the signing key of a folder that has none; an existing one is kept.
///
/// # Errors
/// Names the file and the reason.
pub fn create_signing_key(folder: &Path) -> Result<(), String> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|error| format!("the system gives no randomness: {error}"))?;
    let pair = KeypairBytes { secret_key: *seed, public_key: None };
    use ed25519_dalek::pkcs8::EncodePrivateKey;
    let pem = pair.to_pkcs8_pem(LineEnding::LF).map_err(|error| error.to_string())?;
    create_private_file(&folder.join(SIGNING_KEY_FILE), pem.as_bytes())
}

/// Makes a random shared key for the assertions of one service; an existing one is kept.
///
/// # Errors
/// Names the file and the reason.
pub fn create_internal_key(file: &Path) -> Result<(), String> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *random).map_err(|error| format!("the system gives no randomness: {error}"))?;
    let text = Zeroizing::new(format!("{}\n", URL_SAFE_NO_PAD.encode(*random)));
    create_private_file(file, text.as_bytes())
}

/// Makes the key `file` unless it is there, and copies it to `copy` unless that is there.
///
/// # Errors
/// Names the file and the reason; a copy that differs is one.
pub fn share_internal_key(file: &Path, copy: &Path) -> Result<(), String> {
    create_internal_key(file)?;
    let key = Secret::from_file(file)?;
    let line = Zeroizing::new(format!("{}\n", key.expose()));
    create_private_file(copy, line.as_bytes())?;
    if Secret::from_file(copy)?.expose() == key.expose() {
        return Ok(());
    }
    Err(format!("{} and {} are different keys; remove the one that is wrong", file.display(), copy.display()))
}

/// Writes a file that only its owner reads, whole or not at all: it is written beside and then linked to its name,
/// which fails where another process was faster, whose file then stays.
///
/// # Errors
/// Names the file and the reason.
pub fn create_private_file(file: &Path, content: &[u8]) -> Result<(), String> {
    if file.exists() {
        return Ok(());
    }
    let folder = file.parent().unwrap_or(Path::new("."));
    let describe = |error: io::Error| format!("cannot create {}: {error}", file.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(describe)?;
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let linked = write_private(Path::new(&beside), content).and_then(|()| fs::hard_link(&beside, file));
    let _ = fs::remove_file(&beside);
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.and_then(|()| fs::File::open(folder)?.sync_all()).map_err(describe),
    }
}

fn write_private(file: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    file.write_all(content)?;
    file.sync_all()
}
