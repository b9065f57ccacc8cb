//! A timer that expires when a body has made no progress for too long.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

/// Expires after a time without progress. It runs only while something is waited for, so that a body that is always
/// ready arms no timer.
#[derive(Debug)]
pub(crate) struct IdleTimer {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl IdleTimer {
    /// A timer that expires after `limit` without progress.
    pub(crate) const fn new(limit: Duration) -> Self {
        Self { limit, sleep: None }
    }

    /// Stops the timer.
    pub(crate) fn progressed(&mut self) {
        self.sleep = None;
    }

    /// Starts the timer, if it is not running, and polls it.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        self.sleep.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx)
    }
}
