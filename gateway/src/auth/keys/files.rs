//! Creates the key files of the gateway. Overwrites none.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use chassis::config::Secret;
use ed25519_dalek::pkcs8::{EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding};
use zeroize::Zeroizing;

use super::{folder::holds_no_key, rotation};

/// Name of the first key of a folder; later ones have a date in their names.
pub(crate) const SIGNING_KEY_FILE: &str = "signing-key.pem";
/// Random bytes of an internal key: 256 bits, as long as the hash of the assertions that it signs.
pub(crate) const INTERNAL_KEY_BYTES: usize = 32;

/// Creates the first signing key of a folder that has none; existing keys are kept.
///
/// ```
/// let folder = tempfile::tempdir().unwrap();
/// gateway::keys::create_signing_key(folder.path()).unwrap();
/// assert!(std::fs::read_to_string(folder.path().join("signing-key.pem")).unwrap().contains("PRIVATE KEY"));
/// ```
///
/// # Errors
/// Names the file and the reason.
pub fn create_signing_key(folder: &Path) -> Result<(), String> {
    if holds_no_key(folder) { write_signing_key(&folder.join(SIGNING_KEY_FILE)) } else { Ok(()) }
}

/// Creates the next signing key of a folder, dated `now`: a running gateway publishes it at once and signs with it
/// later.
///
/// # Errors
/// Names the file and the reason: among others, a second key in the same second.
pub(crate) fn create_next_signing_key(folder: &Path, now: SystemTime) -> Result<PathBuf, String> {
    let file = folder.join(format!("signing-key-{}.pem", rotation::file_date(now)));
    if file.exists() {
        return Err(format!("{} exists already", file.display()));
    }
    write_signing_key(&file)?;
    Ok(file)
}

fn write_signing_key(file: &Path) -> Result<(), String> {
    create_private_file(file, random_signing_key()?.as_bytes())
}

/// Returns a random signing key, as a file contains it.
///
/// # Errors
/// Says that the system has no random numbers.
pub(crate) fn random_signing_key() -> Result<Zeroizing<String>, String> {
    let pair = KeypairBytes { secret_key: *random::<32>()?, public_key: None };
    pair.to_pkcs8_pem(LineEnding::LF).map_err(|error| error.to_string())
}

/// Returns a random text with 8 bits for each byte: a key that two processes share, or a password.
///
/// # Errors
/// Says that the system has no random numbers.
pub(crate) fn random_text<const BYTES: usize>() -> Result<Zeroizing<String>, String> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(*random::<BYTES>()?)))
}

fn random<const BYTES: usize>() -> Result<Zeroizing<[u8; BYTES]>, String> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    getrandom::fill(&mut *bytes).map_err(|error| format!("the system has no random numbers: {error}"))?;
    Ok(bytes)
}

/// Creates a random shared key for the assertions of one service; an existing one is kept.
///
/// ```
/// let folder = tempfile::tempdir().unwrap();
/// let file = folder.path().join("users.key");
/// gateway::keys::create_internal_key(&file).unwrap();
/// let key = std::fs::read_to_string(&file).unwrap();
/// gateway::keys::create_internal_key(&file).unwrap();
/// assert_eq!(std::fs::read_to_string(&file).unwrap(), key);
/// ```
///
/// # Errors
/// Names the file and the reason.
pub fn create_internal_key(file: &Path) -> Result<(), String> {
    let text = Zeroizing::new(format!("{}\n", *random_text::<INTERNAL_KEY_BYTES>()?));
    create_private_file(file, text.as_bytes())
}

/// Creates the key `file` and its copy `copy`; existing files are kept.
///
/// # Errors
/// Names the file and the reason: among others, a copy that differs.
pub(crate) fn share_internal_key(file: &Path, copy: &Path) -> Result<(), String> {
    create_internal_key(file)?;
    let key = Secret::from_file(file)?;
    let line = Zeroizing::new(format!("{}\n", key.expose()));
    create_private_file(copy, line.as_bytes())?;
    if Secret::from_file(copy)?.expose() == key.expose() {
        return Ok(());
    }
    Err(format!("{} and {} are different keys; remove the one that is wrong", file.display(), copy.display()))
}

/// Writes a file that only its owner can read, completely or not at all: it is written under a temporary name and then
/// linked to its own. If another process was faster, linking fails and the file of the other process is kept.
///
/// ```
/// let folder = tempfile::tempdir().unwrap();
/// gateway::keys::create_private_file(&folder.path().join("secret"), b"1").unwrap();
/// assert_eq!(std::fs::read(folder.path().join("secret")).unwrap(), b"1");
/// ```
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
