//! Ends the process when an actor or a thread of a store panics.
//!
//! Actix does not restart an actor, and does not even notice that a thread of a `SyncArbiter` has died: the service
//! would answer half of its requests and look healthy. A process that ends is restarted by its supervisor, and the data
//! on the disk survives an abrupt end at any moment.
//!
//! The tricky part: actix drops a panicking actor, and runs its `stopping`, in the middle of the unwinding, when its
//! state may be half changed. So nothing is written there; this guard aborts before anything else could be.

use std::{process, thread};

/// Aborts the process if it is dropped by a panic. Every actor of a store owns one, named after the actor.
#[derive(Debug)]
pub struct AbortOnPanic(pub &'static str);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            // The panic hook has printed the message and the place already.
            log::error!(actor = self.0; "a store actor panicked; the process aborts");
            process::abort();
        }
    }
}
