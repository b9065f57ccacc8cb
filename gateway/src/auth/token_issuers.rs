//! Whose tokens are believed: our own, and those of the issuers elsewhere that the configuration names. A handle that
//! all workers share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use chassis::problem::Problem;
use jsonwebtoken::jwk::JwkSet;

use super::{
    generation::Generation,
    issuers::{
        foreign::Foreign,
        jwks::VerifyingKey,
        own::{Issuer, Subject},
    },
    keys::{folder::holds_no_key, ring::KeyRing, set::KeySet},
    policy::Claims,
    settings::{KeySource, OwnTokens, TokenSettings, TypRule},
};

/// The handle. Clones are the same issuers.
#[derive(Clone, Debug)]
pub(crate) struct TokenIssuers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pub(crate) settings: TokenSettings,
    pub(crate) watched: AtomicBool,
    generation: Generation,
    own: Option<Own>,
    foreign: Vec<Foreign>,
}

#[derive(Debug)]
struct Own {
    settings: OwnTokens,
    issuer: Issuer,
    ring: KeyRing,
}

/// An issuer with its keys, as they were when asked for.
#[derive(Debug)]
pub(crate) struct IssuerKeys {
    pub(crate) issuer: String,
    pub(crate) typ: TypRule,
    pub(crate) keys: Vec<VerifyingKey>,
    /// The index of the issuer elsewhere whose keys can be fetched anew.
    pub(crate) foreign: Option<usize>,
}

impl TokenIssuers {
    /// Loads our own keys; those of others are fetched once [`watch`](Self::watch) runs.
    ///
    /// # Errors
    /// Names the key file and the reason.
    pub(crate) fn load(settings: &TokenSettings, now: SystemTime) -> Result<Self, String> {
        let generation = Generation::default();
        let own = settings.own.as_ref().map(|own| {
            let ring = KeyRing::load(own, generation.clone(), now)?;
            Ok::<_, String>(Own { settings: own.clone(), issuer: Issuer::new(own), ring })
        });
        let foreign = settings.foreign.iter().map(|issuer| Foreign::new(issuer, generation.clone())).collect();
        let watched = AtomicBool::new(false);
        Ok(Self(Arc::new(Inner { settings: settings.clone(), watched, generation, own: own.transpose()?, foreign })))
    }

    /// Loads keys that are there already; makes none.
    ///
    /// # Errors
    /// Names the folder or file and the reason.
    pub(crate) fn existing(settings: &TokenSettings, now: SystemTime) -> Result<Self, String> {
        match settings.own.as_ref().map(|own| &own.keys) {
            Some(KeySource::Folder(folder)) if holds_no_key(folder) => {
                Err(format!("there is no key in {}", folder.display()))
            }
            Some(KeySource::Folder(_) | KeySource::Secret(_)) | None => Self::load(settings, now),
        }
    }

    /// Its settings.
    pub(crate) fn settings(&self) -> &TokenSettings {
        &self.0.settings
    }

    /// Whether this is a handle to the same issuers.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Watches the key folder and fetches the keys of others, for as long as a handle exists. Asking twice does
    /// nothing. Needs the runtime of actix.
    pub(crate) fn watch(&self) {
        if self.0.watched.swap(true, Ordering::Relaxed) {
            return;
        }
        self.0.own.iter().for_each(|own| own.ring.watch());
        self.0.foreign.iter().for_each(Foreign::watch);
    }

    /// Changes whenever [`believed`](Self::believed) does.
    pub(crate) fn generation(&self) -> u64 {
        self.0.generation.get()
    }

    /// Every issuer with its keys, as they are now.
    pub(crate) fn believed(&self) -> Vec<IssuerKeys> {
        let own = self.0.own.iter().map(|own| own_keys(&own.settings, &own.ring.current()));
        let foreign = self.0.foreign.iter().enumerate().map(|(index, foreign)| IssuerKeys {
            issuer: foreign.settings().issuer.clone(),
            typ: foreign.settings().typ,
            keys: foreign.keys().to_vec(),
            foreign: Some(index),
        });
        own.chain(foreign).collect()
    }

    /// Has the keys of an issuer elsewhere fetched; whether that was done, so that another look is worth it.
    pub(crate) async fn fetched_anew(&self, foreign: usize) -> bool {
        match self.0.foreign.get(foreign) {
            Some(foreign) => foreign.fetched_anew().await,
            None => false,
        }
    }

    /// Our public keys.
    pub(crate) fn jwks(&self) -> JwkSet {
        self.0.own.as_ref().map(|own| own.ring.current().jwks()).unwrap_or_default()
    }

    /// An access token of ours for `subject`, and how long it is valid.
    ///
    /// # Errors
    /// The gateway has no key of its own, or it cannot sign.
    pub(crate) fn issue(&self, subject: &Subject<'_>, now: SystemTime) -> Result<(String, Duration), Problem> {
        let own = self.0.own.as_ref();
        let own = own.ok_or_else(|| Problem::internal("a token was to be issued, but there is no key of our own"))?;
        let token = own.issuer.issue(own.ring.current().signing(), subject, now).map_err(Problem::internal)?;
        Ok((token, own.issuer.ttl()))
    }

    /// A token of ours with any claims, for development, and how long it is valid.
    ///
    /// # Errors
    /// The gateway has no key of its own, or it cannot sign.
    pub(crate) fn issue_any(&self, claims: Claims, now: SystemTime) -> Result<(String, Duration), String> {
        let own = self.0.own.as_ref().ok_or("the configuration names no key of our own to sign with")?;
        let token = own.issuer.issue_any(own.ring.current().signing(), claims, now)?;
        Ok((token, own.issuer.ttl()))
    }
}

fn own_keys(settings: &OwnTokens, keys: &KeySet) -> IssuerKeys {
    let verifying = |key: &Arc<super::keys::key::Key>| {
        let kid = Some(key.kid.clone());
        VerifyingKey::new(kid, key.decoding.clone(), key.algorithm, &settings.issuer, &settings.audience)
    };
    IssuerKeys {
        issuer: settings.issuer.clone(),
        typ: TypRule::AccessToken,
        keys: keys.believed().iter().map(verifying).collect(),
        foreign: None,
    }
}
