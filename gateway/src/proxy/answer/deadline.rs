//! Cuts an answer short when the time for the whole request is over. Knows no upstream.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use actix_http::{
    Response,
    body::{BodySize, BoxBody, MessageBody},
};
use bytes::Bytes;
use tokio::time::{Sleep, sleep_until};

/// The answer, which ends at the deadline, where there is one.
pub(crate) fn limit(response: Response<BoxBody>, deadline: Option<Instant>) -> Response<BoxBody> {
    match deadline {
        None => response,
        Some(deadline) => response
            .map_body(|_, body| BoxBody::new(Limited { body, deadline: Box::pin(sleep_until(deadline.into())) })),
    }
}

struct Limited {
    body: BoxBody,
    deadline: Pin<Box<Sleep>>,
}

/// The time for the whole request is over.
#[derive(Debug)]
struct TotalTimeout;

impl fmt::Display for TotalTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the whole request took too long")
    }
}

impl Error for TotalTimeout {}

impl MessageBody for Limited {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Box::new(TotalTimeout))));
        }
        Pin::new(&mut self.body).poll_next(cx)
    }
}
