//! Writes a request that has a body, piece by piece, so that its answer can be read at the same time. Knows awc only in
//! that it replaces its way of sending a body, and reads no answer.
//!
//! awc is given requests without a body, so that it reads as soon as it has written the head. The body is handed to the
//! connection that the request is sent on ([`hand_over`]), and written whenever awc reads from it: see
//! [`guard`](super::guard).

use std::{
    cell::RefCell,
    error::Error,
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_http::body::{BodySize, MessageBody};
use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

use crate::body::{trailers::Trailers, upload::Upload};

/// Number of bytes from which on nothing more is gathered before a write: 16 KiB, two reads of a client's connection.
const GATHERED_BYTES: usize = 16 * 1024;
/// Maximum number of writes in a row: after 8, about 128 KiB, it is the turn of the answer.
const WRITES_MAX: usize = 8;
/// Size of a line with the size of a chunk: 16 digits and the end of the line.
const SIZE_LINE_BYTES: usize = 18;

tokio::task_local! {
    /// What belongs to the request that the current future sends, until a connection takes it.
    static HANDED_OVER: RefCell<HandedOver>;
}

/// What a connection is given beside what awc writes.
#[derive(Clone, Default)]
pub(super) struct HandedOver {
    /// The body of the request.
    pub(super) upload: Option<Upload>,
    /// Where the trailers of the answer go, if somebody wants them.
    pub(super) trailers: Option<Trailers>,
}

/// Runs a future that sends a request without a body, and gives this to the connection that it sends the request on.
pub(super) async fn hand_over<F: Future>(handed_over: HandedOver, sending: F) -> F::Output {
    HANDED_OVER.scope(RefCell::new(handed_over), sending).await
}

/// Returns what was given for the request whose head is being written, once.
pub(super) fn take_over() -> HandedOver {
    HANDED_OVER.try_with(RefCell::take).unwrap_or_default()
}

/// Why a request could not be written to its end.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The connection does not take any more.
    Connection,
    /// The client did not send the whole body.
    Upload,
}

/// The error for awc where the client did not send the whole body. [`Upload::fault`] says why.
#[derive(Debug)]
pub(super) struct UploadEnded;

impl fmt::Display for UploadEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request body ended before its time")
    }
}

impl Error for UploadEnded {}

/// A request that is being written.
pub(super) struct UploadWriter {
    upload: Upload,
    rest: Rest,
    /// What is written next: at most [`GATHERED_BYTES`] and one chunk of the body.
    gathered: BytesMut,
    is_blocked: bool,
}

/// What is still to come from the client.
#[derive(Clone, Copy)]
enum Rest {
    /// This many bytes.
    Sized(u64),
    /// An unknown number, sent in chunks (RFC 9112, section 7.1).
    Chunks,
    Nothing,
}

impl fmt::Debug for UploadWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UploadWriter")
    }
}

impl UploadWriter {
    /// Starts with the head, to which the field is added that says where the body ends. A body of unknown length that has
    /// no bytes gets `Content-Length: 0` rather than chunks, which some upstreams would refuse.
    ///
    /// # Errors
    /// The head is incomplete, or the client did not send the body.
    pub(super) fn start(head: &[u8], upload: Upload, cx: &mut Context<'_>) -> io::Result<Self> {
        let Some(fields) = head.strip_suffix(b"\r\n").filter(|fields| fields.ends_with(b"\r\n")) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the head of the request came in parts"));
        };
        let mut writer =
            Self { upload, rest: Rest::Chunks, gathered: BytesMut::with_capacity(GATHERED_BYTES), is_blocked: false };
        if let BodySize::Sized(length) = writer.upload.size() {
            writer.rest = Rest::Sized(length);
            writer.gathered.extend_from_slice(fields);
            writer.gathered.extend_from_slice(format!("content-length: {length}\r\n\r\n").as_bytes());
            return Ok(writer);
        }
        if let Poll::Ready(Err(_)) = writer.poll_chunk(cx) {
            return Err(io::Error::other(UploadEnded));
        }
        let body = writer.gathered.split();
        writer.gathered.extend_from_slice(fields);
        if matches!(writer.rest, Rest::Nothing) {
            writer.gathered.extend_from_slice(b"content-length: 0\r\n\r\n");
        } else {
            writer.gathered.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
            writer.gathered.extend_from_slice(&body);
        }
        Ok(writer)
    }

    /// Writes what can be written. `Ready(Ok)` once the whole request has been.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), WriteError>> {
        for _ in 0..WRITES_MAX {
            let gathered = self.poll_gather(cx)?;
            self.is_blocked = true;
            if self.gathered.is_empty() {
                ready!(Pin::new(stream).poll_flush(cx)).map_err(|_| WriteError::Connection)?;
                self.is_blocked = false;
                return gathered.map(Ok);
            }
            match ready!(Pin::new(&mut *stream).poll_write(cx, &self.gathered)) {
                Ok(0) | Err(_) => return Poll::Ready(Err(WriteError::Connection)),
                Ok(written) => self.gathered.advance(written),
            }
            self.is_blocked = false;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Returns whether the connection took nothing when it was last written to.
    pub(super) const fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Gives up the rest of the body. Nobody reads it any more.
    pub(super) fn abandon(self) {
        self.upload.abandon();
    }

    /// `Pending` while the client is waited for.
    fn poll_gather(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        while self.gathered.len() < GATHERED_BYTES && !matches!(self.rest, Rest::Nothing) {
            ready!(self.poll_chunk(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Gathers one chunk of the body, or its end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let chunk = match ready!(Pin::new(&mut self.upload).poll_next(cx)) {
            Some(Ok(chunk)) => chunk,
            Some(Err(_)) => return Poll::Ready(Err(WriteError::Upload)),
            None => return Poll::Ready(self.end()),
        };
        match &mut self.rest {
            // A chunk without bytes would be the last one.
            _ if chunk.is_empty() => {}
            Rest::Sized(rest) => {
                // A body is never longer than its head has said: what follows would be taken for another request.
                *rest = rest.checked_sub(chunk.len() as u64).ok_or(WriteError::Upload)?;
                self.gathered.extend_from_slice(&chunk);
            }
            Rest::Chunks => {
                self.gathered.reserve(SIZE_LINE_BYTES + chunk.len() + 2);
                self.gathered.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                self.gathered.extend_from_slice(&chunk);
                self.gathered.extend_from_slice(b"\r\n");
            }
            Rest::Nothing => return Poll::Ready(Err(WriteError::Upload)),
        }
        Poll::Ready(Ok(()))
    }

    /// The last chunk, with the trailers of the body (RFC 9112, section 7.1.2).
    fn gather_last_chunk(&mut self) {
        self.gathered.extend_from_slice(b"0\r\n");
        for (name, value) in &self.upload.trailers() {
            self.gathered.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        self.gathered.extend_from_slice(b"\r\n");
    }

    fn end(&mut self) -> Result<(), WriteError> {
        match self.rest {
            Rest::Sized(1..) => return Err(WriteError::Upload),
            Rest::Chunks => self.gather_last_chunk(),
            Rest::Sized(0) | Rest::Nothing => {}
        }
        self.rest = Rest::Nothing;
        Ok(())
    }
}
