//! Where an answer begins and ends on a connection to an upstream (RFC 9112, section 6), and what is wrong with it.
//! Pure: bytes in, bytes out; knows no sockets.
//!
//! ```text
//! Idle ── request sent ──► Head ──► Body ──► Idle       the connection is kept, or poisoned
//!                           │ ├───► ToClose             neither length nor chunks: read to the end of the connection
//!                           │ └───► Tunnel              101: no HTTP any more
//!                           └─ 1xx: cut out
//! ```

mod chunks;
mod head;

use std::{error::Error, fmt, io};

use bytes::{Buf, Bytes, BytesMut};

use chunks::{Chunks, Progress};
use head::{BodyKind, Head};

pub(crate) use self::head::{HIDDEN_CODING, HIDDEN_LENGTH, HIDDEN_UPGRADE};

/// The largest head of an answer: a browser takes no more either.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// More interim answers than this are a fault: there is `100` once, and `103` a few times.
const INTERIM_HEADS_MAX: usize = 16;

/// What is wrong with an answer, or with the connection before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The upstream closed a connection that had been idle just when a request was sent on it.
    Stale,
    /// The upstream closed a new connection without an answer.
    Closed,
    /// The answer ended in its head or in its body.
    Truncated,
    /// It is no HTTP, or its framing could be read in two ways.
    Invalid(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stale => "the upstream closed an idle connection",
            Self::Closed => "the upstream closed the connection without an answer",
            Self::Truncated => "the answer was cut short",
            Self::Invalid(why) => why,
        })
    }
}

impl Error for Fault {}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        let kind = match fault {
            Fault::Stale | Fault::Closed => io::ErrorKind::ConnectionReset,
            Fault::Truncated => io::ErrorKind::UnexpectedEof,
            Fault::Invalid(_) => io::ErrorKind::InvalidData,
        };
        Self::new(kind, fault)
    }
}

impl Fault {
    /// The fault inside an error that went through awc.
    pub(crate) fn within(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// The place in the exchanges of one connection.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    /// A head that is not yet whole, and what came with it.
    gathered: BytesMut,
    /// A fault that is due once what came before it is read.
    fault: Option<Fault>,
    /// No more requests on this connection.
    poisoned: bool,
    /// There was an exchange on this connection before the one at hand.
    used: bool,
}

#[derive(Debug)]
enum State {
    Idle,
    Head { to_head_request: bool, interim: usize },
    Sized(u64),
    Chunked(Chunks),
    ToClose,
    Tunnel,
}

/// What the reader is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Give these bytes to awc.
    Give(Bytes),
    /// Read on, into [`Framing::gather`].
    Gather,
    /// Read on, and give what [`Framing::follow`] lets through.
    Follow,
    /// Nothing is expected: whatever is read poisons the connection.
    Nothing,
}

impl Framing {
    /// A new connection.
    pub(crate) fn new() -> Self {
        Self { state: State::Idle, gathered: BytesMut::new(), fault: None, poisoned: false, used: false }
    }

    /// Whether a request may begin.
    pub(crate) const fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Whether an answer, or its head, is awaited.
    pub(crate) const fn is_awaiting_head(&self) -> bool {
        matches!(self.state, State::Head { .. })
    }

    /// Whether the connection must not be used again.
    pub(crate) const fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// No request may follow the one at hand.
    pub(crate) fn poison(&mut self) {
        self.poisoned = true;
    }

    /// A request is on its way.
    pub(crate) fn begin(&mut self, is_head_request: bool) {
        self.state = State::Head { to_head_request: is_head_request, interim: 0 };
    }

    /// What to do next.
    ///
    /// # Errors
    /// The answer is at fault.
    pub(crate) fn advance(&mut self) -> Result<Next, Fault> {
        while let State::Head { to_head_request, interim } = self.state {
            if self.gathered.is_empty() {
                return Ok(Next::Gather);
            }
            match head::read(&mut self.gathered, to_head_request).map_err(|why| self.fail(Fault::Invalid(why)))? {
                Head::Partial if self.gathered.len() >= HEAD_BYTES_MAX => {
                    return Err(self.fail(Fault::Invalid("the head of the answer is too large")));
                }
                Head::Partial => return Ok(Next::Gather),
                Head::Interim { bytes } | Head::Final { bytes, .. } if bytes > HEAD_BYTES_MAX => {
                    return Err(self.fail(Fault::Invalid("the head of the answer is too large")));
                }
                Head::Interim { .. } if interim == INTERIM_HEADS_MAX => {
                    return Err(self.fail(Fault::Invalid("there are too many interim answers")));
                }
                Head::Interim { bytes } => {
                    self.gathered.advance(bytes);
                    self.state = State::Head { to_head_request, interim: interim + 1 };
                }
                Head::Final { bytes, body, keep_alive } => return Ok(self.answer(bytes, body, keep_alive)),
            }
        }
        match self.fault {
            Some(fault) => Err(fault),
            None if self.is_idle() => Ok(Next::Nothing),
            None => Ok(Next::Follow),
        }
    }

    /// Gives the head together with what has come of the body.
    fn answer(&mut self, bytes: usize, body: BodyKind, keep_alive: bool) -> Next {
        self.poisoned |= !keep_alive;
        self.used = true;
        self.state = match body {
            BodyKind::None => State::Idle,
            BodyKind::Length(length) => State::Sized(length),
            BodyKind::Chunked => State::Chunked(Chunks::new()),
            BodyKind::ToClose => State::ToClose,
            BodyKind::Tunnel => State::Tunnel,
        };
        let mut gathered = std::mem::take(&mut self.gathered);
        let taken = self.follow(&gathered[bytes..]);
        Next::Give(gathered.split_to(bytes + taken).freeze())
    }

    /// Takes bytes of a head; see [`Next::Gather`].
    pub(crate) fn gather(&mut self, bytes: &[u8]) {
        self.gathered.extend_from_slice(bytes);
    }

    /// The status of the final head, if it has been gathered as a whole.
    pub(crate) fn gathered_status(&self) -> Option<u16> {
        head::final_status(&self.gathered)
    }

    /// Whether no more of a head may be gathered.
    pub(crate) fn is_full(&self) -> bool {
        self.gathered.len() >= HEAD_BYTES_MAX
    }

    /// How many of these bytes belong to the answer. What nobody asked for poisons the connection.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> usize {
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
            State::Chunked(chunks) => match chunks.follow(bytes) {
                Progress::More => bytes.len(),
                Progress::End(taken) => {
                    self.state = State::Idle;
                    taken
                }
                Progress::Invalid(taken) => {
                    self.fail(Fault::Invalid("the chunks of the answer are not well formed"));
                    taken
                }
            },
        };
        self.poisoned |= taken < bytes.len();
        taken
    }

    /// The connection ended. `Ok` where that is how an answer may end.
    ///
    /// # Errors
    /// Something was missing.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        self.poisoned = true;
        match self.state {
            State::Idle | State::ToClose | State::Tunnel => Ok(()),
            State::Head { .. } if !self.gathered.is_empty() => Err(self.fail(Fault::Truncated)),
            State::Head { .. } if self.used => Err(self.fail(Fault::Stale)),
            State::Head { .. } => Err(self.fail(Fault::Closed)),
            State::Sized(_) | State::Chunked(_) => Err(self.fail(Fault::Truncated)),
        }
    }

    /// After a fault nothing more is to be had from this connection.
    fn fail(&mut self, fault: Fault) -> Fault {
        self.poisoned = true;
        self.fault = Some(fault);
        fault
    }
}

impl Default for Framing {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
