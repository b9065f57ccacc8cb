//! The framing guard: a connection to an upstream that shows awc only answers which it reads rightly. It knows
//! sockets; what an answer is, is decided in `framing`.
//!
//! awc by itself takes a truncated chunked body for a whole one, `100` for the final answer, and an answer without
//! length for an empty one. It writes a whole request before it reads: an early refusal is kept for it here.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_rt::net::{ActixStream, Ready};
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::{Framing, Next};

/// What is read at once of a head: most fit.
const READ_BYTES: usize = 4 * 1024;

/// A connection whose answers are checked. TLS, where there is some, is inside of it: it reads plain text.
#[derive(Debug)]
pub(crate) struct Guarded<S> {
    stream: S,
    framing: Framing,
    /// Checked, but not yet read by awc.
    ready: Bytes,
    /// The upstream has answered before it had the whole request: the rest is not sent.
    refused: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guarded<S> {
    /// Guards a new connection.
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, framing: Framing::new(), ready: Bytes::new(), refused: false }
    }

    /// Gathers what has come of a head. `false` at the end of the connection.
    fn poll_gather(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut buf = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        self.framing.gather(buf.filled());
        Poll::Ready(Ok(!buf.filled().is_empty()))
    }

    /// Whether a refusal is there, or whatever final answer where the request cannot be sent any more.
    ///
    /// RFC 9112, section 9.5: a client that sees an answer which shows that the rest is not wanted ceases to send.
    fn is_refused(&mut self, cx: &mut Context<'_>, broken: bool) -> bool {
        loop {
            match self.framing.gathered_status() {
                Some(status) if broken || status >= 300 => return true,
                Some(_) => return false,
                None if self.framing.is_full() => return false,
                None => {}
            }
            match self.poll_gather(cx) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false) | Err(_)) | Poll::Pending => return false,
            }
        }
    }

    fn refuse(&mut self) {
        self.refused = true;
        // The upstream waits for the rest of the request, or has closed already.
        self.framing.poison();
    }

    /// Between two exchanges awc reads only to see whether the connection still lives.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.framing.is_poisoned() {
            let mut byte = [0];
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut byte)))?;
            self.framing.poison();
        }
        // Reads as the end of the connection, so that the pool drops it.
        Poll::Ready(Ok(()))
    }

    fn poll_follow(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        if read == 0 {
            return Poll::Ready(Ok(self.framing.end()?));
        }
        let taken = self.framing.follow(&buf.filled()[before..]);
        buf.set_filled(before + taken);
        if taken == 0 {
            // Nothing of it was the answer's: there is a fault, which `advance` tells.
            self.framing.advance()?;
        }
        Poll::Ready(Ok(()))
    }

    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let given = self.ready.len().min(buf.remaining());
        buf.put_slice(&self.ready[..given]);
        self.ready.advance(given);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let guard = self.get_mut();
        loop {
            if !guard.ready.is_empty() {
                guard.give(buf);
                return Poll::Ready(Ok(()));
            }
            match guard.framing.advance()? {
                Next::Give(bytes) => guard.ready = bytes,
                Next::Follow => return guard.poll_follow(cx, buf),
                Next::Nothing => return guard.poll_idle(cx),
                Next::Gather => match ready!(guard.poll_gather(cx)) {
                    Ok(true) => {}
                    // A reset is an end, too: what it means depends on what came before.
                    Ok(false) | Err(_) => guard.framing.end()?,
                },
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let guard = self.get_mut();
        if guard.framing.is_idle() {
            guard.refused = false;
            guard.framing.begin(bytes.starts_with(b"HEAD "));
        }
        if guard.refused {
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
        if guard.is_refused(cx, broken) {
            guard.refuse();
            return Poll::Ready(Ok(bytes.len()));
        }
        if broken {
            guard.framing.end()?;
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let guard = self.get_mut();
        if guard.refused { Poll::Ready(Ok(())) } else { Pin::new(&mut guard.stream).poll_flush(cx) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// awc asks for this; nobody calls it, because the guard is the outermost layer.
impl<S: ActixStream> ActixStream for Guarded<S> {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.stream.poll_read_ready(cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.stream.poll_write_ready(cx)
    }
}
