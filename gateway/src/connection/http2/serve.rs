//! The loop of an HTTP/2 connection: accepts requests, lets their futures run, and ends the connection when its client
//! has been waited for, or has asked for too much. Knows no heads.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
};

use actix_http::{HttpMessage, Method, Payload, Request, Response, body::MessageBody, header::EXPECT};
use bytes::Bytes;
use chassis::{health::Health, server::DISCONNECT_TIMEOUT};
use futures_util::stream::{FuturesUnordered, Stream};
use h2::{
    Reason, RecvStream,
    server::{Builder, Connection, SendResponse},
};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::{
    super::{client_stream::ClientStream, settings::ServerLimits},
    allowance::Allowance,
    frames::Frames,
    head::{self, Dates},
    patience::{Exceeded, Patience},
    stream::{self, Asked, Shared},
    upload,
    watched_io::WatchedIo,
};

/// Maximum number of bytes of an answer that wait to be written for one stream: 32 KiB. With 128 streams, a client that
/// reads slowly makes the gateway hold 4 MiB, and for each stream the chunk that was read last.
const STREAM_SEND_BYTES_MAX: usize = 32 * 1024;
/// Number of bytes that a client may send for one stream before they are read: 256 KiB, enough for 40 Mbit/s over 50 ms.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// The same for all streams of a connection: 1 MiB. It bounds what uploads to slow upstreams hold.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// HTTP/2 counts 32 bytes more for each field than HTTP/1.1 takes (RFC 9113, section 6.5.2), so that a head may be
/// larger here by that for 512 fields. What is larger than `head_bytes` nevertheless is refused with a problem; beyond this, `h2`
/// refuses it with a bare 431, and keeps nothing of it.
const HEAD_ALLOWANCE_BYTES: usize = 512 * 32;

/// Serves the HTTP/2 connections of one worker.
pub(crate) struct Http2<F> {
    /// Answers a request.
    handler: F,
    health: Health,
    limits: ServerLimits,
    dates: Rc<Dates>,
}

impl<F, Answering, B> Http2<F>
where
    F: Fn(Request) -> Answering,
    Answering: Future<Output = Response<B>>,
    B: MessageBody,
{
    /// Answers requests with `handler`. When `health` drains, connections end after the requests that they have.
    pub(crate) fn new(handler: F, health: Health, limits: ServerLimits) -> Self {
        Self { handler, health, limits, dates: Rc::default() }
    }

    /// Serves a connection to its end.
    ///
    /// # Errors
    /// The client does not speak HTTP/2, or the connection broke.
    pub(crate) async fn serve(&self, stream: ClientStream) -> io::Result<()> {
        let frames = Rc::new(RefCell::new(Frames::default()));
        let io = WatchedIo { stream: stream.clone(), frames: Rc::clone(&frames) };
        let handshake = self.settings().handshake::<_, Bytes>(io);
        let connection = timeout(self.limits.head_timeout, handshake).await?.map_err(io::Error::other)?;
        let shared =
            Rc::new(Shared { dates: Rc::clone(&self.dates), pace: self.limits.write_pace, work: Cell::new(0) });
        let start = |request, respond| self.start(request, respond, &stream, &shared);
        let mut serving = Serving::new(connection, frames, Rc::clone(&shared), &self.limits);
        let mut draining = pin!(self.health.draining());
        // Polled once, so that it wakes this task; from then on `is_draining` tells the same for less.
        let was_draining = poll_fn(|cx| Poll::Ready(draining.as_mut().poll(cx).is_ready())).await;
        let ended = poll_fn(|cx| {
            // A connection that was opened during the drain has its first requests answered, as with HTTP/1.1.
            if self.health.is_draining() && (serving.had_request || !was_draining) {
                serving.close();
            }
            serving.poll(start, cx)
        });
        match ended.await {
            Ended::Closed(outcome) => outcome,
            Ended::GivenUp(reason) => serving.abort(reason).await,
        }
    }

    /// Returns the future of a request, or `None` where it was refused.
    fn start(
        &self,
        request: http::Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        stream: &ClientStream,
        shared: &Rc<Shared>,
    ) -> Option<impl Future<Output = ()> + use<'_, F, Answering, B>> {
        let (head, body) = request.into_parts();
        let (payload, upload) = upload::payload(body);
        let has_body = !matches!(payload, Payload::None);
        let Ok(request) = head::request(&head, payload) else {
            respond.send_reset(Reason::PROTOCOL_ERROR);
            return None;
        };
        request.extensions_mut().insert(stream.clone());
        if has_body {
            request.extensions_mut().insert(upload.trailers.clone());
        }
        let asked = Asked {
            respond,
            upload,
            expects_continue: request.headers().contains_key(EXPECT),
            is_head: *request.method() == Method::HEAD,
        };
        // Boxed where it is made: it is large, and would be moved with everything that it is put into.
        Some(stream::answer(Box::pin((self.handler)(request)), asked, Rc::clone(shared)))
    }

    fn settings(&self) -> Builder {
        let mut settings = Builder::new();
        let head_bytes_max = self.limits.head_bytes_max + HEAD_ALLOWANCE_BYTES;
        settings
            .max_concurrent_streams(self.limits.streams_max)
            // A client may cancel all that it has asked for.
            .max_concurrent_reset_streams(self.limits.streams_max as usize)
            .max_pending_accept_reset_streams(self.limits.streams_max as usize)
            .max_header_list_size(u32::try_from(head_bytes_max).unwrap_or(u32::MAX))
            .max_send_buffer_size(STREAM_SEND_BYTES_MAX)
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        settings
    }
}

/// A request, and the way to answer it.
type AcceptResult = Result<(http::Request<RecvStream>, SendResponse<Bytes>), h2::Error>;

/// How a connection ended.
enum Ended {
    Closed(io::Result<()>),
    /// It is to be closed for this reason, whatever is in progress.
    GivenUp(Reason),
}

/// A connection that is being served. `S` is the future of a request.
struct Serving<S> {
    connection: Connection<WatchedIo, Bytes>,
    /// The requests in progress. They end with the connection.
    requests: FuturesUnordered<S>,
    had_request: bool,
    streams_max: usize,
    shared: Rc<Shared>,
    frames: Rc<RefCell<Frames>>,
    allowance: Allowance,
    patience: Patience,
    timer: Pin<Box<Sleep>>,
}

impl<S: Future<Output = ()>> Serving<S> {
    fn new(
        connection: Connection<WatchedIo, Bytes>,
        frames: Rc<RefCell<Frames>>,
        shared: Rc<Shared>,
        limits: &ServerLimits,
    ) -> Self {
        Self {
            connection,
            requests: FuturesUnordered::new(),
            had_request: false,
            streams_max: limits.streams_max as usize,
            shared,
            frames,
            allowance: Allowance::new(Instant::now()),
            patience: Patience::new(limits.head_timeout, limits.keep_alive),
            // Later than anything that is waited for, so that the first limit sets it.
            timer: Box::pin(sleep(limits.keep_alive + limits.head_timeout)),
        }
    }

    /// Does what can be done now. First the requests, then the connection, which writes what they send.
    fn poll(
        &mut self,
        start: impl Fn(http::Request<RecvStream>, SendResponse<Bytes>) -> Option<S>,
        cx: &mut Context<'_>,
    ) -> Poll<Ended> {
        self.poll_requests(cx);
        let mut accepted = false;
        while let Poll::Ready(next) = self.poll_accept(cx) {
            if self.frames.borrow().begins_wrongly() {
                return Poll::Ready(Ended::GivenUp(Reason::PROTOCOL_ERROR));
            }
            match next {
                Some(Ok((request, respond))) => self.requests.extend(start(request, respond)),
                Some(Err(error)) => return Poll::Ready(Ended::Closed(Err(io::Error::other(error)))),
                None => return Poll::Ready(Ended::Closed(Ok(()))),
            }
            accepted = true;
            if self.requests.len() >= self.streams_max {
                // As many as there may be, unless some were reset: these end now, before more are accepted.
                self.poll_requests(cx);
            }
        }
        if accepted {
            self.had_request = true;
            // What they send wakes this task again.
            self.poll_requests(cx);
        }
        if self.is_flooded() {
            return Poll::Ready(Ended::GivenUp(Reason::ENHANCE_YOUR_CALM));
        }
        self.poll_patience(cx)
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<AcceptResult>> {
        pin!(self.connection.accept()).poll(cx)
    }

    fn poll_requests(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(())) = Pin::new(&mut self.requests).poll_next(cx) {}
    }

    /// Returns whether the client has sent more frames without content than it may.
    fn is_flooded(&mut self) -> bool {
        self.allowance.earn(self.shared.work.take());
        let overhead = self.frames.borrow_mut().take_overhead();
        overhead > 0 && !self.allowance.spend(overhead, Instant::now())
    }

    /// Ends what was waited for too long, and sets the timer for what is waited for now.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let incomplete = self.frames.borrow().incomplete();
        self.patience.observe(incomplete, self.requests.is_empty(), Instant::now);
        let Some((end, exceeded)) = self.patience.first_end() else { return Poll::Pending };
        // The clock is read, and the timer set, only where it has run out or is too late: requests are many, and the
        // time between two of them hardly ever matters.
        let has_run_out = self.timer.is_elapsed();
        if has_run_out && end <= Instant::now() {
            return self.give_up(exceeded, cx);
        }
        if has_run_out || end < self.timer.deadline() {
            self.timer.as_mut().reset(end);
            if self.timer.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }

    fn give_up(&mut self, exceeded: Exceeded, cx: &Context<'_>) -> Poll<Ended> {
        match exceeded {
            Exceeded::Incomplete => Poll::Ready(Ended::GivenUp(Reason::ENHANCE_YOUR_CALM)),
            Exceeded::Closing => Poll::Ready(Ended::Closed(Ok(()))),
            Exceeded::Idle => {
                self.close();
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    /// Tells the client that the connection ends after the requests that it has sent (GOAWAY, section 6.8). Those that
    /// are on their way are still answered, for as long as a round trip takes; later ones are not begun, and their
    /// client knows that it can repeat them elsewhere.
    fn close(&mut self) {
        if !self.patience.is_closing() {
            self.connection.graceful_shutdown();
            self.patience.close(Instant::now());
        }
    }

    /// Ends all requests, and tells the client why.
    async fn abort(mut self, reason: Reason) -> io::Result<()> {
        self.requests.clear();
        self.connection.abrupt_shutdown(reason);
        let closed = timeout(DISCONNECT_TIMEOUT, poll_fn(|cx| self.connection.poll_closed(cx))).await?;
        // The reason comes back as an error.
        log::debug!("an HTTP/2 connection was closed: {reason}, {closed:?}");
        Ok(())
    }
}
