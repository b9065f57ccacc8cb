//! Says when the next request is due, and when no more are.

use std::{cell::Cell, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// How far the customers may be behind: later turns are not made up for, since a burst would measure itself only.
const BEHIND_MAX: Duration = Duration::from_secs(1);

/// The turns of all customers.
pub(super) struct Pace {
    interval: Duration,
    next: Cell<Instant>,
    over: watch::Receiver<bool>,
}

impl Pace {
    /// Turns at this rate, until `over` becomes true.
    pub(super) fn new(rate: u32, over: watch::Receiver<bool>) -> Self {
        Self { interval: Duration::from_secs(1) / rate, next: Cell::new(Instant::now()), over }
    }

    /// Waits for the next turn; false where there are no more.
    pub(super) async fn turn(&self) -> bool {
        let due = self.next.get().max(Instant::now().checked_sub(BEHIND_MAX).unwrap_or_else(Instant::now));
        self.next.set(due + self.interval);
        self.until(due).await
    }

    /// Waits as an answer has asked for; false where there are no more turns.
    pub(super) async fn pause(&self, wait: Duration) -> bool {
        self.until(Instant::now() + wait).await
    }

    async fn until(&self, due: Instant) -> bool {
        let mut over = self.over.clone();
        tokio::select! {
            biased;
            _ = over.wait_for(|is_over| *is_over) => false,
            () = sleep_until(due) => true,
        }
    }
}
