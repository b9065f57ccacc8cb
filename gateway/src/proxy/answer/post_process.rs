//! Reads an answer whole and gives it to the hook that the route names in `then`.

use actix_http::{Response, body::BoxBody, header::CONTENT_LENGTH};
use awc::ClientResponse;
use chassis::problem::{Code, Problem};

use super::headers;
use crate::{
    hooks::{Answer, PostProcessor, Request},
    rules::edits::Edits,
    upstream::handle::Upstream,
};

/// The maximum size of an answer that a hook gets. Users, lists and documents are smaller; a larger answer is an error.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Reads the answer of the upstream whole and gives it to the hook.
pub(crate) async fn post_process(
    hook: &PostProcessor,
    request: Request,
    upstream: &Upstream,
    mut answer: ClientResponse,
) -> Result<Response<BoxBody>, Problem> {
    let body = answer.body().limit(ANSWER_BYTES_MAX).await.map_err(|error| {
        Problem::new(Code::UpstreamInvalid, format!("`{}` did not end its answer", upstream.name()))
            .because(error.to_string())
    })?;
    let mut fields = answer.headers().clone();
    headers::returning(&mut fields, answer.status(), &Edits::default());
    fields.remove(CONTENT_LENGTH);
    let answer = (hook.run)(request, Answer { status: answer.status(), headers: fields, body }).await?;
    let mut response = Response::with_body(answer.status, BoxBody::new(answer.body));
    *response.headers_mut() = answer.headers;
    Ok(response)
}
