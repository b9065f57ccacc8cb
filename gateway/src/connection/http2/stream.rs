//! One request of an HTTP/2 connection: has it handled, and sends the answer as the client takes it. Knows nothing of
//! other streams.
//!
//! The client may end a request at any time by resetting its stream. Whatever is waited for, that is waited for too, and
//! everything that belongs to the request is dropped at once.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use actix_http::{
    Response,
    body::{BodySize, MessageBody},
};
use bytes::Bytes;
use h2::{Reason, SendStream, server::SendResponse};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    super::stall::{StallTimer, WritePace},
    head::{self, Dates},
    upload::UploadState,
};
use crate::body::trailers::Trailers;

/// How long a stream stays open after an early answer: enough for the answer to reach its client over a slow line. The
/// stream holds what its window allows meanwhile.
const LINGER: Duration = Duration::from_secs(2);

/// The moment by which the whole answer must have been sent. In the extensions of an answer that has one, because
/// nobody polls its body while the client is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerDeadline(pub(crate) Instant);

/// What the streams of one connection share with it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) dates: Rc<Dates>,
    /// How slowly the client may take an answer.
    pub(super) pace: WritePace,
    /// Work that was done since the connection looked: answers, and chunks of them, that were sent.
    pub(super) work: Cell<u32>,
}

impl Shared {
    fn count_work(&self) {
        self.work.set(self.work.get() + 1);
    }
}

/// Why an answer was not sent to its end.
enum Unsent {
    /// The client has reset the stream or closed its connection.
    Gone,
    /// Reset the stream for this reason.
    Reset(Reason),
}

impl From<h2::Error> for Unsent {
    fn from(_: h2::Error) -> Self {
        Self::Gone
    }
}

/// A request that is to be answered.
pub(super) struct Asked {
    pub(super) respond: SendResponse<Bytes>,
    pub(super) upload: Rc<UploadState>,
    /// The client waits for 100 before it sends the body (RFC 9110, section 10.1.1).
    pub(super) expects_continue: bool,
    /// The answer has no body, whatever its head says (section 9.3.2).
    pub(super) is_head: bool,
}

/// Answers a request with what `handling` makes of it.
pub(super) async fn answer<B: MessageBody>(
    handling: Pin<Box<impl Future<Output = Response<B>>>>,
    mut asked: Asked,
    shared: Rc<Shared>,
) {
    let Some(response) = handled(handling, &mut asked).await else { return };
    match send(response, &mut asked, &shared).await {
        Ok(()) => {
            shared.count_work();
            if asked.upload.is_abandoned.get() {
                linger(asked).await;
            }
        }
        Err(Unsent::Gone) => {}
        Err(Unsent::Reset(reason)) => asked.respond.send_reset(reason),
    }
}

/// Keeps a stream that was answered before its upload has ended. Dropping it would reset it, which RFC 9113 allows
/// (section 8.1), but clients such as curl 7 then do not see the answer. Flow control holds the client back.
async fn linger(mut asked: Asked) {
    let _ = timeout(LINGER, poll_fn(|cx| asked.respond.poll_reset(cx))).await;
}

/// Returns the answer, or `None` once the client has given the request up.
async fn handled<B>(handling: impl Future<Output = Response<B>>, asked: &mut Asked) -> Option<Response<B>> {
    let mut handling = pin!(handling);
    poll_fn(|cx| {
        if asked.respond.poll_reset(cx).is_ready() {
            return Poll::Ready(None);
        }
        let polled = handling.as_mut().poll(cx);
        if polled.is_pending() && asked.expects_continue && asked.upload.is_wanted.get() {
            asked.expects_continue = false;
            let mut proceed = http::Response::new(());
            *proceed.status_mut() = http::StatusCode::CONTINUE;
            // An error here is a stream that has just ended, which the next poll sees.
            let _ = asked.respond.send_informational(proceed);
        }
        polled.map(Some)
    })
    .await
}

async fn send<B: MessageBody>(response: Response<B>, asked: &mut Asked, shared: &Shared) -> Result<(), Unsent> {
    let deadline = response.extensions().get::<AnswerDeadline>().copied();
    let trailers = response.extensions().get::<Trailers>().cloned();
    let size = response.body().size();
    let head = head::response(response.head(), size, &shared.dates);
    let head = head.map_err(|_| Unsent::Reset(Reason::INTERNAL_ERROR))?;
    let is_empty = asked.is_head || matches!(size, BodySize::None | BodySize::Sized(0));
    let stream = asked.respond.send_response(head, is_empty)?;
    let mut body = pin!(response.into_body());
    if is_empty {
        // Sees its end, as the body of any other answer that was sent whole.
        let _ = poll_fn(|cx| Poll::Ready(body.as_mut().poll_next(cx).is_ready())).await;
        return Ok(());
    }
    let mut sender = BodySender { stream, left: length(size), stall: StallTimer::new(shared.pace), trailers, shared };
    let sending = sender.send_all(body);
    match deadline {
        None => sending.await,
        Some(AnswerDeadline(deadline)) => tokio::select! {
            sent = sending => sent,
            () = sleep_until(deadline) => Err(Unsent::Reset(Reason::CANCEL)),
        },
    }
}

const fn length(size: BodySize) -> Option<u64> {
    match size {
        BodySize::None => Some(0),
        BodySize::Sized(length) => Some(length),
        BodySize::Stream => None,
    }
}

/// Sends the body of an answer, no faster than its client takes it.
struct BodySender<'a> {
    stream: SendStream<Bytes>,
    /// Number of bytes that are yet to come, where the length was declared.
    left: Option<u64>,
    stall: StallTimer,
    /// What follows the body, once it has ended.
    trailers: Option<Trailers>,
    shared: &'a Shared,
}

impl BodySender<'_> {
    async fn send_all<B: MessageBody>(&mut self, mut body: Pin<&mut B>) -> Result<(), Unsent> {
        loop {
            let Some(chunk) = self.next_chunk(body.as_mut()).await? else { break };
            if let Some(left) = &mut self.left {
                *left = left.checked_sub(chunk.len() as u64).ok_or(Unsent::Reset(Reason::INTERNAL_ERROR))?;
            }
            // Where nothing more can come, the last bytes end the stream: one frame less.
            let is_last = self.left == Some(0) && has_ended(body.as_mut()).await?;
            self.send_chunk(chunk, is_last).await?;
            self.shared.count_work();
            if is_last {
                return Ok(());
            }
        }
        if self.left.is_some_and(|left| left > 0) {
            return Err(Unsent::Reset(Reason::INTERNAL_ERROR));
        }
        let trailers = self.trailers.as_ref().map(|trailers| head::answer_trailers(&trailers.take()));
        match trailers.filter(|trailers| !trailers.is_empty()) {
            None => Ok(self.stream.send_data(Bytes::new(), true)?),
            Some(trailers) => Ok(self.stream.send_trailers(trailers)?),
        }
    }

    /// Returns the next chunk, or `None` after the last one.
    async fn next_chunk<B: MessageBody>(&mut self, mut body: Pin<&mut B>) -> Result<Option<Bytes>, Unsent> {
        poll_fn(|cx| {
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(Err(Unsent::Gone));
            }
            // A body that breaks is not an answer that has ended: the client must see that it is incomplete.
            body.as_mut()
                .poll_next(cx)
                .map(|chunk| chunk.transpose().map_err(|_| Unsent::Reset(Reason::INTERNAL_ERROR)))
        })
        .await
    }

    /// Sends a chunk in as many parts as the windows of the client take.
    async fn send_chunk(&mut self, mut chunk: Bytes, is_last: bool) -> Result<(), Unsent> {
        while !chunk.is_empty() {
            self.stream.reserve_capacity(chunk.len());
            let capacity = match self.stream.capacity() {
                0 => poll_fn(|cx| self.poll_capacity(cx)).await?,
                capacity => capacity,
            };
            let part = chunk.split_to(capacity.min(chunk.len()));
            if self.stall.is_too_slow(part.len()) {
                return Err(Unsent::Reset(Reason::CANCEL));
            }
            self.stream.send_data(part, is_last && chunk.is_empty())?;
        }
        Ok(())
    }

    fn poll_capacity(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Unsent>> {
        if self.stream.poll_reset(cx).is_ready() {
            return Poll::Ready(Err(Unsent::Gone));
        }
        loop {
            match self.stream.poll_capacity(cx) {
                // Something has changed, and what is left is nothing.
                Poll::Ready(Some(Ok(0))) => {}
                Poll::Ready(Some(capacity)) => return Poll::Ready(capacity.map_err(Unsent::from)),
                Poll::Ready(None) => return Poll::Ready(Err(Unsent::Gone)),
                Poll::Pending => return self.stall.poll_stalled(cx).map(|()| Err(Unsent::Reset(Reason::CANCEL))),
            }
        }
    }
}

/// Returns whether a body, of which all declared bytes were received, is known to have ended. Does not wait for it.
async fn has_ended<B: MessageBody>(mut body: Pin<&mut B>) -> Result<bool, Unsent> {
    poll_fn(|cx| {
        Poll::Ready(match body.as_mut().poll_next(cx) {
            Poll::Ready(None) => Ok(true),
            Poll::Pending => Ok(false),
            Poll::Ready(Some(Ok(chunk))) if chunk.is_empty() => Ok(false),
            Poll::Ready(Some(_)) => Err(Unsent::Reset(Reason::INTERNAL_ERROR)),
        })
    })
    .await
}
