//! The OpenAPI documents of the upstreams, cached, so that requests for the merged document cannot make the gateway fetch
//! them all the time. Knows not how they are fetched.
//!
//! Anybody may ask for the merged document, also while an upstream does not answer. So one request fetches at a time, for
//! all workers, and what it finds is the answer to all requests that waited for it. A document that is missing is fetched
//! again by the next request, so that an upstream that is back appears at once; the others are kept meanwhile.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::Mutex;

/// How long a document is used before it is fetched again.
const MAX_AGE: Duration = Duration::from_secs(10);

/// The last document of each upstream, in the order of the configuration.
#[derive(Default)]
pub(crate) struct Documents(Mutex<Cache>);

/// Locked by the request that fetches, until it has finished or its client has gone.
#[derive(Default)]
struct Cache {
    documents: Vec<Option<Fetched>>,
    /// When the last request that held the lock had every document that there is.
    completed: Option<Instant>,
}

struct Fetched {
    at: Instant,
    document: Arc<Value>,
}

impl Documents {
    /// Returns the documents of `count` upstreams, `None` for one that does not answer. Those that are missing or too old
    /// are fetched, unless another request did so while this one waited.
    pub(crate) async fn get(
        &self,
        count: usize,
        fetch: impl AsyncFn(usize) -> Option<Value>,
    ) -> Vec<Option<Arc<Value>>> {
        let asked = Instant::now();
        let mut cache = self.0.lock().await;
        if cache.completed.is_none_or(|completed| completed < asked) {
            cache.documents.resize_with(count, || None);
            for (index, kept) in cache.documents.iter_mut().enumerate() {
                if kept.as_ref().is_none_or(|kept| kept.at.elapsed() >= MAX_AGE) {
                    let document = fetch(index).await.map(Arc::new);
                    *kept = document.map(|document| Fetched { at: Instant::now(), document });
                }
            }
            cache.completed = Some(Instant::now());
        }
        cache.documents.iter().map(|kept| kept.as_ref().map(|kept| Arc::clone(&kept.document))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use serde_json::json;

    use super::*;

    #[test]
    fn requests_that_wait_share_one_fetch_and_what_is_there_is_kept() {
        let documents = Documents::default();
        let (fetches, answers) = (RefCell::new(Vec::new()), Cell::new(false));
        let fetch = async |index: usize| {
            fetches.borrow_mut().push(index);
            std::future::poll_fn(|_| if answers.get() { Poll::Ready(()) } else { Poll::Pending }).await;
            (index == 0).then(|| json!({"index": 0}))
        };
        let mut context = Context::from_waker(Waker::noop());
        let found = [Some(Arc::new(json!({"index": 0}))), None];

        let (mut first, mut second) = (pin!(documents.get(2, &fetch)), pin!(documents.get(2, &fetch)));
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert_eq!(*fetches.borrow(), [0], "one request fetches");
        answers.set(true);
        assert_eq!(first.as_mut().poll(&mut context), Poll::Ready(found.to_vec()));
        assert_eq!(second.as_mut().poll(&mut context), Poll::Ready(found.to_vec()));
        assert_eq!(*fetches.borrow(), [0, 1], "the one that waited fetches nothing");

        let later = pin!(documents.get(2, &fetch)).poll(&mut context);
        assert_eq!(later, Poll::Ready(found.to_vec()));
        assert_eq!(*fetches.borrow(), [0, 1, 1], "what is missing is fetched again, and nothing else");
    }

    #[test]
    fn a_client_that_has_gone_leaves_the_fetch_to_the_next() {
        let documents = Documents::default();
        let mut context = Context::from_waker(Waker::noop());
        {
            let fetch = async |_: usize| std::future::pending::<Option<Value>>().await;
            assert!(pin!(documents.get(1, &fetch)).poll(&mut context).is_pending());
        }
        let next = pin!(documents.get(1, async |_| Some(json!({})))).poll(&mut context);
        assert_eq!(next, Poll::Ready(vec![Some(Arc::new(json!({})))]));
    }
}
