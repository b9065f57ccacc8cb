//! Reads one answer of the feed over HTTP. Knows neither when nor what is done with it.

use std::time::{Duration, SystemTime};

use actix_http::{Method, StatusCode, header::HeaderMap};
use chassis::identity::{ASSERTION, Assertion};
use tokio::time::{Instant, timeout_at};

use super::page::{PAGE_BYTES_MAX, Page};
use crate::upstream::{
    handle::Upstream,
    settings::TargetAddress,
    wire::client::{Client, Outgoing},
};

/// Maximum time of an answer, from connecting to its last byte, besides the time for which the feed was asked to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What to ask the feed for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) path: &'a str,
    /// Where the last answer ended; `None` asks for everything.
    pub(super) cursor: Option<&'a str>,
    /// For how long the feed may wait until there is something new.
    pub(super) wait: Duration,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadError {
    /// The feed does not know the cursor: it is another one than before.
    CursorGone,
    /// Anything else, for the log.
    Failed(String),
}

impl From<String> for ReadError {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// Asks one target of the upstream. Like a check of its health, this is no request of a client: it takes none of the
/// upstream's capacity and has no part in its breaker, which it would keep open for as long as it waits.
pub(super) async fn read(
    client: &Client,
    upstream: &Upstream,
    target: &TargetAddress,
    question: Question<'_>,
) -> Result<Page, ReadError> {
    let limit = question.wait + ANSWER_TIMEOUT;
    let mut outgoing = outgoing(upstream, question, limit)?;
    let exchange = async {
        let mut answer = client.send(target, &mut outgoing).await.map_err(|failure| failure.cause)?;
        match (answer.status(), question.cursor) {
            (StatusCode::OK, _) => {}
            (StatusCode::GONE | StatusCode::BAD_REQUEST, Some(_)) => return Err(ReadError::CursorGone),
            (status, _) => return Err(ReadError::Failed(format!("it answered {status}"))),
        }
        let body = answer.body().limit(PAGE_BYTES_MAX).await.map_err(|error| format!("its answer: {error}"))?;
        Ok(Page::read(&body, question.cursor)?)
    };
    let late = || ReadError::Failed(format!("it did not answer in {} s", limit.as_secs()));
    timeout_at(Instant::now() + limit, exchange).await.unwrap_or_else(|_| Err(late()))
}

/// The request. The assertion says that the gateway itself asks: it names neither a caller nor a client.
fn outgoing(upstream: &Upstream, question: Question<'_>, limit: Duration) -> Result<Outgoing, String> {
    let mut headers = HeaderMap::new();
    if let Some(signer) = upstream.signer() {
        let assertion = signer.sign(&Assertion::default(), SystemTime::now()).map_err(|error| error.to_string())?;
        headers.insert(ASSERTION, assertion);
    }
    let since: Option<String> = question.cursor.map(|cursor| {
        let cursor: String = form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
        format!("since={cursor}&")
    });
    let path = format!("{}?{}wait={}", question.path, since.unwrap_or_default(), question.wait.as_secs());
    Ok(Outgoing {
        method: Method::GET,
        path_and_query: path.parse().map_err(|_| format!("`{path}` is no path of a URL"))?,
        headers,
        host: upstream.settings().host.fixed(),
        body: None,
        head_timeout: limit,
        deadline: None,
        trailers: None,
    })
}
