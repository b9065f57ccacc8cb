//! The stream of a connection as the server sees it. It reports its end when the server is to release the connection;
//! the stream behind it goes on. What the connection waits for is decided in [`phase`](super::phase); the timers are
//! here.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_http::{HttpMessage, Request};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::{
    peer::Peer,
    phase::{DetachReason, Progress, TickLimits},
    stall::{StallTimer, WritePace},
};
use crate::tls::stream::Stream;

/// Interval between two ticks while a request is being handled: 1 h. Its end starts the usual ticks again.
const SLOW_TICK: Duration = Duration::from_secs(60 * 60);

/// A connection. Clones are handles to the same connection.
#[derive(Clone, Debug)]
pub(crate) struct ClientStream(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    stream: RefCell<Stream>,
    peer: Peer,
    /// `None` while it is not watched: with HTTP/2, after an upgrade, and at its end.
    progress: Cell<Option<Progress>>,
    schedule: TickSchedule,
    /// Runs while its client does not read all that is written.
    stall: RefCell<StallTimer>,
    /// Runs until the next tick.
    tick_timer: RefCell<Option<Pin<Box<Sleep>>>>,
    /// The next tick is a [`SLOW_TICK`] away, because its request takes long.
    ticks_slowly: Cell<bool>,
    /// The server has written something in part.
    is_writing: Cell<bool>,
    served: ServedCount,
}

/// Counts the connections of a worker that the server holds. Each takes about 20 KiB: two buffers of 8 KiB, and the
/// largest state that a request can be in.
#[derive(Clone, Debug, Default)]
pub(super) struct ServedCount(Rc<Cell<usize>>);

impl ServedCount {
    /// Number of connections above which idle ones are detached at once: 256 take 5 MiB.
    const CROWDED: usize = 256;

    /// Counts a connection until the returned guard is dropped.
    pub(super) fn enter(&self) -> Serving {
        self.0.set(self.0.get() + 1);
        Serving(self.clone())
    }

    fn is_crowded(&self) -> bool {
        self.0.get() > Self::CROWDED
    }
}

/// A connection that the server holds.
pub(super) struct Serving(ServedCount);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() - 1);
    }
}

/// Interval between two ticks of a connection, and the maximum number of ticks in each phase.
#[derive(Clone, Copy, Debug)]
pub(super) struct TickSchedule {
    interval: Duration,
    limits: TickLimits,
}

impl TickSchedule {
    /// Maximum interval. With a very long timeout for heads, idle connections are still detached after two of these.
    const INTERVAL_MAX: Duration = Duration::from_secs(1);

    /// A schedule for these timeouts. A head that takes an eighth too long is detected, instead of arming a timer for
    /// each head: heads are many, and hardly any is slow.
    pub(super) fn new(head_timeout: Duration, keep_alive: Duration) -> Self {
        let interval = (head_timeout / 8).min(Self::INTERVAL_MAX).max(Duration::from_millis(1));
        let ticks = |time: Duration| u32::try_from(time.as_millis().div_ceil(interval.as_millis().max(1)));
        let ticks = |time| ticks(time).unwrap_or(u32::MAX);
        Self { interval, limits: TickLimits { head: ticks(head_timeout), idle: ticks(keep_alive + head_timeout) } }
    }
}

impl ClientStream {
    /// A connection that has this schedule once it is watched.
    pub(super) fn new(
        stream: Stream,
        peer: Peer,
        schedule: TickSchedule,
        pace: WritePace,
        served: ServedCount,
    ) -> Self {
        Self(Rc::new(Inner {
            stream: RefCell::new(stream),
            peer,
            progress: Cell::new(None),
            schedule,
            stall: RefCell::new(StallTimer::new(pace)),
            tick_timer: RefCell::default(),
            ticks_slowly: Cell::new(false),
            is_writing: Cell::new(false),
            served,
        }))
    }

    /// Returns the connection that a request came on: with HTTP/1.1 it belongs to the connection, with HTTP/2 to each
    /// request.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        request.conn_data::<Self>().cloned().or_else(|| request.extensions().get::<Self>().cloned())
    }

    /// Watches the connection from now on: it waits for a request.
    pub(super) fn start_watching(&self) {
        self.0.progress.set(Some(Progress::new(self.0.schedule.limits)));
    }

    /// Only passes bytes from now on.
    pub(super) fn stop_watching(&self) {
        self.0.progress.set(None);
    }

    /// Returns the address of its client.
    pub(crate) fn peer(&self) -> &Peer {
        &self.0.peer
    }

    /// Starts a request, which is handled until the returned guard is dropped.
    pub(crate) fn begin(&self, has_body: bool) -> ActiveRequest {
        self.update(|progress| progress.on_request(has_body));
        ActiveRequest(self.clone())
    }

    /// Returns why the server was to release the connection, and how far it was then.
    pub(super) fn detached(&self) -> Option<(DetachReason, Progress)> {
        self.0.progress.get().and_then(|progress| progress.detached().map(|reason| (reason, progress)))
    }

    /// Resolves when there is something to read, or when the client has closed it. Drops the timer, to save memory.
    pub(super) async fn readable(&self) {
        self.0.tick_timer.take();
        let ready = poll_fn(|cx| self.0.stream.borrow().poll_readable(cx));
        // An error is reported by the next read.
        let _ = ready.await;
    }

    fn update(&self, change: impl FnOnce(&mut Progress)) {
        if let Some(mut progress) = self.0.progress.get() {
            change(&mut progress);
            self.0.progress.set(Some(progress));
        }
    }

    fn is_detached(&self) -> bool {
        self.detached().is_some()
    }

    /// Called when the server finds nothing to read. Counts a tick if one is due, and wakes the server at the next one.
    fn poll_tick(&self, cx: &mut Context<'_>) {
        let Some(progress) = self.0.progress.get() else { return };
        let mut timer = self.0.tick_timer.borrow_mut();
        let is_new = timer.is_none();
        let timer = timer.get_or_insert_with(|| Box::pin(sleep(self.0.schedule.interval)));
        if timer.is_elapsed() {
            self.update(|progress| progress.on_tick(self.0.is_writing.get()));
            self.0.ticks_slowly.set(!progress.is_waiting());
            let next = if self.0.ticks_slowly.get() { SLOW_TICK } else { self.0.schedule.interval };
            timer.as_mut().reset(Instant::now() + next);
        } else if !is_new {
            return;
        }
        // Registers the waker of the server.
        let _ = timer.as_mut().poll(cx);
    }
}

impl ClientStream {
    /// Fails a write if the client reads too slowly. No other limit would notice: as long as nothing can be written, nobody
    /// polls the body of the answer, and the upstream waits, too.
    fn check_stall<T>(&self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            return polled;
        }
        ready!(self.0.stall.borrow_mut().poll_stalled(cx));
        Poll::Ready(Err(not_read()))
    }
}

fn not_read() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")
}

/// A request that is being handled on a connection.
#[derive(Debug)]
pub(crate) struct ActiveRequest(ClientStream);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let inner = &*self.0.0;
        self.0.update(Progress::on_response);
        // Usually the next tick is due soon anyway, and nothing is to be done.
        let is_crowded = inner.served.is_crowded();
        if (is_crowded || inner.ticks_slowly.take())
            && let Some(timer) = &mut *inner.tick_timer.borrow_mut()
        {
            if is_crowded {
                // Detached at the next tick, not at the second.
                self.0.update(|progress| progress.on_tick(true));
            }
            let next = if is_crowded { Duration::ZERO } else { inner.schedule.interval };
            timer.as_mut().reset(Instant::now() + next);
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_detached() {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut *self.0.stream.borrow_mut()).poll_read(cx, buffer);
        match &polled {
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                self.update(|progress| progress.on_received(&buffer.filled()[before..]));
            }
            Poll::Ready(_) => {}
            Poll::Pending => {
                self.poll_tick(cx);
                if self.is_detached() {
                    return Poll::Ready(Ok(()));
                }
            }
        }
        polled
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.0.is_writing.get() {
            self.update(|progress| progress.on_sent(bytes));
        }
        if let Some((DetachReason::Refused(_), _)) = self.detached() {
            // Dropped: a problem is written instead, see `Connections`.
            return Poll::Ready(Ok(bytes.len()));
        }
        let polled = Pin::new(&mut *self.0.stream.borrow_mut()).poll_write(cx, bytes);
        self.0.is_writing.set(!matches!(polled, Poll::Ready(Ok(written)) if written == bytes.len()));
        if let Poll::Ready(Ok(written)) = polled
            && self.0.stall.borrow_mut().is_too_slow(written)
        {
            return Poll::Ready(Err(not_read()));
        }
        self.check_stall(polled, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut *self.0.stream.borrow_mut()).poll_flush(cx);
        // With TLS, what was written waits here. Its bytes were counted then, the time is counted now.
        if matches!(polled, Poll::Ready(Ok(()))) && self.0.stall.borrow_mut().is_too_slow(0) {
            return Poll::Ready(Err(not_read()));
        }
        self.check_stall(polled, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_detached() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_shutdown(cx)
    }
}
