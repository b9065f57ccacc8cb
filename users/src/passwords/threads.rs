//! The threads on which passwords are hashed: as many as there are cores, and of lower priority than those that serve
//! requests.
//!
//! A hash occupies a core for a quarter of a second. With equal priority every other request would wait for its share of
//! the cores, even one that takes microseconds; so the hashes take what the others leave.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

/// The niceness of these threads. Linux gives such a thread a tenth of the share of a usual one where both want a core,
/// and the whole of it otherwise.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// Handles to the threads, which end when the last one is dropped.
#[derive(Clone)]
pub(super) struct Threads(mpsc::Sender<Job>);

impl Threads {
    /// Starts this many threads.
    ///
    /// # Errors
    /// The operating system refuses one.
    pub(super) fn start(count: usize) -> io::Result<Self> {
        let (sender, jobs) = mpsc::channel::<Job>();
        let jobs = Arc::new(Mutex::new(jobs));
        for index in 0..count {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new().name(format!("bcrypt-{index}")).spawn(move || work(&jobs))?;
        }
        Ok(Self(sender))
    }

    /// Runs a job on the next thread that is free. What it sends is never received if it panics.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) {
        // The threads live as long as this handle.
        let _ = self.0.send(Box::new(job));
    }
}

fn work(jobs: &Mutex<mpsc::Receiver<Job>>) {
    lower_priority();
    loop {
        // One thread at a time waits for a job; the others wait for that.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A panic, which has been logged, must not cost a thread.
        drop(catch_unwind(AssertUnwindSafe(job)));
    }
}

#[cfg(target_os = "linux")]
fn lower_priority() {
    // Of this thread alone, in spite of the name.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        log::warn!("passwords are hashed with the same priority as requests are served: {error}");
    }
}

/// Elsewhere the priority is one of the whole process.
#[cfg(not(target_os = "linux"))]
fn lower_priority() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_panics_costs_no_thread() {
        let threads = Threads::start(1).unwrap();
        threads.run(|| panic!("in a test"));
        let (sender, receiver) = mpsc::channel();
        threads.run(move || sender.send(5).unwrap());
        assert_eq!(receiver.recv(), Ok(5));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn requests_come_before_hashes() {
        let threads = Threads::start(1).unwrap();
        let (sender, receiver) = mpsc::channel();
        threads.run(move || sender.send(rustix::process::getpriority_process(None)).unwrap());
        let before = rustix::process::getpriority_process(None).unwrap();
        assert_eq!(receiver.recv().unwrap(), Ok((before + NICENESS).min(19)));
    }
}
