//! The public keys of an issuer elsewhere: fetched, kept, and fetched anew. One task fetches, whoever asks, so that no
//! number of strange tokens becomes a stampede. Knows no tokens.

use std::{
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use awc::{Client, Connector};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use super::jwks::{VerifyingKey, verifying_keys};
use crate::{
    auth::{
        generation::Generation,
        settings::{ForeignIssuer, JwksSource},
    },
    tls,
};

/// A key has about 1 KiB with its certificates; so many as we keep fit.
const JWKS_BYTES_MAX: usize = 256 * 1024;
/// From connecting to the last byte.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// However many unknown keys are asked for, the issuer is asked once in this time.
const INTERVAL_MIN: Duration = Duration::from_secs(10);
/// After a failure the issuer is asked again sooner than it would have been.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// The handle. Clones are the same issuer.
#[derive(Clone, Debug)]
pub(crate) struct Foreign(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pub(crate) settings: ForeignIssuer,
    last_good: RwLock<Fetched>,
    generation: Generation,
    /// Somebody has met a key that is unknown here.
    wanted: Arc<Notify>,
    /// The issuer was asked so recently that it is left in peace.
    resting: AtomicBool,
    attempts: watch::Sender<u64>,
}

/// What was fetched, and what was read from it.
#[derive(Debug)]
struct Fetched {
    document: Vec<u8>,
    keys: Arc<[VerifyingKey]>,
}

impl Foreign {
    /// An issuer whose keys nobody has fetched yet.
    pub(crate) fn new(settings: &ForeignIssuer, generation: Generation) -> Self {
        Self(Arc::new(Inner {
            settings: settings.clone(),
            last_good: RwLock::new(Fetched { document: Vec::new(), keys: Arc::new([]) }),
            generation,
            wanted: Arc::default(),
            resting: AtomicBool::new(false),
            attempts: watch::Sender::new(0),
        }))
    }

    /// Its settings.
    pub(crate) fn settings(&self) -> &ForeignIssuer {
        &self.0.settings
    }

    /// The keys as they are now.
    pub(crate) fn keys(&self) -> Arc<[VerifyingKey]> {
        Arc::clone(&self.0.last_good.read().unwrap_or_else(PoisonError::into_inner).keys)
    }

    /// Has the keys fetched, and waits for it; `false` where that was done a moment ago, so that it is of no use now.
    pub(crate) async fn fetched_anew(&self) -> bool {
        // Subscribed before asked, so that the answer is not missed.
        let mut attempts = self.0.attempts.subscribe();
        if self.0.resting.load(Ordering::Acquire) {
            return false;
        }
        self.0.wanted.notify_one();
        timeout(FETCH_TIMEOUT, attempts.changed()).await.is_ok_and(|changed| changed.is_ok())
    }

    /// Fetches the keys, now and again, for as long as a handle of this issuer exists. Needs the runtime of actix.
    pub(crate) fn watch(&self) {
        actix_rt::spawn(keep(Arc::downgrade(&self.0), Arc::clone(&self.0.wanted)));
    }
}

async fn keep(issuer: Weak<Inner>, wanted: Arc<Notify>) {
    while let Some(inner) = issuer.upgrade() {
        let fetched = fetch(&inner.settings).await;
        let wait = if fetched.is_ok() { inner.settings.refresh } else { inner.settings.refresh.min(RETRY_AFTER) };
        take_over(&inner, fetched);
        let rest = wait.min(INTERVAL_MIN);
        inner.resting.store(true, Ordering::Release);
        inner.attempts.send_modify(|attempts| *attempts += 1);
        drop(inner);
        sleep(rest).await;
        let Some(inner) = issuer.upgrade() else { return };
        inner.resting.store(false, Ordering::Release);
        drop(inner);
        // Ends at the time or at a wish, whichever is first.
        let _ = timeout(wait.saturating_sub(rest), wanted.notified()).await;
    }
}

/// What could not be fetched leaves the keys as they were.
fn take_over(inner: &Inner, fetched: Result<Vec<u8>, String>) {
    let issuer = inner.settings.issuer.as_str();
    match fetched.and_then(|document| renew(inner, document)) {
        Ok(false) => {}
        Ok(true) => log::info!(issuer = issuer; "the keys of a foreign issuer have changed"),
        Err(error) => log::warn!(
            issuer = issuer, cause = error.as_str();
            "the keys of a foreign issuer could not be fetched; the last ones stay"
        ),
    }
}

/// Whether the document is another than before.
fn renew(inner: &Inner, document: Vec<u8>) -> Result<bool, String> {
    let keys = verifying_keys(&document, &inner.settings.issuer, &inner.settings.audience)?;
    let mut last = inner.last_good.write().unwrap_or_else(PoisonError::into_inner);
    let changed = last.document != document;
    *last = Fetched { document, keys: keys.into() };
    drop(last);
    if changed {
        inner.generation.changed();
    }
    Ok(changed)
}

async fn fetch(settings: &ForeignIssuer) -> Result<Vec<u8>, String> {
    match &settings.jwks {
        JwksSource::File(path) => read(path.clone()).await,
        JwksSource::Url(url) => timeout(FETCH_TIMEOUT, get(url, settings))
            .await
            .unwrap_or_else(|_| Err(format!("{url} did not answer in {} s", FETCH_TIMEOUT.as_secs()))),
    }
}

async fn read(path: PathBuf) -> Result<Vec<u8>, String> {
    let read = actix_rt::task::spawn_blocking(move || {
        let describe = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
        if std::fs::metadata(&path).map_err(describe)?.len() > JWKS_BYTES_MAX as u64 {
            return Err(format!("{} is too large for a JWKS", path.display()));
        }
        std::fs::read(&path).map_err(describe)
    });
    read.await.map_err(|error| error.to_string())?
}

/// Redirects are not followed: who may say where the keys are is in the configuration.
async fn get(url: &str, settings: &ForeignIssuer) -> Result<Vec<u8>, String> {
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
