//! Copies bytes in both directions between a client and an upstream that have switched to another protocol. Knows neither
//! protocol.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{Instant, sleep_until},
};

use crate::upstream::{handle::Permit, wire::tunnel::Tunnel};

/// What a 101 answer carries from the request to its connection.
pub(crate) struct Relay {
    pub(crate) tunnel: Tunnel,
    /// Maximum time without a byte in either direction.
    pub(crate) idle: Duration,
    pub(crate) permit: Permit,
}

/// Copies in both directions until both ends have closed.
///
/// # Errors
/// Either connection breaks, or no byte has moved for `idle`.
pub(crate) async fn copy<Io>(io: &mut Io, early: &[u8], relay: Relay) -> io::Result<()>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let Relay { tunnel: Tunnel { mut socket, early: answered }, idle, permit: _permit } = relay;
    let last_moved = Rc::new(Cell::new(Instant::now()));
    let mut client = ActivityTracker { io, last_moved: Rc::clone(&last_moved) };
    let copying = async {
        socket.write_all(early).await?;
        client.write_all(&answered).await?;
        tokio::io::copy_bidirectional(&mut client, &mut socket).await.map(|_| ())
    };
    let idling = async {
        while last_moved.get() + idle > Instant::now() {
            sleep_until(last_moved.get() + idle).await;
        }
    };
    tokio::select! {
        copied = copying => copied,
        () = idling => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Records when bytes last moved. The stream of the client sees both directions.
struct ActivityTracker<'a, Io> {
    io: &'a mut Io,
    last_moved: Rc<Cell<Instant>>,
}

impl<Io: AsyncRead + Unpin> AsyncRead for ActivityTracker<'_, Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut *self.io).poll_read(cx, buf);
        if read.is_ready() {
            self.last_moved.set(Instant::now());
        }
        read
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for ActivityTracker<'_, Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.io).poll_write(cx, bytes);
        if written.is_ready() {
            self.last_moved.set(Instant::now());
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }
}
