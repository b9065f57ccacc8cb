//! Keeps the beginning of a body while it is being sent, so that it can be sent again. Knows no sockets.
//!
//! An attempt may fail when half of a small body has been sent. The next attempt first gets what the one before has
//! read, and then continues with the client. A body that is too large for the buffer is dropped from it and sent once.

use std::collections::VecDeque;

use bytes::Bytes;

/// Maximum size of the buffer: 64 KiB. A longer body is sent once.
const REPLAY_BYTES_MAX: usize = 64 * 1024;

/// What was read of a body so far, up to a maximum.
#[derive(Debug, Default)]
pub(crate) struct ReplayBuffer {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    /// Number of chunks that the current attempt has been given.
    sent: usize,
    /// The body is larger than the maximum: the chunks are gone.
    overflowed: bool,
}

impl ReplayBuffer {
    /// Returns the next chunk that an earlier attempt has read.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        let chunk = self.chunks.get(self.sent)?.clone();
        self.sent += 1;
        Some(chunk)
    }

    /// Adds a chunk that was just read.
    pub(crate) fn push(&mut self, chunk: &Bytes) {
        if self.overflowed {
            return;
        }
        self.bytes += chunk.len();
        if self.bytes > REPLAY_BYTES_MAX {
            *self = Self { overflowed: true, ..Self::default() };
            return;
        }
        // Copied: a slice would keep the whole read buffer of the connection alive.
        self.chunks.push_back(Bytes::copy_from_slice(chunk));
        self.sent = self.chunks.len();
    }

    /// Returns to the beginning; `false` if the chunks are gone.
    pub(crate) fn rewind(&mut self) -> bool {
        self.sent = 0;
        !self.overflowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(replay: &mut ReplayBuffer) -> Vec<u8> {
        std::iter::from_fn(|| replay.next()).flatten().collect()
    }

    #[test]
    fn chunks_that_were_read_can_be_sent_again() {
        let mut replay = ReplayBuffer::default();
        for chunk in ["ab", "c"] {
            assert_eq!(replay.next(), None);
            replay.push(&Bytes::from_static(chunk.as_bytes()));
        }
        assert!(replay.rewind());
        assert_eq!(replay.next().as_deref(), Some(&b"ab"[..]));
        assert!(replay.rewind(), "an attempt may end in between");
        assert_eq!(drained(&mut replay), b"abc");
        replay.push(&Bytes::from_static(b"d"));
        assert!(replay.rewind());
        assert_eq!(drained(&mut replay), b"abcd");
    }

    #[test]
    fn a_large_body_is_not_kept() {
        let mut replay = ReplayBuffer::default();
        let chunk = Bytes::from(vec![0; REPLAY_BYTES_MAX]);
        replay.push(&chunk);
        assert!(replay.rewind());
        assert_eq!(drained(&mut replay).len(), REPLAY_BYTES_MAX);
        replay.push(&Bytes::from_static(b"x"));
        assert!(!replay.rewind());
        assert_eq!(replay.next(), None);
    }
}
