//! Reads an answer whole and gives it to the hook that the route names in `then`.

use std::{future::poll_fn, pin::Pin};

use actix_http::{Response, body::BoxBody, header::CONTENT_LENGTH};
use awc::ClientResponse;
use bytes::{Bytes, BytesMut};
use chassis::problem::{Code, Problem};
use futures_core::Stream;
use tokio::time::{Instant, timeout_at};

use super::{super::send::Sending, headers};
use crate::{
    hooks::{Answer, PostProcessor, Request},
    rules::edits::Edits,
};

/// The maximum size of an answer that a hook gets. Users, lists and documents are smaller; a larger answer is an error.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Reads the answer of the upstream whole and gives it to the hook.
pub(crate) async fn post_process(
    hook: &PostProcessor,
    request: Request,
    sending: &Sending<'_>,
    mut answer: ClientResponse,
) -> Result<Response<BoxBody>, Problem> {
    let body = whole_body(&mut answer, sending).await?;
    let mut fields = answer.headers().clone();
    headers::returning(&mut fields, answer.status(), &Edits::default());
    fields.remove(CONTENT_LENGTH);
    let answer = (hook.run)(request, Answer { status: answer.status(), headers: fields, body }).await?;
    let mut response = Response::with_body(answer.status, BoxBody::new(answer.body));
    *response.headers_mut() = answer.headers;
    Ok(response)
}

/// Reads the body of an answer, within the time that a streamed one has: `idle` between two chunks, and the deadline of the
/// whole request.
async fn whole_body(answer: &mut ClientResponse, sending: &Sending<'_>) -> Result<Bytes, Problem> {
    let name = sending.route.upstream.name();
    let fail = |code, what: &str, cause: String| Problem::new(code, format!("`{name}` {what}")).because(cause);
    let mut body = BytesMut::new();
    loop {
        let idle = Instant::now() + sending.route.settings.timeouts.idle;
        let until = sending.outgoing.deadline.map_or(idle, |deadline| idle.min(deadline));
        let chunk = match timeout_at(until, poll_fn(|cx| Pin::new(&mut *answer).poll_next(cx))).await {
            Ok(None) => return Ok(body.freeze()),
            Ok(Some(chunk)) => {
                chunk.map_err(|error| fail(Code::UpstreamInvalid, "did not end its answer", error.to_string()))?
            }
            Err(_) => {
                let cause = format!("{} bytes of the body were received", body.len());
                return Err(fail(Code::UpstreamTimeout, "did not end its answer in time", cause));
            }
        };
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            let cause = format!("the answer has more than {ANSWER_BYTES_MAX} bytes");
            return Err(fail(Code::UpstreamInvalid, "did not end its answer", cause));
        }
        body.extend_from_slice(&chunk);
    }
}
