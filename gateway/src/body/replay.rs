//! Keeps the beginning of a body while it is sent, so that it can be sent again. Knows no sockets.

use std::collections::VecDeque;

use bytes::Bytes;

/// What is kept of one body at most; a longer one is sent once.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// What was read of a body, as long as it is little.
#[derive(Debug, Default)]
pub(crate) struct ReplayBuffer {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    /// How many of the chunks were sent by the attempt under way.
    sent: usize,
    /// It has grown too large: what was read is gone.
    lost: bool,
}

impl ReplayBuffer {
    /// The next chunk that an earlier attempt has read already.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        let chunk = self.chunks.get(self.sent)?.clone();
        self.sent += 1;
        Some(chunk)
    }

    /// Keeps a chunk that was just read and is being sent.
    pub(crate) fn push(&mut self, chunk: &Bytes) {
        if self.lost {
            return;
        }
        self.bytes += chunk.len();
        if self.bytes > KEPT_BYTES_MAX {
            *self = Self { lost: true, ..Self::default() };
            return;
        }
        // Copied: a slice would keep the whole buffer of the connection that it is a part of.
        self.chunks.push_back(Bytes::copy_from_slice(chunk));
        self.sent = self.chunks.len();
    }

    /// Goes back to the beginning; `false` where that is gone.
    pub(crate) fn rewind(&mut self) -> bool {
        self.sent = 0;
        !self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(kept: &mut ReplayBuffer) -> Vec<u8> {
        std::iter::from_fn(|| kept.next()).flatten().collect()
    }

    #[test]
    fn what_was_read_can_be_sent_again() {
        let mut kept = ReplayBuffer::default();
        for chunk in ["ab", "c"] {
            assert_eq!(kept.next(), None);
            kept.push(&Bytes::from_static(chunk.as_bytes()));
        }
        assert!(kept.rewind());
        assert_eq!(kept.next().as_deref(), Some(&b"ab"[..]));
        assert!(kept.rewind(), "an attempt may end in the midst");
        assert_eq!(drained(&mut kept), b"abc");
        kept.push(&Bytes::from_static(b"d"));
        assert!(kept.rewind());
        assert_eq!(drained(&mut kept), b"abcd");
    }

    #[test]
    fn a_large_body_is_not_kept() {
        let mut kept = ReplayBuffer::default();
        let chunk = Bytes::from(vec![0; KEPT_BYTES_MAX]);
        kept.push(&chunk);
        assert!(kept.rewind());
        assert_eq!(drained(&mut kept).len(), KEPT_BYTES_MAX);
        kept.push(&Bytes::from_static(b"x"));
        assert!(!kept.rewind());
        assert_eq!(kept.next(), None);
    }
}
