//! The stream of a connection as the server sees it. It ends where the server shall let go of it: the server closes
//! nothing then, since the stream goes on behind it. Knows what is waited for from [`phase`](super::phase).

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::{
    Peer,
    phase::{End, Progress, TickLimits},
};
use crate::tls::stream::Stream;

/// In which nothing is looked at: a request ends before, or has its own limits.
const DOZE: Duration = Duration::from_secs(60 * 60);

/// A connection. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct ClientStream(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    stream: RefCell<Stream>,
    peer: Peer,
    /// `None` where nothing is watched.
    progress: Cell<Option<Progress>>,
    look: Look,
    write_timeout: Duration,
    /// Runs while its client takes nothing of what is written.
    stall: RefCell<Option<Pin<Box<Sleep>>>>,
    /// When it will be looked at.
    timer: RefCell<Option<Pin<Box<Sleep>>>>,
    /// It is not, since its request takes long.
    dozes: Cell<bool>,
    /// The server is in the midst of writing something.
    mid_write: Cell<bool>,
    served: Served,
}

/// How many connections of this worker the server has in hand. Each holds about 20 KiB: two buffers of 8 KiB, and the
/// largest state that a request can be in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served(Rc<Cell<usize>>);

impl Served {
    /// Up to this many idle ones stay there for a while; in 5 MiB.
    const MANY: usize = 256;

    /// One more, until what this gives is dropped.
    pub(crate) fn one(&self) -> InHand {
        self.0.set(self.0.get() + 1);
        InHand(self.clone())
    }

    fn are_many(&self) -> bool {
        self.0.get() > Self::MANY
    }
}

/// A connection that the server has in hand.
pub(crate) struct InHand(Served);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() - 1);
    }
}

/// How often a connection is looked at while its client takes its time, and how often until it has taken too much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    every: Duration,
    times_max: TickLimits,
}

impl Look {
    /// A head that takes an eighth too long is found. Where heads may take very long, idle connections are found this
    /// soon all the same.
    const EVERY_MAX: Duration = Duration::from_secs(1);

    /// For heads that may take so long, on connections that may be idle for so long.
    pub(crate) fn within(head_timeout: Duration, keep_alive: Duration) -> Self {
        let every = (head_timeout / 8).min(Self::EVERY_MAX).max(Duration::from_millis(1));
        let times = |time: Duration| u32::try_from(time.as_millis().div_ceil(every.as_millis().max(1)));
        let times = |time| times(time).unwrap_or(u32::MAX);
        Self { every, times_max: TickLimits { head: times(head_timeout), idle: times(keep_alive + head_timeout) } }
    }
}

impl ClientStream {
    /// A connection that is looked at like this, once it is watched.
    pub(crate) fn new(stream: Stream, peer: Peer, look: Look, write_timeout: Duration, served: Served) -> Self {
        Self(Rc::new(Inner {
            stream: RefCell::new(stream),
            peer,
            progress: Cell::new(None),
            look,
            write_timeout,
            stall: RefCell::default(),
            timer: RefCell::default(),
            dozes: Cell::new(false),
            mid_write: Cell::new(false),
            served,
        }))
    }

    /// Nothing has come, and the next request is waited for.
    pub(crate) fn watch(&self) {
        self.0.progress.set(Some(Progress::new(self.0.look.times_max)));
    }

    /// From now on bytes only pass.
    pub(crate) fn let_pass(&self) {
        self.0.progress.set(None);
    }

    /// Where its client is.
    pub(crate) fn peer(&self) -> &Peer {
        &self.0.peer
    }

    /// A request has begun; it is under way until what this gives is dropped.
    pub(crate) fn begin(&self, has_body: bool) -> ActiveRequest {
        self.update(|progress| progress.begun(has_body));
        ActiveRequest(self.clone())
    }

    /// Why the server was to let go, and what was known then.
    pub(crate) fn over(&self) -> Option<(End, Progress)> {
        self.0.progress.get().and_then(|progress| progress.over().map(|end| (end, progress)))
    }

    /// Resolves when there is something to read, or when its client has gone. Its timer is not kept meanwhile.
    pub(crate) async fn readable(&self) {
        self.0.timer.take();
        let ready = poll_fn(|cx| self.0.stream.borrow().poll_readable(cx));
        // What is wrong with it, reading will tell.
        let _ = ready.await;
    }

    fn update(&self, change: impl FnOnce(&mut Progress)) {
        if let Some(mut progress) = self.0.progress.get() {
            change(&mut progress);
            self.0.progress.set(Some(progress));
        }
    }

    fn is_over(&self) -> bool {
        self.over().is_some()
    }

    /// The server waits: for its client, or for the answer.
    fn look(&self, cx: &mut Context<'_>) {
        let Some(progress) = self.0.progress.get() else { return };
        let mut timer = self.0.timer.borrow_mut();
        let is_new = timer.is_none();
        let timer = timer.get_or_insert_with(|| Box::pin(sleep(self.0.look.every)));
        if timer.is_elapsed() {
            self.update(|progress| progress.look(self.0.mid_write.get()));
            self.0.dozes.set(!progress.is_waiting());
            let next = if self.0.dozes.get() { DOZE } else { self.0.look.every };
            timer.as_mut().reset(Instant::now() + next);
        } else if !is_new {
            return;
        }
        // So that it wakes the server.
        let _ = timer.as_mut().poll(cx);
    }
}

impl ClientStream {
    /// Ends the patience with a client that reads nothing: while it does not, nobody asks the body of its answer for more,
    /// so that no other limit is looked at, and the upstream waits too.
    fn unless_stalled<T>(&self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let mut stall = self.0.stall.borrow_mut();
        if polled.is_ready() {
            *stall = None;
            return polled;
        }
        let timer = stall.get_or_insert_with(|| Box::pin(sleep(self.0.write_timeout)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")))
    }
}

/// A request that is under way on a connection.
#[derive(Debug)]
pub(crate) struct ActiveRequest(ClientStream);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let inner = &*self.0.0;
        self.0.update(Progress::ended);
        // Mostly, the next look is due soon anyway: this costs nothing then.
        let hurry = inner.served.are_many();
        if (hurry || inner.dozes.take())
            && let Some(timer) = &mut *inner.timer.borrow_mut()
        {
            if hurry {
                // Of the two looks that have to be made, one has been made now.
                self.0.update(|progress| progress.look(true));
            }
            let next = if hurry { Duration::ZERO } else { inner.look.every };
            timer.as_mut().reset(Instant::now() + next);
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_over() {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut *self.0.stream.borrow_mut()).poll_read(cx, buffer);
        match &polled {
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                self.update(|progress| progress.came(&buffer.filled()[before..]));
            }
            Poll::Ready(_) => {}
            Poll::Pending => {
                self.look(cx);
                if self.is_over() {
                    return Poll::Ready(Ok(()));
                }
            }
        }
        polled
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.0.mid_write.get() {
            self.update(|progress| progress.wrote(bytes));
        }
        if let Some((End::Refused(_), _)) = self.over() {
            // Something better will be said instead.
            return Poll::Ready(Ok(bytes.len()));
        }
        let polled = Pin::new(&mut *self.0.stream.borrow_mut()).poll_write(cx, bytes);
        self.0.mid_write.set(!matches!(polled, Poll::Ready(Ok(written)) if written == bytes.len()));
        self.unless_stalled(polled, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut *self.0.stream.borrow_mut()).poll_flush(cx);
        self.unless_stalled(polled, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_over() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_shutdown(cx)
    }
}
