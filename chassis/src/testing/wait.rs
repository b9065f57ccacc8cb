//! Waits for what happens elsewhere. A test never sleeps and hopes: it says what it waits for, and fails with that.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Maximum time that a test waits for anything. Far longer than anything takes on a busy machine, so that only what will
/// never happen fails.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Interval between two looks.
const INTERVAL: Duration = Duration::from_millis(5);

/// Waits until `holds` returns true.
///
/// # Panics
/// After [`PATIENCE`], with `what` was waited for.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    until_some(what, || holds().then_some(()));
}

/// Waits until `look` finds something, and returns it.
///
/// # Panics
/// After [`PATIENCE`], with `what` was waited for.
#[track_caller]
pub fn until_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain until {what}");
        thread::sleep(INTERVAL);
    }
}
