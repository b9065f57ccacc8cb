//! Reads an answer whole and gives it to the hook that the route names in `then`.

use std::{future::poll_fn, pin::Pin};

use actix_http::{Response, body::BoxBody, header::CONTENT_LENGTH};
use awc::ClientResponse;
use bytes::{Bytes, BytesMut};
use chassis::problem::{Code, Problem};
use futures_core::Stream;
use tokio::time::{Instant, timeout_at};

use super::{super::send::Sending, addresses::Addresses, headers};
use crate::{
    body::upload::Upload,
    hooks::{Answer, PostProcessor, Request},
    rules::edits::Edits,
    upstream::wire::failure::Failure,
};

/// The maximum size of an answer that a hook gets. Users, lists and documents are smaller; a larger answer is an error.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Reads the answer of the upstream whole and gives it to the hook.
pub(crate) async fn post_process(
    hook: &PostProcessor,
    request: Request,
    sending: &mut Sending<'_>,
    mut answer: ClientResponse,
    addresses: Option<&Addresses<'_>>,
) -> Result<Response<BoxBody>, Problem> {
    let body = whole_body(&mut answer, sending).await?;
    let mut fields = answer.headers().clone();
    headers::returning(&mut fields, answer.status(), addresses, &Edits::default());
    fields.remove(CONTENT_LENGTH);
    let answer = (hook.run)(request, Answer { status: answer.status(), headers: fields, body }).await?;
    let mut response = Response::with_body(answer.status, BoxBody::new(answer.body));
    *response.headers_mut() = answer.headers;
    Ok(response)
}

/// Reads the body of an answer, within the time that a streamed one has: `idle` between two chunks, and the deadline of the
/// whole request.
async fn whole_body(answer: &mut ClientResponse, sending: &mut Sending<'_>) -> Result<Bytes, Problem> {
    let name = sending.upstream.name();
    let idle_max = sending.route.settings.timeouts.idle;
    let upload = sending.outgoing.body.as_ref();
    let mut body = BytesMut::new();
    loop {
        let idle = Instant::now() + idle_max;
        let deadline = sending.outgoing.deadline.filter(|deadline| *deadline < idle);
        let failure =
            match timeout_at(deadline.unwrap_or(idle), poll_fn(|cx| Pin::new(&mut *answer).poll_next(cx))).await {
                Ok(None) => return Ok(body.freeze()),
                Ok(Some(Ok(chunk))) if body.len() + chunk.len() > ANSWER_BYTES_MAX => {
                    let cause = format!("the answer has more than {ANSWER_BYTES_MAX} bytes");
                    let detail = format!("`{name}` answered more than a hook can read");
                    return Err(Problem::new(Code::UpstreamInvalid, detail).because(cause));
                }
                Ok(Some(Ok(chunk))) => {
                    body.extend_from_slice(&chunk);
                    continue;
                }
                Ok(Some(Err(error))) => match upload.and_then(Upload::fault) {
                    Some(fault) => return Err(fault.to_problem()),
                    None => Failure::answer_cut(error.to_string()),
                },
                Err(_) if deadline.is_some() => Failure::deadline_exceeded(),
                Err(_) if upload.is_some_and(|upload| upload.excuses_silence(idle_max)) => continue,
                Err(_) => Failure::answer_stalled(body.len()),
            };
        sending.permit.failed(failure.kind);
        return Err(failure.to_problem(name));
    }
}
