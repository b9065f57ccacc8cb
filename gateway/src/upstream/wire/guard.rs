//! The framing guard: a stream between awc and the socket of an upstream that passes only answers which awc reads
//! correctly. Knows sockets and no requests; where an answer begins and ends is decided in [`framing`](super::framing).
//!
//! # Why a guard in front of awc
//! awc has a good pool and connector, but is lenient about framing, and an intermediary must not be. By itself it
//! - takes a chunked body that was cut short for a complete one, so that a client gets half a file with 200;
//! - takes `100` or `103` for the final answer, so that the answer to one request is given to the next one;
//! - takes an answer with neither length nor chunks for an empty one, instead of reading to the end of the connection;
//! - waits for the body of a `304` that has a length;
//! - writes a whole request before it reads, so that an early refusal of an upload becomes a broken pipe.
//!
//! None of this can be configured, and all of it is visible in the bytes. The guard parses the head of each answer,
//! follows its body without copying it, and reports a connection that ends in the wrong place as an error of the
//! connection, which awc passes on. The copy of a head is the whole cost.
//!
//! # The tricky part
//! The guard sees no requests, only reads and writes. A write while no exchange is in progress starts one; awc writes
//! nothing between exchanges. An early refusal is found when a write cannot proceed: then, and only then, the guard
//! reads. If an answer is there, it pretends to send the rest of the request, and awc reads the answer next.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_rt::net::{ActixStream, Ready};
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::{Framing, Step};

/// Size of one read while a head is expected: 4 KiB, in which most heads fit.
const READ_BYTES: usize = 4 * 1024;

/// A connection whose answers are checked. TLS is inside of it: the guard reads plain text.
#[derive(Debug)]
pub(crate) struct GuardedStream<S> {
    stream: S,
    framing: Framing,
    /// Bytes that were checked, but not yet read by awc.
    checked: Bytes,
    /// The upstream answered before it had the whole request: the rest is not sent.
    is_refused: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> GuardedStream<S> {
    /// Guards a new connection.
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, framing: Framing::new(), checked: Bytes::new(), is_refused: false }
    }

    /// Reads a part of a head. `false` at the end of the connection.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut buf = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        self.framing.push_head(buf.filled());
        Poll::Ready(Ok(!buf.filled().is_empty()))
    }

    /// Returns whether the upstream has answered already: with a refusal, or if the request cannot be sent any more,
    /// with any final answer. RFC 9112, section 9.5: a client stops sending when an answer shows that the rest is not
    /// wanted.
    fn has_answer(&mut self, cx: &mut Context<'_>, broken: bool) -> bool {
        loop {
            match self.framing.buffered_status() {
                Some(status) if broken || status >= 300 => return true,
                Some(_) => return false,
                None if self.framing.is_head_full() => return false,
                None => {}
            }
            match self.poll_head(cx) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false) | Err(_)) | Poll::Pending => return false,
            }
        }
    }

    fn refuse(&mut self) {
        self.is_refused = true;
        // The upstream waits for the rest of the request, or has closed the connection.
        self.framing.poison();
    }

    /// Between two exchanges awc reads only to find out whether the connection is still open.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.framing.is_poisoned() {
            let mut byte = [0];
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut byte)))?;
            self.framing.poison();
        }
        // Zero bytes are the end of the connection: the pool drops it.
        Poll::Ready(Ok(()))
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        if read == 0 {
            return Poll::Ready(Ok(self.framing.on_eof()?));
        }
        let taken = self.framing.track_body(&buf.filled()[before..]);
        buf.set_filled(before + taken);
        if taken == 0 {
            // None of it belongs to the answer: there is an error, which `advance` returns.
            self.framing.advance()?;
        }
        Poll::Ready(Ok(()))
    }

    fn deliver(&mut self, buf: &mut ReadBuf<'_>) {
        let given = self.checked.len().min(buf.remaining());
        buf.put_slice(&self.checked[..given]);
        self.checked.advance(given);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for GuardedStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let guard = self.get_mut();
        loop {
            if !guard.checked.is_empty() {
                guard.deliver(buf);
                return Poll::Ready(Ok(()));
            }
            match guard.framing.advance()? {
                Step::Deliver(bytes) => guard.checked = bytes,
                Step::ReadBody => return guard.poll_body(cx, buf),
                Step::Idle => return guard.poll_idle(cx),
                Step::ReadHead => match ready!(guard.poll_head(cx)) {
                    Ok(true) => {}
                    // A reset ends the connection, too: what that means depends on what was received before.
                    Ok(false) | Err(_) => guard.framing.on_eof()?,
                },
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for GuardedStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let guard = self.get_mut();
        if guard.framing.is_idle() {
            guard.is_refused = false;
            guard.framing.begin_exchange(bytes.starts_with(b"HEAD "));
        }
        if guard.is_refused {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut guard.stream).poll_write(cx, bytes);
        let broken = match &written {
            Poll::Ready(Ok(_)) => return written,
            Poll::Pending => false,
            Poll::Ready(Err(_)) => true,
        };
        if !guard.framing.is_awaiting_head() {
            return written;
        }
        if guard.has_answer(cx, broken) {
            guard.refuse();
            return Poll::Ready(Ok(bytes.len()));
        }
        if broken {
            guard.framing.on_eof()?;
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let guard = self.get_mut();
        if guard.is_refused { Poll::Ready(Ok(())) } else { Pin::new(&mut guard.stream).poll_flush(cx) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Required by awc. Never called, because the guard is the outermost layer.
impl<S: ActixStream> ActixStream for GuardedStream<S> {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.stream.poll_read_ready(cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.stream.poll_write_ready(cx)
    }
}
