//! The state machine of the exchanges on one connection: which bytes belong to an answer, and when it is complete.

use std::{error::Error, fmt, io, mem};

use actix_http::header::HeaderMap;
use bytes::{Buf, Bytes, BytesMut};

use super::{
    chunks::{ChunkProgress, ChunkedBody},
    head::{self, BodyKind, Head, Reuse},
};

/// Maximum size of the head of an answer: 64 KiB. Usual ones have less than 4 KiB.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Maximum number of interim answers: `100` is usual once, `103` a few times.
const INTERIM_HEADS_MAX: usize = 16;

/// What is wrong with an answer, or with the connection before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FramingError {
    /// The upstream closed an idle connection just when a request was sent on it.
    Stale,
    /// The upstream closed a new connection without an answer.
    Closed,
    /// The answer ended in its head or in its body.
    Truncated,
    /// It is not HTTP, or two readers could find different ends of it.
    Invalid(&'static str),
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stale => "the upstream closed an idle connection",
            Self::Closed => "the upstream closed the connection without an answer",
            Self::Truncated => "the answer was cut short",
            Self::Invalid(why) => why,
        })
    }
}

impl Error for FramingError {}

impl From<FramingError> for io::Error {
    fn from(error: FramingError) -> Self {
        let kind = match error {
            FramingError::Stale | FramingError::Closed => io::ErrorKind::ConnectionReset,
            FramingError::Truncated => io::ErrorKind::UnexpectedEof,
            FramingError::Invalid(_) => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

impl FramingError {
    /// Returns the framing error in an error that went through awc.
    pub(crate) fn from_io(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// The position in the exchanges on one connection.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    /// The head of the next answer as far as it was received, and what was received with it.
    head_buffer: BytesMut,
    /// An error that is reported once the bytes before it have been read.
    error: Option<FramingError>,
    /// No further request may use this connection.
    poisoned: bool,
    /// There was an answer on this connection before.
    was_used: bool,
    /// The status of the last final answer.
    status: u16,
    /// What the last answer says about another request on this connection.
    reuse: Reuse,
    /// Whether the trailers of the answer in progress are kept.
    keeps_trailers: bool,
    /// Those of the last answer, if they were kept and are not empty, with the empty line after them.
    trailers: Option<Vec<u8>>,
}

#[derive(Debug)]
enum State {
    Idle,
    Head { to_head_request: bool, interim: usize },
    Sized(u64),
    Chunked(ChunkedBody),
    ToClose,
    Tunnel,
}

/// What the reader is to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Deliver these bytes to awc.
    Deliver(Bytes),
    /// Read, and pass what was read to [`Framing::push_head`].
    ReadHead,
    /// Read, and deliver as much as [`Framing::track_body`] returns.
    ReadBody,
    /// No bytes are expected: any poison the connection.
    Idle,
}

impl Framing {
    /// A new connection.
    pub(crate) fn new() -> Self {
        Self {
            state: State::Idle,
            head_buffer: BytesMut::new(),
            error: None,
            poisoned: false,
            was_used: false,
            status: 0,
            reuse: Reuse::Possible,
            keeps_trailers: false,
            trailers: None,
        }
    }

    /// Returns whether no exchange is in progress.
    pub(crate) const fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Returns whether the head of an answer is expected.
    pub(crate) const fn is_awaiting_head(&self) -> bool {
        matches!(self.state, State::Head { .. })
    }

    /// Returns whether the connection must not be used again.
    pub(crate) const fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Returns whether the last answer was neither a success nor a switch of the protocol.
    pub(crate) const fn is_refusal(&self) -> bool {
        self.status >= 300
    }

    /// Returns for how many seconds the upstream keeps this connection when it is idle, if it has said so.
    pub(crate) const fn idle_max(&self) -> Option<u64> {
        match self.reuse {
            Reuse::Within(seconds) => Some(seconds),
            Reuse::Never | Reuse::Possible => None,
        }
    }

    /// Makes the exchange in progress the last one on this connection.
    pub(crate) fn poison(&mut self) {
        self.poisoned = true;
    }

    /// Starts an exchange: a request is being sent.
    pub(crate) fn begin_exchange(&mut self, is_head_request: bool, keeps_trailers: bool) {
        self.keeps_trailers = keeps_trailers;
        self.trailers = None;
        self.state = State::Head { to_head_request: is_head_request, interim: 0 };
    }

    /// Returns what to do next.
    ///
    /// # Errors
    /// The answer is invalid.
    pub(crate) fn advance(&mut self) -> Result<Step, FramingError> {
        while let State::Head { to_head_request, interim } = self.state {
            if self.head_buffer.is_empty() {
                return Ok(Step::ReadHead);
            }
            match head::read(&mut self.head_buffer, to_head_request)
                .map_err(|why| self.fail(FramingError::Invalid(why)))?
            {
                Head::Partial if self.head_buffer.len() >= HEAD_BYTES_MAX => {
                    return Err(self.fail(FramingError::Invalid("the head of the answer is too large")));
                }
                Head::Partial => return Ok(Step::ReadHead),
                Head::Interim { bytes } | Head::Final { bytes, .. } if bytes > HEAD_BYTES_MAX => {
                    return Err(self.fail(FramingError::Invalid("the head of the answer is too large")));
                }
                Head::Interim { .. } if interim == INTERIM_HEADS_MAX => {
                    return Err(self.fail(FramingError::Invalid("there are too many interim answers")));
                }
                Head::Interim { bytes } => {
                    self.head_buffer.advance(bytes);
                    self.state = State::Head { to_head_request, interim: interim + 1 };
                }
                Head::Final { bytes, status, body, reuse } => {
                    self.status = status;
                    return Ok(self.answer(bytes, body, reuse));
                }
            }
        }
        match self.error {
            Some(error) => Err(error),
            None if self.is_idle() => Ok(Step::Idle),
            None => Ok(Step::ReadBody),
        }
    }

    /// Delivers the head together with what was received of the body.
    fn answer(&mut self, bytes: usize, body: BodyKind, reuse: Reuse) -> Step {
        self.poisoned |= reuse == Reuse::Never;
        self.reuse = reuse;
        self.was_used = true;
        self.state = match body {
            BodyKind::None => State::Idle,
            BodyKind::Length(length) => State::Sized(length),
            BodyKind::Chunked if self.keeps_trailers => State::Chunked(ChunkedBody::keeping_trailers()),
            BodyKind::Chunked => State::Chunked(ChunkedBody::new()),
            BodyKind::ToClose => State::ToClose,
            BodyKind::Tunnel => State::Tunnel,
        };
        let mut head_buffer = std::mem::take(&mut self.head_buffer);
        let taken = self.track_body(&head_buffer[bytes..]);
        Step::Deliver(head_buffer.split_to(bytes + taken).freeze())
    }

    /// Takes the trailers of an answer that has ended, where they were to be kept.
    pub(crate) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take().map(|bytes| head::trailers(&bytes))
    }

    /// Adds bytes that were read; see [`Step::ReadHead`].
    pub(crate) fn push_head(&mut self, bytes: &[u8]) {
        self.head_buffer.extend_from_slice(bytes);
    }

    /// Returns how many of these bytes belong to the answer. The others poison the connection.
    pub(crate) fn track_body(&mut self, bytes: &[u8]) -> usize {
        let taken = match &mut self.state {
            State::Idle | State::Head { .. } => 0,
            State::ToClose | State::Tunnel => bytes.len(),
            State::Sized(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                if *left == 0 {
                    self.state = State::Idle;
                }
                taken
            }
            State::Chunked(chunks) => match chunks.track(bytes) {
                ChunkProgress::More => bytes.len(),
                ChunkProgress::End(taken) => {
                    if let State::Chunked(chunks) = mem::replace(&mut self.state, State::Idle) {
                        self.trailers = chunks.into_trailers();
                    }
                    taken
                }
                ChunkProgress::Invalid(taken) => {
                    self.fail(FramingError::Invalid("the chunks of the answer are not well formed"));
                    taken
                }
            },
        };
        self.poisoned |= taken < bytes.len();
        taken
    }

    /// The connection was closed. Returns `Ok` if an answer may end like this.
    ///
    /// # Errors
    /// The answer is incomplete, or there is none.
    pub(crate) fn on_eof(&mut self) -> Result<(), FramingError> {
        self.poisoned = true;
        match self.state {
            State::Idle | State::ToClose | State::Tunnel => Ok(()),
            State::Head { .. } if !self.head_buffer.is_empty() => Err(self.fail(FramingError::Truncated)),
            State::Head { .. } if self.was_used => Err(self.fail(FramingError::Stale)),
            State::Head { .. } => Err(self.fail(FramingError::Closed)),
            State::Sized(_) | State::Chunked(_) => Err(self.fail(FramingError::Truncated)),
        }
    }

    /// Ends the connection with an error.
    fn fail(&mut self, error: FramingError) -> FramingError {
        self.poisoned = true;
        self.error = Some(error);
        error
    }
}

impl Default for Framing {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
