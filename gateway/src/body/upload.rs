//! Bodies on their way through, chunk by chunk: uploads with a limit on size, both directions with one on idleness.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_http::{
    Payload,
    body::{BodySize, MessageBody},
};
use bytes::Bytes;
use chassis::{
    extract::too_large,
    problem::{Code, Problem},
};
use futures_core::Stream;
use tokio::time::Instant;

use super::{idle::IdleTimer, replay::ReplayBuffer};

/// A body that comes more slowly than it may is given up after it was waited for so long: heads have as long, too.
const RATE_GRACE: Duration = Duration::from_secs(10);

/// What a client may take its time for, and how much it may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UploadLimits {
    pub(crate) bytes_max: u64,
    /// Between two chunks.
    pub(crate) idle: Duration,
    /// Bytes for each second that the client was waited for; a slow upstream does not count.
    pub(crate) rate_min: Option<u64>,
}

/// The body of a request. Clones are handles to the same body: a second attempt goes on where the first has not begun.
#[derive(Clone)]
pub(crate) struct Upload(Rc<UploadState>);

struct UploadState {
    payload: RefCell<Payload>,
    size: BodySize,
    idle: RefCell<IdleTimer>,
    limits: UploadLimits,
    /// How long the client was waited for, and since when it is.
    waited: Cell<Duration>,
    waiting: Cell<Option<Instant>>,
    /// Snapshot with who counts it, who shall not hold the body itself.
    bytes_read: Rc<Cell<u64>>,
    last_progress: Cell<Instant>,
    fault: Cell<Option<UploadFault>>,
    kept: RefCell<ReplayBuffer>,
}

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UploadFault {
    TooLarge { bytes_max: u64 },
    TooSlow,
    Broken,
}

impl UploadFault {
    /// What the client is told.
    pub(crate) fn to_problem(self) -> Problem {
        match self {
            Self::TooLarge { bytes_max } => too_large(usize::try_from(bytes_max).unwrap_or(usize::MAX)),
            Self::TooSlow => Problem::new(Code::RequestTimeout, "the body came too slowly"),
            Self::Broken => Problem::new(Code::BadRequest, "the body ended before its time"),
        }
    }
}

impl Upload {
    /// A body of the length that the client declared, or of unknown length.
    pub(crate) fn new(payload: Payload, length: Option<u64>, limits: UploadLimits) -> Self {
        Self(Rc::new(UploadState {
            payload: RefCell::new(payload),
            size: length.map_or(BodySize::Stream, BodySize::Sized),
            idle: RefCell::new(IdleTimer::new(limits.idle)),
            limits,
            waited: Cell::default(),
            waiting: Cell::new(None),
            bytes_read: Rc::default(),
            last_progress: Cell::new(Instant::now()),
            fault: Cell::new(None),
            kept: RefCell::new(ReplayBuffer::default()),
        }))
    }

    /// Goes back to its beginning, so that it can be sent again; `false` where that has not been kept.
    pub(crate) fn rewind(&self) -> bool {
        self.0.kept.borrow_mut().rewind() && self.0.fault.get().is_none()
    }

    /// How much of it has been read, now and later.
    pub(crate) fn bytes_read(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.0.bytes_read)
    }

    /// When its last chunk came.
    pub(crate) fn last_progress(&self) -> Instant {
        self.0.last_progress.get()
    }

    /// Why it was not read to its end.
    pub(crate) fn fault(&self) -> Option<UploadFault> {
        self.0.fault.get()
    }

    fn fail<T>(&self, fault: UploadFault) -> Poll<Option<Result<T, UploadError>>> {
        self.0.fault.set(Some(fault));
        Poll::Ready(Some(Err(UploadError(fault))))
    }
}

impl UploadState {
    /// Whether what has come so far took too long. A chunk has just come: how long none may come is for `idle` to say.
    fn is_too_slow(&self) -> bool {
        let Some(since) = self.waiting.take() else { return false };
        let waited = self.waited.get() + since.elapsed();
        self.waited.set(waited);
        let least = self.limits.rate_min.map_or(0, |rate| rate.saturating_mul(waited.as_secs()));
        waited > RATE_GRACE && self.bytes_read.get() < least
    }
}

/// What awc is told; the client gets [`UploadFault::to_problem`].
#[derive(Debug)]
pub(crate) struct UploadError(UploadFault);

impl std::fmt::Display for UploadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for UploadError {}

impl MessageBody for Upload {
    type Error = UploadError;

    fn size(&self) -> BodySize {
        self.0.size
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UploadError>>> {
        let state = &self.0;
        if let Some(chunk) = state.kept.borrow_mut().next() {
            state.last_progress.set(Instant::now());
            return Poll::Ready(Some(Ok(chunk)));
        }
        match Pin::new(&mut *state.payload.borrow_mut()).poll_next(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                state.idle.borrow_mut().progressed();
                state.last_progress.set(Instant::now());
                state.bytes_read.set(state.bytes_read.get() + chunk.len() as u64);
                let bytes_max = state.limits.bytes_max;
                if state.bytes_read.get() > bytes_max {
                    return self.fail(UploadFault::TooLarge { bytes_max });
                }
                if state.is_too_slow() {
                    return self.fail(UploadFault::TooSlow);
                }
                state.kept.borrow_mut().push(&chunk);
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(Some(Err(_))) => self.fail(UploadFault::Broken),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                state.waiting.set(state.waiting.get().or_else(|| Some(Instant::now())));
                ready!(state.idle.borrow_mut().poll_expired(cx));
                self.fail(UploadFault::TooSlow)
            }
        }
    }
}
