//! The issuers whose tokens are accepted: the gateway itself and the external issuers of the configuration. A handle
//! that all workers share. Knows no tokens but those that it issues.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use chassis::problem::Problem;
use jsonwebtoken::jwk::JwkSet;
use serde_json::{Map, Value};

use super::{
    claims::Claims,
    generation::KeyGeneration,
    issuers::{
        external::ExternalIssuer,
        own::{Issuer, Subject},
        verifying_key::{AUD, ExpectedClaims, KeyId, VerifyingKey},
    },
    keys::{folder::holds_no_key, key::Key, ring::KeyRing, set::KeySet},
    settings::{ExternalIssuerSettings, KeySource, OwnTokens, TokenSettings, TypRule},
};

/// A handle to the issuers. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct TokenIssuers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: TokenSettings,
    generation: KeyGeneration,
    own: Option<OwnIssuer>,
    external: Vec<ExternalIssuer>,
}

/// The gateway as an issuer.
#[derive(Clone, Debug)]
struct OwnIssuer {
    settings: OwnTokens,
    issuer: Arc<Issuer>,
    ring: KeyRing,
}

/// An issuer with its current keys.
#[derive(Debug)]
pub(crate) struct IssuerKeys {
    pub(crate) issuer: String,
    pub(crate) typ: TypRule,
    pub(crate) keys: Vec<VerifyingKey>,
    /// What to pass to [`TokenIssuers::refetch`]; `None` for the gateway itself.
    pub(crate) external: Option<usize>,
}

impl OwnIssuer {
    fn load(settings: &OwnTokens, generation: KeyGeneration, now: SystemTime) -> Result<Self, String> {
        let ring = KeyRing::load(settings, generation, now)?;
        Ok(Self { settings: settings.clone(), issuer: Arc::new(Issuer::new(settings)), ring })
    }
}

impl TokenIssuers {
    /// Loads our own keys. Those of external issuers are fetched once [`watch`](Self::watch) runs.
    ///
    /// # Errors
    /// Names the key file and the reason.
    pub(crate) fn load(settings: &TokenSettings, now: SystemTime) -> Result<Self, String> {
        let generation = KeyGeneration::default();
        let own = settings.own.as_ref().map(|own| OwnIssuer::load(own, generation.clone(), now));
        let external = settings.other_issuers.iter().map(|issuer| ExternalIssuer::new(issuer, generation.clone()));
        let (own, external) = (own.transpose()?, external.collect());
        Ok(Self(Arc::new(Inner { settings: settings.clone(), own, external, generation })))
    }

    /// Returns the issuers of other settings, which may be the same. Each issuer that stays keeps its keys: an external
    /// issuer may be down at this moment.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(crate) fn with_settings(&self, settings: &TokenSettings, now: SystemTime) -> Result<Self, String> {
        if *self.settings() == *settings {
            return Ok(self.clone());
        }
        // The keys that are kept go on counting their changes here.
        let generation = &self.0.generation;
        let own = settings.own.as_ref().map(|own| match &self.0.own {
            Some(known) if known.settings == *own => Ok(known.clone()),
            Some(_) | None => OwnIssuer::load(own, generation.clone(), now),
        });
        let external = |settings: &ExternalIssuerSettings| {
            let known = self.0.external.iter().find(|known| known.settings().issuer == settings.issuer);
            let new = || ExternalIssuer::new(settings, generation.clone());
            known.map_or_else(new, |known| known.with_settings(settings))
        };
        let (own, external) = (own.transpose()?, settings.other_issuers.iter().map(external).collect());
        Ok(Self(Arc::new(Inner { settings: settings.clone(), own, external, generation: generation.clone() })))
    }

    /// Loads keys that exist already, and creates none.
    ///
    /// # Errors
    /// Names the folder or file and the reason.
    pub(crate) fn load_existing(settings: &TokenSettings, now: SystemTime) -> Result<Self, String> {
        match settings.own.as_ref().map(|own| &own.keys) {
            Some(KeySource::Folder(folder)) if holds_no_key(folder) => {
                Err(format!("there is no key in {}", folder.display()))
            }
            Some(KeySource::Folder(_) | KeySource::Secret(_)) | None => Self::load(settings, now),
        }
    }

    /// Returns their settings.
    pub(crate) fn settings(&self) -> &TokenSettings {
        &self.0.settings
    }

    /// Returns whether this is a handle to the same issuers.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Polls the key folder and fetches the keys of external issuers, for as long as a handle exists. Calling it again
    /// has no effect. Needs the runtime of actix.
    pub(crate) fn watch(&self) {
        self.0.own.iter().for_each(|own| own.ring.watch());
        self.0.external.iter().for_each(ExternalIssuer::watch);
    }

    /// Polls our own keys once, as if it were `now`.
    #[cfg(test)]
    pub(crate) fn reload_own_keys(&self, now: SystemTime) -> Result<(), String> {
        self.0.own.as_ref().map_or(Ok(()), |own| own.ring.reload_if_changed(now))
    }

    /// Returns a number that changes whenever [`keys`](Self::keys) does.
    pub(crate) fn generation(&self) -> u64 {
        self.0.generation.get()
    }

    /// Returns every issuer with its current keys, always in the same order.
    pub(crate) fn keys(&self) -> Vec<IssuerKeys> {
        let own = self.0.own.iter().map(|own| own_keys(&own.settings, &own.ring.current()));
        let external = self.0.external.iter().enumerate().map(|(index, issuer)| IssuerKeys {
            issuer: issuer.settings().issuer.clone(),
            typ: issuer.settings().typ,
            keys: issuer.keys().to_vec(),
            external: Some(index),
        });
        own.chain(external).collect()
    }

    /// Reports which external issuers have keys, by name, for a gateway that has been running for `uptime`; `None` if there
    /// are no external issuers.
    ///
    /// # Errors
    /// Names those whose keys have never been fetched, and which are still waited for.
    pub(crate) fn readiness(&self, uptime: Duration) -> Result<Option<Value>, String> {
        if self.0.external.is_empty() {
            return Ok(None);
        }
        let is_awaited = |issuer: &&ExternalIssuer| !issuer.has_keys() && uptime < issuer.settings().wait_for_keys;
        let awaited: Vec<&str> =
            self.0.external.iter().filter(is_awaited).map(|issuer| issuer.settings().issuer.as_str()).collect();
        if !awaited.is_empty() {
            return Err(format!("the keys of {} have not been fetched yet", awaited.join(", ")));
        }
        let state = |issuer: &ExternalIssuer| {
            (issuer.settings().issuer.clone(), Value::from(if issuer.has_keys() { "ok" } else { "no keys" }))
        };
        Ok(Some(Value::Object(Map::from_iter(self.0.external.iter().map(state)))))
    }

    /// Has the keys of an external issuer fetched again. Returns whether that was done, so that verifying a token again
    /// may have another result.
    pub(crate) async fn refetch(&self, external: usize) -> bool {
        match self.0.external.get(external) {
            Some(issuer) => issuer.refetch().await,
            None => false,
        }
    }

    /// Replaces the keys of an external issuer by those of the JWKS in this file, instead of fetching them.
    ///
    /// # Errors
    /// The file cannot be read, or has no usable key.
    pub(crate) fn read_external(&self, external: usize, file: &Path) -> Result<(), String> {
        self.0.external.get(external).map_or(Ok(()), |issuer| issuer.read_keys(file))
    }

    /// Returns the settings of an external issuer.
    pub(crate) fn external_settings(&self, external: usize) -> Option<&ExternalIssuerSettings> {
        self.0.external.get(external).map(ExternalIssuer::settings)
    }

    /// Returns our public keys.
    pub(crate) fn jwks(&self) -> JwkSet {
        self.0.own.as_ref().map(|own| own.ring.current().jwks()).unwrap_or_default()
    }

    /// Issues an access token for `subject`, and returns how long it is valid.
    ///
    /// # Errors
    /// The gateway has no key of its own, or cannot sign.
    pub(crate) fn issue(&self, subject: &Subject<'_>, now: SystemTime) -> Result<(String, Duration), Problem> {
        let own = self.0.own.as_ref();
        let own = own.ok_or_else(|| Problem::internal("a token was to be issued, but there is no key of our own"))?;
        own.issuer.issue(own.ring.current().signing(), subject, now).map_err(Problem::internal)
    }

    /// Issues a token with any claims, for development, and returns how long it is valid.
    ///
    /// # Errors
    /// The gateway has no key of its own, or cannot sign.
    pub(crate) fn issue_with_claims(&self, claims: Claims, now: SystemTime) -> Result<(String, Duration), String> {
        let own = self.0.own.as_ref().ok_or("the configuration names no key of our own to sign with")?;
        let token = own.issuer.issue_with_claims(own.ring.current().signing(), claims, now)?;
        Ok((token, own.issuer.ttl()))
    }
}

fn own_keys(settings: &OwnTokens, keys: &KeySet) -> IssuerKeys {
    let expected = ExpectedClaims { issuer: &settings.issuer, audience: &settings.audience, audience_claim: AUD };
    let verifying = |key: &Arc<Key>| {
        // The name of one of our keys is its thumbprint.
        let id = KeyId { kid: Some(key.kid.clone()), thumbprint: key.kid.clone() };
        VerifyingKey::new(id, key.decoding.clone(), key.algorithm, expected)
    };
    IssuerKeys {
        issuer: settings.issuer.clone(),
        typ: TypRule::AccessToken,
        keys: keys.verifying().iter().map(verifying).collect(),
        external: None,
    }
}
