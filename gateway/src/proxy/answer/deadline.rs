//! Cuts an answer short at the deadline of the whole request. Knows no upstream.

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

use crate::connection::AnswerDeadline;

/// Returns the answer, which ends at the deadline if there is one.
pub(crate) fn limit(mut response: Response<BoxBody>, deadline: Option<Instant>) -> Response<BoxBody> {
    match deadline {
        None => response,
        Some(deadline) => {
            response.extensions_mut().insert(AnswerDeadline(deadline.into()));
            response.map_body(|_, body| {
                BoxBody::new(DeadlineBody { body, deadline: Box::pin(sleep_until(deadline.into())) })
            })
        }
    }
}

struct DeadlineBody {
    body: BoxBody,
    deadline: Pin<Box<Sleep>>,
}

/// The deadline of the whole request has passed.
#[derive(Debug)]
struct DeadlineExceeded;

impl fmt::Display for DeadlineExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the whole request took too long")
    }
}

impl Error for DeadlineExceeded {}

impl MessageBody for DeadlineBody {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Box::new(DeadlineExceeded))));
        }
        Pin::new(&mut self.body).poll_next(cx)
    }
}
