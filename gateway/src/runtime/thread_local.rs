//! What one worker thread holds of the snapshot in force. One atomic load per request tells whether there is a newer one.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{current::CurrentSnapshot, worker::Worker};

/// How long an idle worker may hold an old snapshot.
const REFRESH: Duration = Duration::from_secs(5);

/// What one worker thread has of the snapshot in force.
pub(crate) struct ThreadLocalWorker {
    live: Arc<CurrentSnapshot>,
    generation: Cell<u64>,
    worker: RefCell<Rc<Worker>>,
}

impl ThreadLocalWorker {
    /// Made in the thread that it is for.
    pub(crate) fn new(live: Arc<CurrentSnapshot>) -> Self {
        let generation = Cell::new(live.generation.load(Ordering::Acquire));
        let worker = RefCell::new(Rc::new(Worker::new(live.current(), None)));
        Self { live, generation, worker }
    }

    /// Lets go of a snapshot that is no longer in force, also where no request comes: what is gone from the
    /// configuration shall not be kept alive by a worker that has nothing to do.
    pub(crate) fn refresh(self: &Rc<Self>) {
        let weak = Rc::downgrade(self);
        actix_rt::spawn(async move {
            let mut ticks = tokio::time::interval(REFRESH);
            while let Some(worker) = weak.upgrade() {
                drop(worker.get());
                drop(worker);
                ticks.tick().await;
            }
        });
    }

    /// The worker for a request that begins now.
    pub(crate) fn get(&self) -> Rc<Worker> {
        let generation = self.live.generation.load(Ordering::Acquire);
        if generation != self.generation.get() {
            let before = Rc::clone(&self.worker.borrow());
            let worker = Worker::new(self.live.current(), Some(&before));
            *self.worker.borrow_mut() = Rc::new(worker);
            self.generation.set(generation);
        }
        Rc::clone(&self.worker.borrow())
    }
}
