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

use super::{
    super::{hook_calls::HookCalls, incoming::Incoming, send::Sending},
    addresses::Addresses,
    download::Download,
    headers,
    post_process::post_process,
};
use crate::rules::fields::content_length;

/// Makes the answer. The permit of the upstream goes with a streamed body, to its last byte.
///
/// # Errors
/// 502 where an answer that is to be post-processed breaks off or is too large, 504 where it does not end in time, and the
/// problem of the hook.
pub(crate) async fn respond(
    mut sending: Sending<'_>,
    incoming: &Incoming,
    hooks: &HookCalls<'_>,
    answer: ClientResponse,
    addresses: Option<&Addresses<'_>>,
) -> Result<Response<BoxBody>, Problem> {
    match hooks.then() {
        Some((hook, request)) if answer.status().is_success() && request.method != Method::HEAD => {
            let mut response = Box::pin(post_process(hook, request, &mut sending, answer, addresses)).await?;
            sending.route.settings.response_edits.apply(response.headers_mut());
            Ok(response)
        }
        Some(_) | None => Ok(stream(sending, incoming, answer, addresses)),
    }
}

fn stream(
    sending: Sending<'_>,
    incoming: &Incoming,
    answer: ClientResponse,
    addresses: Option<&Addresses<'_>>,
) -> Response<BoxBody> {
    let Sending { worker, route, permit, outgoing, .. } = sending;
    let route = &route.settings;
    let status = answer.status();
    let length = content_length(answer.headers());
    let mut fields = HeaderMap::new();
    let mut payload = Payload::None;
    // The only way to take the headers out of an answer of awc without copying them.
    drop(answer.map_body(|head, body| {
        fields = std::mem::replace(head.headers_mut(), HeaderMap::new());
        payload = body;
        Payload::<BoxedStream>::None
    }));
    headers::returning(&mut fields, status, addresses, &route.response_edits);
    worker.snapshot.process.via.add(&mut fields, Version::HTTP_11);
    let body = if incoming.request.method() == Method::HEAD {
        BoxBody::new(HeadOnly(length))
    } else if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        // A 304 carries `Content-Length` as a field (RFC 9110, section 8.6). As the length of a body it would be awaited.
        BoxBody::new(HeadOnly(None))
    } else {
        BoxBody::new(Download::new(payload, length, route.timeouts.idle, permit).beside(outgoing.body))
    };
    let mut response = Response::with_body(status, body);
    *response.headers_mut() = fields;
    if let Some(trailers) = outgoing.trailers {
        response.extensions_mut().insert(trailers);
    }
    if incoming.request.version() < Version::HTTP_11 && length.is_none() {
        // HTTP/1.0 has no chunks: the end of the connection is the end of the body (RFC 9112, section 6.3).
        response.head_mut().no_chunking(true);
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

type BoxedStream = Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>>;

/// No body but a length: the answer to HEAD tells how long the one to GET would be (RFC 9110, section 9.3.2).
struct HeadOnly(Option<u64>);

impl MessageBody for HeadOnly {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.0.map_or(BodySize::None, BodySize::Sized)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}
