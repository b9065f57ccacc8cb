//! Waits for something that happens in another thread or process. A test does not sleep and hope: it says what it waits for,
//! and that is the message when it never happens.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Maximum time that a test waits for anything: much longer than anything takes on a busy machine, so that a failure means
/// that it will never happen.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Interval between two checks.
const INTERVAL: Duration = Duration::from_millis(5);

/// Waits until `holds` returns true.
///
/// # Panics
/// After [`PATIENCE`]; the message says `what` was waited for.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    until_some(what, || holds().then_some(()));
}

/// Waits until `look` returns something, and returns that.
///
/// # Panics
/// After [`PATIENCE`]; the message says `what` was waited for.
#[track_caller]
pub fn until_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "after {PATIENCE:?} still waiting until {what}");
        thread::sleep(INTERVAL);
    }
}
