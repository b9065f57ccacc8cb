//! The body of an answer on its way to the client: streamed, with a limit on idleness, cut short where it broke.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_http::{
    Payload,
    body::{BodySize, MessageBody},
    error::PayloadError,
};
use bytes::Bytes;
use futures_core::Stream;

use crate::{
    body::{idle::IdleTimer, upload::Upload},
    upstream::{decide::failure_kind::FailureKind, handle::Permit},
};

/// The body of an answer. It holds the permit of its upstream to the last byte.
pub(crate) struct Download {
    payload: Payload,
    size: BodySize,
    idle: IdleTimer,
    idle_max: Duration,
    /// The body of the request, if the answer began before it was complete.
    upload: Option<Upload>,
    /// Returned at the next poll.
    fault: Option<PayloadError>,
    permit: Permit,
}

impl Download {
    /// A body of the length that the upstream declared, or of unknown length.
    pub(crate) fn new(payload: Payload, length: Option<u64>, idle_max: Duration, permit: Permit) -> Self {
        let size = length.map_or(BodySize::Stream, BodySize::Sized);
        Self { payload, size, idle: IdleTimer::new(idle_max), idle_max, upload: None, fault: None, permit }
    }

    /// The answer to a request with this body, which may still be on its way.
    #[must_use]
    pub(crate) fn beside(self, upload: Option<Upload>) -> Self {
        Self { upload: upload.filter(|upload| !upload.has_ended()), ..self }
    }

    /// Cuts the answer short, so that the client sees that it is incomplete. Waits for one more poll: actix-http drops what
    /// it has not yet written when a body fails, and flushes before it polls again.
    fn cut_short<T>(&mut self, kind: FailureKind, fault: PayloadError, cx: &Context<'_>) -> Poll<T> {
        self.permit.failed(kind);
        self.fault = Some(fault);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl MessageBody for Download {
    type Error = PayloadError;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        if let Some(fault) = self.fault.take() {
            return Poll::Ready(Some(Err(fault)));
        }
        match Pin::new(&mut self.payload).poll_next(cx) {
            Poll::Ready(Some(Err(fault))) => {
                let is_upload = self.upload.as_ref().is_some_and(|upload| upload.fault().is_some());
                let kind = if is_upload { FailureKind::RequestBody } else { FailureKind::AnswerCut };
                self.cut_short(kind, fault, cx)
            }
            Poll::Ready(chunk) => {
                self.idle.progressed();
                Poll::Ready(chunk)
            }
            Poll::Pending => {
                ready!(self.idle.poll_expired(cx));
                if self.upload.as_ref().is_some_and(|upload| upload.excuses_silence(self.idle_max)) {
                    self.idle.progressed();
                    ready!(self.idle.poll_expired(cx));
                }
                self.cut_short(FailureKind::AnswerStalled, PayloadError::Incomplete(None), cx)
            }
        }
    }
}
