//! The body of a request, passed on chunk by chunk, with limits on its size, idle time and rate. Knows no upstreams.

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
    header::{HeaderMap, HeaderName},
};
use bytes::Bytes;
use chassis::{
    extract::too_large,
    problem::{Code, Problem},
};
use futures_core::Stream;
use tokio::time::Instant;

use super::{idle::IdleTimer, replay::ReplayBuffer, trailers::Trailers};

/// How long the client may be waited for, in total, before the minimum rate applies: 10 s, as long as for a head.
const RATE_GRACE: Duration = Duration::from_secs(10);

/// The limits of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UploadLimits {
    pub(crate) bytes_max: u64,
    /// Maximum time between two chunks.
    pub(crate) idle: Duration,
    /// Minimum number of bytes for each second in which the client was waited for; waiting for the upstream does not
    /// count.
    pub(crate) rate_min: Option<u64>,
}

/// The body of a request. Clones are handles to the same body, so that each attempt is given one.
#[derive(Clone)]
pub(crate) struct Upload(Rc<UploadState>);

struct UploadState {
    payload: RefCell<Payload>,
    size: BodySize,
    idle: RefCell<IdleTimer>,
    limits: UploadLimits,
    /// How long the client was waited for in total.
    waited: Cell<Duration>,
    /// Since when it is waited for, if it is.
    waiting_since: Cell<Option<Instant>>,
    /// Shared with the access log, which must not keep the body itself alive.
    bytes_read: Rc<Cell<u64>>,
    last_progress: Cell<Instant>,
    /// All of it was read, or nobody will read the rest.
    ended: Cell<bool>,
    fault: Cell<Option<UploadFault>>,
    replay: RefCell<ReplayBuffer>,
    trailers: Option<UploadTrailers>,
}

/// The trailers that may follow a body, and which of them may be sent.
pub(crate) struct UploadTrailers {
    pub(crate) received: Trailers,
    pub(crate) is_allowed: Box<dyn Fn(&HeaderName) -> bool>,
}

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UploadFault {
    TooLarge { bytes_max: u64 },
    TooSlow,
    Broken,
}

impl UploadFault {
    /// Returns the answer to the client.
    pub(crate) fn to_problem(self) -> Problem {
        match self {
            Self::TooLarge { bytes_max } => too_large(usize::try_from(bytes_max).unwrap_or(usize::MAX)),
            Self::TooSlow => Problem::new(Code::RequestTimeout, "the body was sent too slowly"),
            Self::Broken => Problem::new(Code::BadRequest, "the body ended early"),
        }
    }
}

impl Upload {
    /// A body of the length that the client declared, or of unknown length.
    pub(crate) fn new(
        payload: Payload,
        length: Option<u64>,
        limits: UploadLimits,
        trailers: Option<UploadTrailers>,
    ) -> Self {
        Self(Rc::new(UploadState {
            payload: RefCell::new(payload),
            size: length.map_or(BodySize::Stream, BodySize::Sized),
            idle: RefCell::new(IdleTimer::new(limits.idle)),
            limits,
            waited: Cell::default(),
            waiting_since: Cell::new(None),
            bytes_read: Rc::default(),
            last_progress: Cell::new(Instant::now()),
            ended: Cell::new(false),
            fault: Cell::new(None),
            replay: RefCell::new(ReplayBuffer::default()),
            trailers,
        }))
    }

    /// Returns the trailers to send, once the body has been read to its end. They can be sent again with it.
    pub(crate) fn trailers(&self) -> HeaderMap {
        let trailers = self.0.trailers.as_ref();
        trailers.map(|trailers| trailers.received.allowed(&trailers.is_allowed)).unwrap_or_default()
    }

    /// Returns to its beginning, so that it can be sent again; `false` if that is not possible.
    pub(crate) fn rewind(&self) -> bool {
        let rewound = self.0.replay.borrow_mut().rewind() && self.0.fault.get().is_none();
        self.0.ended.set(false);
        rewound
    }

    /// Gives up the rest: nobody will read it.
    pub(crate) fn abandon(&self) {
        self.0.payload.replace(Payload::None);
        self.0.waiting_since.set(None);
        self.0.ended.set(true);
    }

    /// Returns whether all of it was read, or nobody will read the rest.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.ended.get()
    }

    /// Returns whether it explains that its reader has been silent for this long: the client owes the next chunk, or has
    /// sent one only lately.
    pub(crate) fn excuses_silence(&self, silence: Duration) -> bool {
        !self.has_ended() && (self.waits_for_client() || self.last_progress().elapsed() < silence)
    }

    /// Returns a handle to the number of bytes that have been read.
    pub(crate) fn bytes_read(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.0.bytes_read)
    }

    /// Returns when its last chunk was received.
    pub(crate) fn last_progress(&self) -> Instant {
        self.0.last_progress.get()
    }

    /// Returns whether the client is waited for: it owes the next chunk, and whoever reads the body is not at fault.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.0.waiting_since.get().is_some()
    }

    /// Gives the body up because the client did not send all of it in time.
    pub(crate) fn time_out(&self) {
        self.0.fault.set(Some(UploadFault::TooSlow));
    }

    /// Returns why it was not read to its end, if it was not.
    pub(crate) fn fault(&self) -> Option<UploadFault> {
        self.0.fault.get()
    }

    fn fail<T>(&self, fault: UploadFault) -> Poll<Option<Result<T, UploadError>>> {
        self.0.fault.set(Some(fault));
        Poll::Ready(Some(Err(UploadError(fault))))
    }
}

impl UploadState {
    /// Returns whether the body is below its minimum rate. Called when a chunk has been received; the time without any
    /// chunk is limited by `idle`.
    fn is_too_slow(&self) -> bool {
        let Some(since) = self.waiting_since.take() else { return false };
        let waited = self.waited.get() + since.elapsed();
        self.waited.set(waited);
        let least = self.limits.rate_min.map_or(0, |rate| rate.saturating_mul(waited.as_secs()));
        waited > RATE_GRACE && self.bytes_read.get() < least
    }
}

/// The error for awc. The client gets [`UploadFault::to_problem`].
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
        if let Some(chunk) = state.replay.borrow_mut().next() {
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
                state.replay.borrow_mut().push(&chunk);
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(Some(Err(_))) => self.fail(UploadFault::Broken),
            Poll::Ready(None) => {
                state.waiting_since.set(None);
                state.last_progress.set(Instant::now());
                state.ended.set(true);
                Poll::Ready(None)
            }
            Poll::Pending => {
                state.waiting_since.set(state.waiting_since.get().or_else(|| Some(Instant::now())));
                ready!(state.idle.borrow_mut().poll_expired(cx));
                self.fail(UploadFault::TooSlow)
            }
        }
    }
}
