//! `GET /internal/events`: what has happened to orders, page by page or as a stream (server-sent events).
//!
//! The gateway has no route to it, so that it is for other services of the same installation. Whoever follows keeps the id of
//! the last event that it has dealt with, and asks for what comes after: each event arrives at least once, in order.
//!
//! The tricky part of a stream is to miss nothing: it notes what was committed *before* it reads, so that a commit during
//! the read wakes it up again. It reads a page at a time and only when its client has taken the one before, so that a client
//! that is slow costs a page of memory.

use std::{
    convert::Infallible,
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Bytes, Data},
};
use chassis::{
    identity::Admin,
    middleware::ServiceContext,
    page::PageQuery,
    problem::{Code, Problem},
};
use futures_util::stream;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use crate::{
    domain::{Event, EventId},
    representation::EventOut,
    store::OrdersRepo,
};

const EVENTS_PATH: &str = "/internal/events";
/// Number of events on a page where the query does not say, and of those that a stream reads at a time.
const LIMIT_DEFAULT: usize = 100;
/// Maximum number of streams at a time: each service that follows has one for each of its replicas.
const STREAMS_MAX: usize = 16;
/// Interval at which a stream looks for commits of other processes, and whether this one is shutting down.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Interval at which a stream without events sends a comment, so that both sides notice when the other has gone.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);
/// Seconds after which a client should try again where there are too many streams.
const RETRY_AFTER_SECONDS: u32 = 5;

/// The places for streams.
#[derive(Clone)]
pub(crate) struct EventStreams(Arc<Semaphore>);

impl Default for EventStreams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS_MAX)))
    }
}

/// Answers one page, or with `Accept: text/event-stream` a stream that does not end.
pub(super) async fn events(
    _admin: Admin,
    request: HttpRequest,
    repo: Data<OrdersRepo>,
    service: Data<ServiceContext>,
    streams: Data<EventStreams>,
) -> Result<HttpResponse, Problem> {
    let query = PageQuery::parse(request.query_string(), LIMIT_DEFAULT, &[])?;
    let after = start(&request, query.cursor.as_deref())?;
    if wants_stream(&request) {
        let permit = Arc::clone(&streams.0).try_acquire_owned();
        let permit = permit.map_err(|_| Problem::overloaded(RETRY_AFTER_SECONDS))?;
        let committed = repo.committed();
        return Ok(answer_stream(Follower {
            repo,
            service,
            committed,
            after,
            sent_at: Instant::now(),
            _permit: permit,
        }));
    }
    let events = repo.events(after, query.limit).await?;
    let mut response = HttpResponse::Ok();
    if events.len() == query.limit
        && let Some(last) = events.last()
        && let Some(link) = query.next_link(EVENTS_PATH, request.query_string(), &last.id.to_string())
    {
        response.insert_header((header::LINK, link));
    }
    response.insert_header((header::CONTENT_TYPE, "application/cloudevents-batch+json"));
    Ok(response.json(events.iter().map(EventOut::new).collect::<Vec<_>>()))
}

/// The event to start after: a client that connects again says it in `Last-Event-ID`, as the HTML standard wants it.
fn start(request: &HttpRequest, cursor: Option<&str>) -> Result<EventId, Problem> {
    let last = request.headers().get("last-event-id").map(|value| value.to_str().unwrap_or_default());
    let Some(text) = last.or(cursor) else { return Ok(EventId::BEGINNING) };
    let name = if last.is_some() { "Last-Event-ID" } else { "cursor" };
    text.parse().map_err(|error| Problem::new(Code::BadRequest, format!("`{name}` {error}")))
}

fn wants_stream(request: &HttpRequest) -> bool {
    let mut accepted = request.headers().get_all(header::ACCEPT).filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.split(',').any(|range| range.trim().starts_with("text/event-stream")))
}

fn answer_stream(follower: Follower) -> HttpResponse {
    let chunks = stream::unfold(follower, |mut follower| async move {
        let chunk = follower.next().await?;
        Some((Ok::<_, Infallible>(chunk), follower))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(chunks)
}

/// Follows the events for one client.
struct Follower {
    repo: Data<OrdersRepo>,
    service: Data<ServiceContext>,
    committed: watch::Receiver<()>,
    after: EventId,
    sent_at: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// What to send next; `None` ends the stream, and the client connects again.
    async fn next(&mut self) -> Option<Bytes> {
        let chunk = loop {
            if self.service.health.is_draining() {
                return None;
            }
            self.committed.mark_unchanged();
            let events = match self.repo.events(self.after, LIMIT_DEFAULT).await {
                Ok(events) => events,
                Err(error) => {
                    log::warn!("a stream of events ends: {error}");
                    return None;
                }
            };
            if let Some(last) = events.last() {
                self.after = last.id;
                break render(&events);
            }
            if self.sent_at.elapsed() >= HEARTBEAT_INTERVAL {
                break ":\n\n".to_owned();
            }
            if matches!(timeout(LOOK_INTERVAL, self.committed.changed()).await, Ok(Err(_))) {
                // The writer has ended.
                return None;
            }
        };
        self.sent_at = Instant::now();
        Some(chunk.into())
    }
}

/// Events as the HTML standard writes them (section 9.2.5). JSON has no line breaks.
fn render(events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        // An event consists of strings and numbers, for which serialisation cannot fail, and neither can writing to a String.
        let json = serde_json::to_string(&EventOut::new(event)).unwrap_or_default();
        let _ = write!(text, "id: {}\nevent: {}\ndata: {json}\n\n", event.id, event.kind());
    }
    text
}
