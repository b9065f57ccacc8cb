//! The feed of ended sessions, which any number of gateways follow, each with a cursor of its own. Knows no HTTP.
//!
//! A cursor has a number and the *life* of the store: random bytes of each start. So no cursor from before a restart is
//! accepted, and whoever follows begins again with everything that still matters. That is on purpose: after a restart the
//! folder may be a restored backup, in which the same numbers are of other sessions.

use std::{fmt, str::FromStr, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::store::{Admitted, Queue, StoreFault};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::domain::{EndedSession, Refusal};

/// Maximum number of followers that wait for the next session to end; each costs a connection and a few KiB.
const FOLLOWERS_MAX: usize = 64;
/// Maximum number of sessions on a page: about 60 KiB.
pub(super) const PAGE_MAX: usize = 1000;
const LIFE_BYTES: usize = 16;

/// One start of the store.
type Life = [u8; LIFE_BYTES];

/// Where a follower goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeedCursor {
    life: Life,
    number: u64,
}

impl fmt::Display for FeedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", URL_SAFE_NO_PAD.encode(self.life), self.number)
    }
}

impl FromStr for FeedCursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('.').and_then(|(life, number)| {
            let life = URL_SAFE_NO_PAD.decode(life).ok()?.try_into().ok()?;
            Some(Self { life, number: number.parse().ok()? })
        });
        parsed.ok_or("is no cursor of this feed")
    }
}

/// One page of the feed.
#[derive(Debug)]
pub(crate) struct FeedPage {
    /// The oldest first.
    pub(crate) ended: Vec<EndedSession>,
    pub(crate) next: FeedCursor,
    pub(crate) has_more: bool,
    /// How long an ended session stays in the feed.
    pub(crate) kept_for: Duration,
}

/// What all followers of a store share.
#[derive(Clone)]
pub(super) struct EndedFeed {
    life: Life,
    count: watch::Receiver<u64>,
    followers: Queue,
    pub(super) kept_for: Duration,
}

impl EndedFeed {
    pub(super) fn new(life: Life, count: watch::Receiver<u64>, kept_for: Duration, registry: &mut Registry) -> Self {
        Self { life, count, followers: Queue::register("followers", FOLLOWERS_MAX, registry), kept_for }
    }

    /// The number from which a follower reads.
    pub(super) fn number(&self, cursor: Option<FeedCursor>) -> Result<u64, Refusal> {
        match cursor {
            None => Ok(0),
            Some(cursor) if cursor.life == self.life => Ok(cursor.number),
            Some(_) => Err(Refusal::CursorGone),
        }
    }

    pub(super) const fn cursor(&self, number: u64) -> FeedCursor {
        FeedCursor { life: self.life, number }
    }

    /// Begins to wait for sessions that end from now on.
    ///
    /// # Errors
    /// [`StoreFault::Busy`] where too many wait already.
    pub(super) fn wait(&self) -> Result<Waiting, StoreFault> {
        let mut count = self.count.clone();
        count.mark_unchanged();
        Ok(Waiting { count, _place: self.followers.admit(())? })
    }
}

/// A follower that waits for the next session to end.
pub(crate) struct Waiting {
    count: watch::Receiver<u64>,
    _place: Admitted<()>,
}

impl Waiting {
    /// Resolves once a session has ended since the last call, or since the beginning, or once the store has stopped.
    pub(crate) async fn ended(&mut self) {
        // An error: the store has stopped, and the next read says so.
        let _ = self.count.changed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is_one() {
        let cursor = FeedCursor { life: [7; LIFE_BYTES], number: 42 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for wrong in
            ["", ".", "42", "x.42", "BwcHBwcHBwcHBwcHBwcHBw", "BwcHBwcHBwcHBwcHBwcHBw.", "BwcHBwcHBwcHBwcHBwcHBw.-1"]
        {
            assert!(wrong.parse::<FeedCursor>().is_err(), "{wrong}");
        }
    }
}
