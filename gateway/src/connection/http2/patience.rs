//! How long an HTTP/2 connection waits for its client. Pure: it is told what the client owes, and the time.

use std::time::Duration;

use chassis::server::DISCONNECT_TIMEOUT;
use tokio::time::Instant;

/// What is waited for, and since when.
#[derive(Debug)]
pub(super) struct Patience {
    head_timeout: Duration,
    keep_alive: Duration,
    /// The frame or header block that is not complete.
    incomplete: Option<(u64, Instant)>,
    /// Since when no request is in progress.
    idle_since: Option<Instant>,
    /// Whether the client was told that the connection ends.
    is_closing: bool,
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// A head, or another frame.
    Incomplete,
    /// The next request.
    Idle,
    /// That the client closes the connection, as it was asked to.
    Closing,
}

impl Patience {
    /// The patience with a new connection, on which a head may take `head_timeout`, and which may be idle for `keep_alive`.
    pub(super) const fn new(head_timeout: Duration, keep_alive: Duration) -> Self {
        Self { head_timeout, keep_alive, incomplete: None, idle_since: None, is_closing: false }
    }

    /// Takes notice of the frame that is not complete, and of whether no request is in progress. Reads the clock only
    /// where one of them is new.
    pub(super) fn observe(&mut self, incomplete: Option<u64>, is_idle: bool, now: impl Fn() -> Instant) {
        if incomplete != self.incomplete.map(|(frame, _)| frame) {
            self.incomplete = incomplete.map(|frame| (frame, now()));
        }
        if is_idle != self.idle_since.is_some() {
            self.idle_since = is_idle.then(now);
        }
    }

    /// The client was told that the connection ends.
    pub(super) fn close(&mut self, now: Instant) {
        self.is_closing = true;
        self.idle_since = self.idle_since.map(|_| now);
    }

    /// Returns whether the client was told that the connection ends.
    pub(super) const fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Returns what is to be given up first, and when.
    pub(super) fn first_end(&self) -> Option<(Instant, Exceeded)> {
        let idle =
            if self.is_closing { (DISCONNECT_TIMEOUT, Exceeded::Closing) } else { (self.keep_alive, Exceeded::Idle) };
        let idle = self.idle_since.map(|since| (since + idle.0, idle.1));
        let incomplete = self.incomplete.map(|(_, since)| (since + self.head_timeout, Exceeded::Incomplete));
        [incomplete, idle].into_iter().flatten().min_by_key(|(end, _)| *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
    const KEEP_ALIVE: Duration = Duration::from_secs(75);

    #[test]
    fn a_frame_has_its_time_however_often_it_is_looked_at() {
        let start = Instant::now();
        let mut patience = Patience::new(HEAD_TIMEOUT, KEEP_ALIVE);
        for second in 0..9 {
            patience.observe(Some(1), false, || start + Duration::from_secs(second));
        }
        assert_eq!(patience.first_end(), Some((start + HEAD_TIMEOUT, Exceeded::Incomplete)));
        let later = start + Duration::from_secs(9);
        patience.observe(Some(2), false, || later);
        assert_eq!(patience.first_end(), Some((later + HEAD_TIMEOUT, Exceeded::Incomplete)), "another one");
        patience.observe(None, false, || later);
        assert_eq!(patience.first_end(), None, "a request may take its time");
    }

    #[test]
    fn an_idle_connection_is_told_and_then_closed() {
        let start = Instant::now();
        let mut patience = Patience::new(HEAD_TIMEOUT, KEEP_ALIVE);
        patience.observe(None, true, || start);
        patience.observe(None, true, || start + KEEP_ALIVE);
        assert_eq!(patience.first_end(), Some((start + KEEP_ALIVE, Exceeded::Idle)));
        patience.close(start + KEEP_ALIVE);
        assert_eq!(patience.first_end(), Some((start + KEEP_ALIVE + DISCONNECT_TIMEOUT, Exceeded::Closing)));
        patience.observe(None, false, || start);
        assert_eq!(patience.first_end(), None, "not while a request that came before is answered");
    }
}
