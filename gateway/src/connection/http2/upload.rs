//! The body of an HTTP/2 request, and what its stream must know of it. Knows no limits: those are the same for every
//! body.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use actix_http::{Payload, error::PayloadError};
use bytes::Bytes;
use futures_core::Stream;
use h2::RecvStream;

use super::head;
use crate::body::trailers::Trailers;

/// What is known of the body of a request while somebody else has it.
#[derive(Debug, Default)]
pub(super) struct UploadState {
    /// It was read, or at least waited for.
    pub(super) is_wanted: Cell<bool>,
    /// It was dropped before its end.
    pub(super) is_abandoned: Cell<bool>,
    /// What has followed it.
    pub(super) trailers: Trailers,
}

/// The body of a request.
struct UploadStream {
    stream: RecvStream,
    /// The first chunk, if it was there together with the head.
    first: Option<Result<Bytes, h2::Error>>,
    state: Rc<UploadState>,
}

/// Returns the body of a request. There is none where the stream has ended: with its head, or with an empty frame that
/// arrived together with it. Only reading tells, since HTTP/2 needs neither a length nor a coding.
pub(super) fn payload(mut stream: RecvStream) -> (Payload, Rc<UploadState>) {
    let state = Rc::<UploadState>::default();
    if stream.is_end_stream() {
        return (Payload::None, state);
    }
    // The no-op waker loses nothing: whoever reads next polls again and registers its own.
    let first = match stream.poll_data(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(None) => return (Payload::None, state),
        Poll::Ready(chunk) => chunk,
        Poll::Pending => None,
    };
    let body = UploadStream { stream, first, state: Rc::clone(&state) };
    (Payload::Stream { payload: Box::pin(body) }, state)
}

impl UploadStream {
    /// Reads the trailers, if there are any. The body has ended when they have.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        match ready!(self.stream.poll_trailers(cx)) {
            Ok(fields) => {
                self.state.trailers.set(fields.map(|fields| head::request_trailers(&fields)).unwrap_or_default());
                Poll::Ready(None)
            }
            Err(_) => Poll::Ready(Some(Err(PayloadError::Incomplete(None)))),
        }
    }
}

impl Stream for UploadStream {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.state.is_wanted.set(true);
        let chunk = match self.first.take() {
            Some(first) => Some(first),
            None => ready!(self.stream.poll_data(cx)),
        };
        let Some(chunk) = chunk else { return self.poll_end(cx) };
        let chunk = chunk.map_err(|_| PayloadError::Incomplete(None))?;
        // The client may send as much again. Only a stream that has ended refuses, and it needs no window.
        let _ = self.stream.flow_control().release_capacity(chunk.len());
        Poll::Ready(Some(Ok(chunk)))
    }
}

impl Drop for UploadStream {
    fn drop(&mut self) {
        self.state.is_abandoned.set(!self.stream.is_end_stream());
    }
}
