//! Makes the answer to the client from that of the upstream: streamed untouched, or post-processed.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use actix_http::{
    ConnectionType, Method, Payload, Response, StatusCode, Version,
    body::{BodySize, BoxBody, MessageBody},
    error::PayloadError,
    header::HeaderMap,
};
use awc::ClientResponse;
use bytes::Bytes;
use chassis::problem::Problem;
use futures_core::Stream;

use super::{download::Download, headers, post_process::post_process};
use crate::{
    proxy::{admit::content_length, hook_calls::HookCalls, incoming::Incoming},
    route::RouteSettings,
    runtime::worker::Worker,
    upstream::handle::{Permit, Upstream},
};

pub(crate) async fn respond(
    worker: &Worker,
    route: &RouteSettings,
    upstream: &Upstream,
    incoming: &Incoming,
    hooks: &HookCalls<'_>,
    answer: ClientResponse,
    permit: Permit,
) -> Result<Response<BoxBody>, Problem> {
    match hooks.then() {
        Some((hook, request)) if answer.status().is_success() && request.method != Method::HEAD => {
            let mut response = Box::pin(post_process(hook, request, upstream, answer)).await?;
            route.response_edits.apply(response.headers_mut());
            Ok(response)
        }
        Some(_) | None => Ok(stream(worker, route, incoming, answer, permit)),
    }
}

fn stream(
    worker: &Worker,
    route: &RouteSettings,
    incoming: &Incoming,
    answer: ClientResponse,
    permit: Permit,
) -> Response<BoxBody> {
    let status = answer.status();
    let length = content_length(answer.headers());
    let mut fields = HeaderMap::new();
    let mut payload = Payload::None;
    // The only way to the headers of awc's answer that does not copy them.
    drop(answer.map_body(|head, body| {
        fields = std::mem::replace(head.headers_mut(), HeaderMap::new());
        payload = body;
        Payload::<BoxedStream>::None
    }));
    headers::returning(&mut fields, status, &route.response_edits);
    worker.snapshot.process.via.add(&mut fields, Version::HTTP_11);
    let body = if incoming.request.method() == Method::HEAD {
        BoxBody::new(BodilessAnswer(length))
    } else if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        // A 304 has its length in a field: as the length of a body it would be waited for.
        BoxBody::new(BodilessAnswer(None))
    } else {
        BoxBody::new(Download::new(payload, length, route.timeouts.idle, permit))
    };
    let mut response = Response::with_body(status, body);
    *response.headers_mut() = fields;
    if incoming.request.version() < Version::HTTP_11 && length.is_none() {
        // HTTP/1.0 knows no chunks: the end of the connection is the end of the body (RFC 9112, section 6.3).
        response.head_mut().no_chunking(true);
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

type BoxedStream = Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>>;

/// No body, though a length: the answer to HEAD says how long the one to GET would be (RFC 9110, section 9.3.2).
struct BodilessAnswer(Option<u64>);

impl MessageBody for BodilessAnswer {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.0.map_or(BodySize::None, BodySize::Sized)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}
