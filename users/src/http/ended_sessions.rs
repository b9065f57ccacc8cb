//! `GET /internal/sessions/ended`: which sessions have ended, for the gateways, which refuse their access tokens from then
//! on. A long poll: the answer comes at once where there is something new, and otherwise as soon as there is.
//!
//! The tricky part is a session that ends between the look and the wait. So a follower begins to wait before it looks.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, http::header, web::Data};
use chassis::{
    identity::GatewayItself,
    middleware::ServiceContext,
    page::{parameter, refuse_unknown_parameters},
    problem::{Code, Problem},
};
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use crate::store::{FeedCursor, FeedPage, UsersStore};

/// Maximum time to wait, in seconds: shorter than the 30 s in which a drain must have ended.
const WAIT_SECONDS_MAX: u64 = 25;
/// Maximum time to wait while the service drains, so that followers neither keep it from ending nor ask without a pause.
const WAIT_WHILE_DRAINING: Duration = Duration::from_secs(1);

/// One page.
#[derive(Serialize)]
struct PageOut {
    ended: Vec<EndedOut>,
    /// The value of `since` that goes on after this page.
    next: String,
    /// Seconds for which an ended session stays in the feed.
    kept_for: u64,
    /// Whether the next page has something already.
    more: bool,
}

#[derive(Serialize)]
struct EndedOut {
    sid: String,
    /// Seconds since 1970.
    at: i64,
}

/// Answers the sessions that have ended since a cursor.
pub(super) async fn serve(
    _gateway: GatewayItself,
    request: HttpRequest,
    store: Data<UsersStore>,
    service: Data<ServiceContext>,
) -> Result<HttpResponse, Problem> {
    let (since, wait) = read_query(request.query_string())?;
    let was_draining = service.health.is_draining();
    let wait = if was_draining { wait.min(WAIT_WHILE_DRAINING) } else { wait };
    if wait.is_zero() {
        return Ok(answer(&store.ended_since(since).await?));
    }
    let deadline = Instant::now() + wait;
    let mut waiting = store.wait_for_ends()?;
    loop {
        let page = store.ended_since(since).await?;
        if !page.ended.is_empty() || Instant::now() >= deadline || service.health.is_draining() != was_draining {
            return Ok(answer(&page));
        }
        tokio::select! {
            () = waiting.ended() => {}
            () = sleep_until(deadline) => {}
            () = service.health.draining(), if !was_draining => {}
        }
    }
}

fn read_query(query: &str) -> Result<(Option<FeedCursor>, Duration), Problem> {
    let bad = |detail: String| Problem::new(Code::BadRequest, detail);
    refuse_unknown_parameters(query, &["since", "wait"])?;
    let since = parameter(query, "since")?.map(|text| text.parse().map_err(|error| bad(format!("`since` {error}"))));
    let wait = parameter(query, "wait")?.map_or(Ok(0), |text| {
        let seconds = text.parse().ok().filter(|seconds| *seconds <= WAIT_SECONDS_MAX);
        seconds.ok_or_else(|| bad(format!("`wait` must be a number of seconds from 0 to {WAIT_SECONDS_MAX}")))
    });
    Ok((since.transpose()?, Duration::from_secs(wait?)))
}

fn answer(page: &FeedPage) -> HttpResponse {
    let ended = page
        .ended
        .iter()
        .map(|ended| EndedOut { sid: ended.id.to_string(), at: ended.at.unix_micros().div_euclid(1_000_000) });
    let body = PageOut {
        ended: ended.collect(),
        next: page.next.to_string(),
        kept_for: page.kept_for.as_secs(),
        more: page.has_more,
    };
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}
