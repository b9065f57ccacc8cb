//! Polls files for changes: TLS files, the key folder, the configuration.
//!
//! Polling instead of file events: events miss the symbolic links that Kubernetes swaps, and network file systems send
//! none. A handful of small files costs a few system calls at each interval.
//!
//! Two things are easy to get wrong, so they are written once, here. A file may be on a disk or a network share that
//! hangs: all reading is done on a thread that may block, never on a worker. And a poller must not keep alive what it
//! polls for: [`reload_regularly`] holds a weak reference and ends when the last handle is dropped.

use std::{
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use tokio::time::{Interval, MissedTickBehavior, interval};

/// Interval between two checks of TLS files and of the key folder.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// Runs a check at an interval, on a thread that may block.
pub(crate) struct FilePoll(Interval);

impl FilePoll {
    /// A poll whose first check is due at once. Needs a tokio runtime.
    pub(crate) fn every(period: Duration) -> Self {
        let mut ticks = interval(period);
        // After a disk has hung there is one check, not one for each tick that was missed.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(ticks)
    }

    /// Waits until the next check is due and returns what it finds; `None` if it panicked. If this future is dropped, a
    /// check that has begun runs to its end, but its result is lost.
    pub(crate) async fn next<T: Send + 'static>(&mut self, check: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        self.0.tick().await;
        tokio::task::spawn_blocking(check).await.ok()
    }
}

/// Calls `reload` with the current time at a fixed interval, for as long as `owner` has a handle, and logs its errors
/// as being about `what`. To report an error once and not at every check, `reload` uses [`LastSeen`]. Needs the runtime
/// of actix.
pub(crate) fn reload_regularly<T: Send + Sync + 'static>(
    owner: &Arc<T>,
    what: &'static str,
    reload: impl Fn(Arc<T>, SystemTime) -> Result<(), String> + Clone + Send + 'static,
) {
    let owner = Arc::downgrade(owner);
    actix_rt::spawn(async move {
        let mut poll = FilePoll::every(RELOAD_INTERVAL);
        loop {
            let (owner, reload) = (Weak::clone(&owner), reload.clone());
            let checked = poll.next(move || owner.upgrade().map(|owner| reload(owner, SystemTime::now())));
            match checked.await {
                Some(None) => return,
                Some(Some(Err(error))) => {
                    log::error!(cause = error.as_str(); "{what} cannot be reloaded, the previous ones stay in use");
                }
                // A check that panicked was logged by the panic hook; the next one may do better.
                Some(Some(Ok(()))) | None => {}
            }
        }
    });
}

/// What the last check found, good or bad, so that a change is acted on once and an error is reported once.
#[derive(Debug)]
pub(crate) struct LastSeen<T>(Result<T, String>);

impl<T: PartialEq> LastSeen<T> {
    /// Starts from what is in use already.
    pub(crate) const fn new(in_use: T) -> Self {
        Self(Ok(in_use))
    }

    /// Returns what was found by a check if it differs from what the check before found.
    pub(crate) fn changed(&mut self, found: Result<T, String>) -> Option<Result<&T, String>> {
        if self.0 == found {
            return None;
        }
        self.0 = found;
        Some(self.0.as_ref().map_err(Clone::clone))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_change_and_an_error_are_returned_once() {
        let mut seen = LastSeen::new(1);
        let error = || Err("no".to_owned());
        for (found, changed) in [
            (Ok(1), None),
            (Ok(2), Some(Ok(&2))),
            (Ok(2), None),
            (error(), Some(Err("no".to_owned()))),
            (error(), None),
            (Ok(2), Some(Ok(&2))),
        ] {
            assert_eq!(seen.changed(found.clone()), changed, "{found:?}");
        }
    }

    #[actix_rt::test]
    async fn the_poll_ends_when_the_last_handle_is_dropped() {
        let (sender, calls) = mpsc::channel();
        let owner = Arc::new(());
        reload_regularly(&owner, "test files", move |_, _| sender.send(()).map_err(|error| error.to_string()));
        let wait = || tokio::task::spawn_blocking(move || (calls.recv(), calls));
        let (called, calls) = wait().await.unwrap();
        assert_eq!(called, Ok(()), "polls while there is a handle");
        drop(owner);
        // The sender is dropped with the task that polls.
        let ended = tokio::task::spawn_blocking(move || while calls.recv().is_ok() {});
        ended.await.unwrap();
    }
}
