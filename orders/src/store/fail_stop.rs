//! Ends the process when a thread of the store panics.
//!
//! Actix does not start an actor again, and a dead thread of a pool is not even noticed: the service would answer half
//! of its requests and look healthy. A process that ends is started again by whatever supervises it, and the database
//! is made for that.

use std::{process, thread};

/// Aborts the process if it is dropped by a panic. Every actor of the store owns one, and every thread has one on its stack.
#[derive(Debug)]
pub(super) struct AbortOnPanic(pub(super) &'static str);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            // The panic hook has printed message and place already.
            log::error!(part = self.0; "a part of the store panicked: the process ends, so that it can be started again");
            process::abort();
        }
    }
}
