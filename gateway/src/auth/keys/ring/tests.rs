//! Tests of key rotation by files: publish, sign, retire, revoke. The time is passed in.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use serde_json::Value;

use super::{
    super::files::{SIGNING_KEY_FILE, create_next_signing_key, create_signing_key},
    KeyRing,
};
use crate::auth::{
    generation::KeyGeneration,
    issuers::own::Subject,
    settings::{KeySource, OwnTokens, TokenSettings},
    token_issuers::TokenIssuers,
    verifier::Verifier,
};

const TTL: Duration = Duration::from_secs(3600);
const PUBLISH_FOR: Duration = Duration::from_secs(600);
/// The leeway of the verifier, for both clocks.
const LEEWAYS: Duration = Duration::from_secs(10);

fn settings(folder: &Path) -> OwnTokens {
    OwnTokens {
        issuer: "issuer".to_owned(),
        audience: "api".to_owned(),
        ttl: TTL,
        keys: KeySource::Folder(folder.to_owned()),
        publish_for: PUBLISH_FOR,
    }
}

fn ring(folder: &Path, now: SystemTime) -> KeyRing {
    KeyRing::load(&settings(folder), KeyGeneration::default(), now).unwrap()
}

/// The signing key and all that are published.
fn state(ring: &KeyRing) -> (String, Vec<String>) {
    let set = ring.current();
    let jwks = serde_json::to_value(set.jwks()).unwrap();
    let kid = |key: &Value| key["kid"].as_str().unwrap().to_owned();
    let mut published: Vec<String> = jwks["keys"].as_array().unwrap().iter().map(kid).collect();
    published.sort();
    (set.signing().kid().to_owned(), published)
}

fn sorted(kids: &[&str]) -> Vec<String> {
    let mut kids: Vec<String> = kids.iter().map(|kid| (*kid).to_owned()).collect();
    kids.sort();
    kids
}

#[test]
fn a_new_key_is_published_at_once_and_signs_later_and_the_old_one_retires() {
    let folder = tempfile::tempdir().unwrap();
    let start = SystemTime::now();
    let ring = ring(folder.path(), start);
    let (old, published) = state(&ring);
    assert_eq!(published, std::slice::from_ref(&old), "a single key signs at once");

    create_next_signing_key(folder.path(), start).unwrap();
    ring.reload_if_changed(start).unwrap();
    let (signing, published) = state(&ring);
    assert_eq!((&signing, published.len()), (&old, 2), "published, not signing");
    let new = published.into_iter().find(|kid| *kid != old).unwrap();
    // The name says when, to the second.
    let signs = start + PUBLISH_FOR;
    ring.reload_if_changed(signs - Duration::from_secs(2)).unwrap();
    assert_eq!(state(&ring).0, old);
    ring.reload_if_changed(signs).unwrap();
    assert_eq!(state(&ring), (new.clone(), sorted(&[&old, &new])), "its tokens are still valid");
    ring.reload_if_changed(signs + TTL + LEEWAYS - Duration::from_secs(2)).unwrap();
    assert_eq!(state(&ring).1, sorted(&[&old, &new]));
    ring.reload_if_changed(signs + TTL + LEEWAYS).unwrap();
    assert_eq!(state(&ring), (new.clone(), sorted(&[&new])), "retired, although its file is there");
}

#[test]
fn a_removed_key_verifies_until_its_tokens_have_expired_and_a_revoked_one_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let start = SystemTime::now();
    let issuers = TokenIssuers::load(
        &TokenSettings { own: Some(settings(folder.path())), other_issuers: Vec::new(), sessions: None },
        start,
    )
    .unwrap();
    let (old_token, _) = issuers.issue(&Subject { id: 7, user_type: "admin", session: None }, start).unwrap();
    let ring = ring(folder.path(), start);
    let old = state(&ring).0;
    let first = folder.path().join(SIGNING_KEY_FILE);
    let content = fs::read(&first).unwrap();

    create_next_signing_key(folder.path(), start).unwrap();
    fs::remove_file(&first).unwrap();
    ring.reload_if_changed(start).unwrap();
    let (new, published) = state(&ring);
    assert_ne!(new, old);
    assert_eq!(published, sorted(&[&old, &new]), "its tokens are still valid");
    ring.reload_if_changed(start + TTL + LEEWAYS).unwrap();
    assert_eq!(state(&ring).1, sorted(&[&new]));

    fs::write(folder.path().join("signing-key.revoked"), content).unwrap();
    let fresh = TokenIssuers::load(
        &TokenSettings { own: Some(settings(folder.path())), other_issuers: Vec::new(), sessions: None },
        start,
    )
    .unwrap();
    assert!(Verifier::new(fresh).verify(&old_token, start).is_err());
    let removed_again = self::ring(folder.path(), start);
    assert_eq!(state(&removed_again).1, sorted(&[&new]));
}

#[test]
fn a_revoked_key_stops_verifying_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let start = SystemTime::now();
    let ring = ring(folder.path(), start);
    let old = state(&ring).0;
    create_next_signing_key(folder.path(), start).unwrap();
    ring.reload_if_changed(start).unwrap();
    assert_eq!(state(&ring).1.len(), 2);
    let first = folder.path().join(SIGNING_KEY_FILE);
    fs::rename(&first, first.with_extension("revoked")).unwrap();
    ring.reload_if_changed(start).unwrap();
    let (new, published) = state(&ring);
    assert_ne!(new, old);
    assert_eq!(published, [new]);
}

#[test]
fn a_broken_file_changes_nothing_and_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let start = SystemTime::now();
    let ring = ring(folder.path(), start);
    let before = state(&ring);
    for (file, content) in [("z.pem", &b"rubbish"[..]), ("z.pem", &[b'x'; 20_000]), ("z.pem", b"\xff")] {
        fs::write(folder.path().join(file), content).unwrap();
        let error = ring.reload_if_changed(start).unwrap_err();
        assert!(error.contains("z.pem"), "{error}");
        ring.reload_if_changed(start).unwrap();
        assert_eq!(state(&ring), before);
    }
    fs::remove_file(folder.path().join("z.pem")).unwrap();
    fs::write(folder.path().join("notes.txt"), "no key").unwrap();
    fs::write(folder.path().join(".hidden.pem"), "no key").unwrap();
    ring.reload_if_changed(start).unwrap();
    assert_eq!(state(&ring), before);
    fs::remove_file(folder.path().join(SIGNING_KEY_FILE)).unwrap();
    assert!(ring.reload_if_changed(start).unwrap_err().contains("holds no key"));
    assert_eq!(state(&ring), before, "an empty folder changes nothing either");
}

#[test]
fn the_time_of_a_file_without_a_date_in_its_name_counts() {
    let folder = tempfile::tempdir().unwrap();
    let start = SystemTime::now();
    let ring = ring(folder.path(), start);
    let old = state(&ring).0;
    let other = tempfile::tempdir().unwrap();
    create_signing_key(other.path()).unwrap();
    let added = folder.path().join("another.pem");
    fs::copy(other.path().join(SIGNING_KEY_FILE), &added).unwrap();
    fs::File::options().append(true).open(&added).unwrap().set_modified(start + Duration::from_secs(60)).unwrap();
    ring.reload_if_changed(start).unwrap();
    assert_eq!((state(&ring).0, state(&ring).1.len()), (old.clone(), 2));
    ring.reload_if_changed(start + PUBLISH_FOR + Duration::from_secs(60)).unwrap();
    assert_ne!(state(&ring).0, old);
}
