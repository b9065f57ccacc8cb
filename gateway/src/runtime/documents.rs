//! The OpenAPI documents of the upstreams, cached, so that requests for the merged document cannot make the gateway fetch
//! them all the time.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long a document is used before it is fetched again.
const MAX_AGE: Duration = Duration::from_secs(10);

/// The last document of each upstream, in the order of the configuration; `None` is an upstream that did not answer.
#[derive(Default)]
pub(crate) struct Documents(Mutex<Option<(Instant, Vec<Option<Value>>)>>);

impl Documents {
    /// Returns the documents where they are fresh.
    pub(crate) fn fresh(&self) -> Option<Vec<Option<Value>>> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached.as_ref().filter(|(at, _)| at.elapsed() < MAX_AGE).map(|(_, documents)| documents.clone())
    }

    /// Keeps the documents, unless one is missing: an upstream that is back should appear at once.
    pub(crate) fn keep(&self, documents: &[Option<Value>]) {
        if documents.iter().all(Option::is_some) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), documents.to_vec()));
        }
    }
}
