//! A timer that expires when a body has made no progress for too long.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

/// Expires when nothing has come for so long. It runs only while something is waited for.
pub(crate) struct IdleTimer {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl IdleTimer {
    pub(crate) const fn new(limit: Duration) -> Self {
        Self { limit, sleep: None }
    }

    pub(crate) fn progressed(&mut self) {
        self.sleep = None;
    }

    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        self.sleep.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx)
    }
}
