//! The framing guard: a stream between awc and the socket of an upstream that passes only answers which awc reads
//! correctly. Knows sockets and no requests; where an answer begins and ends is decided in [`framing`](super::framing).
//!
//! # Why a guard in front of awc
//! awc has a good pool and connector, but is lenient about framing, and an intermediary must not be. By itself it
//! - takes a chunked body that was cut short for a complete one, so that a client gets half a file with 200;
//! - takes `100` or `103` for the final answer, so that the answer to one request is given to the next one;
//! - takes an answer with neither length nor chunks for an empty one, instead of reading to the end of the connection;
//! - waits for the body of a `304` that has a length;
//! - writes a whole request before it reads, so that an early refusal of an upload becomes a broken pipe, and an upstream
//!   that answers while it reads waits for ever.
//!
//! None of this can be configured, and all of it is visible in the bytes. The guard parses the head of each answer,
//! follows its body without copying it, and reports a connection that ends in the wrong place as an error of the
//! connection, which awc passes on. The copy of a head is the whole cost.
//!
//! # The tricky part
//! The guard sees no requests, only reads and writes. A write while no exchange is in progress starts one; awc writes
//! nothing between exchanges.
//!
//! A request with a body and its answer go on beside each other: an upstream that echoes or transcodes answers while it
//! reads, and stops reading when nobody takes its answer. awc gives the guard only the head of such a request. The guard
//! takes over the body ([`upload_writer`](super::upload_writer)), and goes on writing it whenever awc reads, be it the head
//! of the answer or its body. So no task and no lock is needed, and at most a few chunks are kept: who does not read his
//! answer is not read from either. Where an answer is complete before its request is, it depends:
//! - a refusal (RFC 9112, section 9.5) ends the exchange, and nothing else is sent on this connection;
//! - of any other answer the end is held back until the request is complete, since many services answer first and then
//!   read, and the connection serves both sides again afterwards. A target that reads no more for [`UNREAD_MAX`] has no
//!   use for the rest.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use actix_rt::net::{ActixStream, Ready};
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    framing::{Framing, Step},
    upload_writer::{HandedOver, UploadEnded, UploadWriter, WriteError, take_over},
};
use crate::body::{idle::IdleTimer, trailers::Trailers};

/// Size of one read while a head is expected: 4 KiB, in which most heads fit.
const READ_BYTES: usize = 4 * 1024;
/// How long before its upstream closes an idle connection it is not used any more: 1 s, which is more than a request takes
/// to arrive. Upstreams count whole seconds.
const CLOSING_MARGIN: Duration = Duration::from_secs(1);
/// Longer times are of no use, since the pool keeps no connection for an hour.
const IDLE_SECONDS_MAX: u64 = 3600;
/// How long a target that has answered completely may leave the rest of the request unread: 5 s.
const UNREAD_MAX: Duration = Duration::from_secs(5);

/// A connection whose answers are checked. TLS is inside of it: the guard reads plain text.
#[derive(Debug)]
pub(crate) struct GuardedStream<S> {
    stream: S,
    framing: Framing,
    /// Bytes that were checked, but not yet read by awc.
    checked: Bytes,
    /// The request in progress, until all of it is written; `None` for one without a body.
    upload: Option<UploadWriter>,
    /// Where the trailers of the answer go.
    trailers: Option<Trailers>,
    /// Runs while the end of an answer is held back and the target does not read.
    unread: IdleTimer,
    /// Until when the connection may be used again, where the upstream has said how long it keeps it.
    reusable_until: Option<Instant>,
    /// Nothing more can be written. What that means is found out by reading: an answer, or how the connection ended.
    is_unwritable: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> GuardedStream<S> {
    /// Guards a new connection.
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            framing: Framing::new(),
            checked: Bytes::new(),
            upload: None,
            trailers: None,
            unread: IdleTimer::new(UNREAD_MAX),
            reusable_until: None,
            is_unwritable: false,
        }
    }

    /// Starts an exchange, of which awc writes these bytes. `true` if it has a body, and the guard writes it all.
    fn begin_exchange(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> io::Result<bool> {
        let HandedOver { upload, trailers } = take_over();
        self.framing.begin_exchange(bytes.starts_with(b"HEAD "), trailers.is_some());
        self.trailers = trailers;
        self.upload = upload.map(|upload| UploadWriter::start(bytes, upload, cx)).transpose()?;
        Ok(self.upload.is_some())
    }

    /// Goes on writing the request, as far as that is possible now.
    fn write_upload(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(upload) = &mut self.upload else { return Ok(()) };
        match upload.poll_write(&mut self.stream, cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.upload = None,
            Poll::Ready(Err(WriteError::Connection)) => self.give_up_upload(),
            Poll::Ready(Err(WriteError::Upload)) => {
                self.give_up_upload();
                return Err(io::Error::other(UploadEnded));
            }
        }
        Ok(())
    }

    /// The upstream waits for the rest of the request, or has closed the connection.
    fn give_up_upload(&mut self) {
        if let Some(upload) = self.upload.take() {
            upload.abandon();
            self.framing.poison();
        }
    }

    /// Returns whether the answer is complete, but its request is not and is still wanted.
    fn awaits_upload(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(upload) = &self.upload else { return false };
        if !self.framing.is_idle() {
            return false;
        }
        if !upload.is_blocked() {
            self.unread.progressed();
        }
        let is_unwanted = self.framing.is_refusal() || (upload.is_blocked() && self.unread.poll_expired(cx).is_ready());
        if is_unwanted {
            self.give_up_upload();
        }
        !is_unwanted
    }

    /// Reads a part of a head. `false` at the end of the connection.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut buf = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        self.framing.push_head(buf.filled());
        Poll::Ready(Ok(!buf.filled().is_empty()))
    }

    /// Between two exchanges awc reads only to find out whether the connection is still open.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reusable_until.is_some_and(|until| Instant::now() >= until) {
            self.framing.poison();
        }
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
            self.give_up_upload();
            return Poll::Ready(Ok(self.framing.on_eof()?));
        }
        let taken = self.framing.track_body(&buf.filled()[before..]);
        self.hand_on_trailers();
        buf.set_filled(before + taken);
        if taken == 0 {
            // None of it belongs to the answer: there is an error, which `advance` returns.
            self.framing.advance()?;
        }
        if self.awaits_upload(cx) {
            self.checked = Bytes::copy_from_slice(&buf.filled()[before..]);
            buf.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Hands on the trailers of an answer that has ended. Before its last bytes are delivered, so that whoever has read them
    /// finds the trailers.
    fn hand_on_trailers(&mut self) {
        if let Some(trailers) = &self.trailers
            && let Some(fields) = self.framing.take_trailers()
        {
            trailers.set(fields);
        }
    }

    fn deliver(&mut self, buf: &mut ReadBuf<'_>) {
        self.hand_on_trailers();
        let given = self.checked.len().min(buf.remaining());
        buf.put_slice(&self.checked[..given]);
        self.checked.advance(given);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for GuardedStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let guard = self.get_mut();
        guard.write_upload(cx)?;
        loop {
            if !guard.checked.is_empty() {
                if guard.awaits_upload(cx) {
                    return Poll::Pending;
                }
                guard.deliver(buf);
                return Poll::Ready(Ok(()));
            }
            match guard.framing.advance()? {
                Step::Deliver(bytes) => {
                    guard.reusable_until = guard.framing.idle_max().map(reusable_until);
                    guard.checked = bytes;
                }
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
        if guard.framing.is_idle() && guard.begin_exchange(bytes, cx)? {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut guard.stream).poll_write(cx, bytes);
        if matches!(written, Poll::Ready(Err(_))) && guard.framing.is_awaiting_head() {
            guard.is_unwritable = true;
            guard.framing.poison();
            return Poll::Ready(Ok(bytes.len()));
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let guard = self.get_mut();
        if guard.upload.is_some() || guard.is_unwritable {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut guard.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Returns until when a connection may be used again that its upstream closes after this many idle seconds. Counted from the
/// head of the answer, which is earlier than the end from which the upstream counts.
fn reusable_until(idle_seconds: u64) -> Instant {
    let idle = Duration::from_secs(idle_seconds.min(IDLE_SECONDS_MAX));
    Instant::now() + idle.saturating_sub(CLOSING_MARGIN)
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
