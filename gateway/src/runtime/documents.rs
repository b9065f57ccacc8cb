//! The OpenAPI documents of the upstreams, kept for some seconds, so that nobody can make the gateway fetch all the time.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use serde_json::Value;

/// An upstream's document is asked for again after this, so that nobody can make us ask all the time.
const FRESH: Duration = Duration::from_secs(10);

/// The last document of each upstream, in the order of the configuration.
#[derive(Default)]
pub(crate) struct Documents(Mutex<Option<(Instant, Vec<Option<Value>>)>>);

impl Documents {
    pub(crate) fn fresh(&self) -> Option<Vec<Option<Value>>> {
        let kept = self.0.lock().ok()?;
        kept.as_ref().filter(|(at, _)| at.elapsed() < FRESH).map(|(_, documents)| documents.clone())
    }

    pub(crate) fn keep(&self, documents: &[Option<Value>]) {
        // An upstream that is down would be missing for as long as the rest is fresh.
        if documents.iter().all(Option::is_some)
            && let Ok(mut kept) = self.0.lock()
        {
            *kept = Some((Instant::now(), documents.to_vec()));
        }
    }
}
