//! The public keys of an external issuer: fetched from its JWKS, cached, and fetched again. Knows no tokens.
//!
//! The tricky part is an unknown key. The issuer may have rotated its keys a moment ago, so that they should be fetched
//! again at once; or somebody sends tokens with invented keys, and each of them would cause a request to the issuer. So
//! there is one task for each issuer that fetches, whoever asks, and it does so once in [`FETCH_INTERVAL_MIN`] at most.
//! Keys that were fetched stay in use for as long as the issuer cannot be reached, also over a reload.

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use awc::{Client, Connector};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use super::{
    jwks::verifying_keys,
    metadata,
    verifying_key::{ExpectedClaims, VerifyingKey},
};
use crate::{
    auth::{
        generation::KeyGeneration,
        settings::{ExternalIssuerSettings, JwksSource},
    },
    files::read::read_bounded,
    tls,
};

/// Maximum size of a JWKS: 256 KiB. A key with its certificates has about 1 KiB, and an issuer has 64 keys at most.
const JWKS_BYTES_MAX: usize = 256 * 1024;
/// Maximum time of a fetch, from connecting to the last byte.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Minimum interval between two fetches, however many unknown keys are asked for.
pub(crate) const FETCH_INTERVAL_MIN: Duration = Duration::from_secs(10);
/// Maximum interval until the next fetch after one that failed.
const RETRY_INTERVAL_MAX: Duration = Duration::from_secs(30);

/// A handle to the keys of an external issuer. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct ExternalIssuer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: ExternalIssuerSettings,
    /// The last valid document.
    jwks: ArcSwap<FetchedJwks>,
    generation: KeyGeneration,
    is_watched: AtomicBool,
    /// Wakes the task that fetches: somebody has met an unknown key.
    refetch: Arc<Notify>,
    /// The last fetch was less than [`FETCH_INTERVAL_MIN`] ago.
    is_cooling_down: AtomicBool,
    /// Counts the fetches, to tell those who wait that one has ended.
    fetches: watch::Sender<u64>,
}

/// A document that was fetched, and its keys.
#[derive(Debug)]
struct FetchedJwks {
    document: Vec<u8>,
    keys: Arc<[VerifyingKey]>,
}

impl ExternalIssuer {
    /// An issuer whose keys have not been fetched yet.
    pub(crate) fn new(settings: &ExternalIssuerSettings, generation: KeyGeneration) -> Self {
        Self(Arc::new(Inner {
            settings: settings.clone(),
            jwks: ArcSwap::from_pointee(FetchedJwks { document: Vec::new(), keys: Arc::new([]) }),
            generation,
            is_watched: AtomicBool::new(false),
            refetch: Arc::default(),
            is_cooling_down: AtomicBool::new(false),
            fetches: watch::Sender::new(0),
        }))
    }

    /// Returns the issuer with other settings. It keeps its keys where they come from the same place: the issuer may be down
    /// at this moment, and what it has published is as good as before.
    pub(crate) fn with_settings(&self, settings: &ExternalIssuerSettings) -> Self {
        if *self.settings() == *settings {
            return self.clone();
        }
        let changed = Self::new(settings, self.0.generation.clone());
        let source =
            |settings: &ExternalIssuerSettings| (settings.issuer.clone(), settings.jwks.clone(), settings.ca.clone());
        let known = self.0.jwks.load();
        if source(self.settings()) == source(settings) && !known.keys.is_empty() {
            // Cannot fail: the same document was read before.
            let _ = changed.0.replace_keys(known.document.clone());
        }
        changed
    }

    /// Returns its settings.
    pub(crate) fn settings(&self) -> &ExternalIssuerSettings {
        &self.0.settings
    }

    /// Returns its current keys.
    pub(crate) fn keys(&self) -> Arc<[VerifyingKey]> {
        Arc::clone(&self.0.jwks.load().keys)
    }

    /// Returns whether its keys were fetched at least once.
    pub(crate) fn has_keys(&self) -> bool {
        !self.0.jwks.load().keys.is_empty()
    }

    /// Has the keys fetched again and waits for it. Returns `false` if they were fetched so recently that this is of no
    /// use.
    pub(crate) async fn refetch(&self) -> bool {
        // Subscribed before it is asked for, so that the end of the fetch is not missed.
        let mut fetches = self.0.fetches.subscribe();
        if self.0.is_cooling_down.load(Ordering::Acquire) {
            return false;
        }
        self.0.refetch.notify_one();
        timeout(FETCH_TIMEOUT, fetches.changed()).await.is_ok_and(|changed| changed.is_ok())
    }

    /// Replaces its keys by those of the JWKS in this file.
    ///
    /// # Errors
    /// The file cannot be read, or has no usable key.
    pub(crate) fn read_keys(&self, file: &Path) -> Result<(), String> {
        let document = read_bounded(file, JWKS_BYTES_MAX as u64, "a JWKS")?;
        self.0.replace_keys(document).map_err(|error| format!("{}: {error}", file.display())).map(drop)
    }

    /// Fetches the keys regularly, for as long as a handle exists. Calling it again has no effect. Needs the runtime of
    /// actix.
    pub(crate) fn watch(&self) {
        if self.0.is_watched.swap(true, Ordering::Relaxed) {
            return;
        }
        actix_rt::spawn(fetch_regularly(Arc::downgrade(&self.0), Arc::clone(&self.0.refetch)));
    }
}

async fn fetch_regularly(issuer: Weak<Inner>, refetch: Arc<Notify>) {
    while let Some(inner) = issuer.upgrade() {
        let fetched = fetch(&inner.settings).await;
        let refresh = inner.settings.refresh;
        let interval = if fetched.is_ok() { refresh } else { refresh.min(RETRY_INTERVAL_MAX) };
        inner.update(fetched);
        let cool_down = interval.min(FETCH_INTERVAL_MIN);
        inner.is_cooling_down.store(true, Ordering::Release);
        inner.fetches.send_modify(|fetches| *fetches += 1);
        drop(inner);
        sleep(cool_down).await;
        let Some(inner) = issuer.upgrade() else { return };
        inner.is_cooling_down.store(false, Ordering::Release);
        drop(inner);
        // Until the interval is over or somebody asks, whichever is first.
        let _ = timeout(interval.saturating_sub(cool_down), refetch.notified()).await;
    }
}

impl Inner {
    /// Takes the keys from a fetched document. After an error the keys stay as they were.
    fn update(&self, fetched: Result<Vec<u8>, String>) {
        let issuer = self.settings.issuer.as_str();
        match fetched.and_then(|document| self.replace_keys(document)) {
            Ok(false) => {}
            Ok(true) => log::info!(issuer = issuer; "the keys of an external issuer have changed"),
            Err(error) => {
                let known = self.jwks.load();
                let effect = if known.keys.is_empty() {
                    "its tokens are answered 503 until they can be"
                } else {
                    "the previous ones stay in use"
                };
                log::warn!(
                    issuer = issuer, cause = error.as_str();
                    "the keys of an external issuer cannot be fetched, {effect}"
                );
            }
        }
    }

    /// Returns whether the document differs from the one before.
    fn replace_keys(&self, document: Vec<u8>) -> Result<bool, String> {
        let ExternalIssuerSettings { issuer, audience, audience_claim, .. } = &self.settings;
        let expected = ExpectedClaims { issuer, audience, audience_claim };
        let keys = verifying_keys(&document, expected)?.into();
        if self.jwks.load().document == document {
            return Ok(false);
        }
        self.jwks.store(Arc::new(FetchedJwks { document, keys }));
        self.generation.advance();
        Ok(true)
    }
}

async fn fetch(settings: &ExternalIssuerSettings) -> Result<Vec<u8>, String> {
    match &settings.jwks {
        JwksSource::File(path) => read(path.clone()).await,
        JwksSource::Url(url) => in_time(url, get(url, settings)).await,
        JwksSource::Discovery => in_time(&settings.issuer, discover(settings)).await,
    }
}

async fn in_time(url: &str, fetched: impl Future<Output = Result<Vec<u8>, String>>) -> Result<Vec<u8>, String> {
    let late = || Err(format!("{url} did not answer in {} s", FETCH_TIMEOUT.as_secs()));
    timeout(FETCH_TIMEOUT, fetched).await.unwrap_or_else(|_| late())
}

/// Fetches the keys from where the metadata of the issuer say. The metadata are fetched each time: the keys may have moved.
async fn discover(settings: &ExternalIssuerSettings) -> Result<Vec<u8>, String> {
    let [first, second] = metadata::locations(&settings.issuer);
    let document = match get(&first, settings).await {
        Ok(document) => document,
        Err(error) => get(&second, settings).await.map_err(|other| format!("{error}; {other}"))?,
    };
    get(&metadata::jwks_uri(&document, &settings.issuer)?, settings).await
}

/// Reads a file on a thread that may block.
async fn read(path: PathBuf) -> Result<Vec<u8>, String> {
    let read = tokio::task::spawn_blocking(move || read_bounded(&path, JWKS_BYTES_MAX as u64, "a JWKS"));
    read.await.map_err(|error| error.to_string())?
}

/// Fetches a URL. Redirects are not followed: only the configuration says where the keys are.
async fn get(url: &str, settings: &ExternalIssuerSettings) -> Result<Vec<u8>, String> {
    let config = tls::client::config(settings.ca.as_deref())?;
    let connector = Connector::new().timeout(FETCH_TIMEOUT).rustls_0_23(config);
    let client = Client::builder().connector(connector).disable_redirects().timeout(FETCH_TIMEOUT).finish();
    let mut answer = client.get(url).send().await.map_err(|error| format!("{url}: {error}"))?;
    if !answer.status().is_success() {
        return Err(format!("{url} answered {}", answer.status()));
    }
    let body = answer.body().limit(JWKS_BYTES_MAX).await.map_err(|error| format!("{url}: {error}"))?;
    Ok(body.to_vec())
}
