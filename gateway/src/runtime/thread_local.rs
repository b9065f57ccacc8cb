//! Gives each worker thread its [`Worker`] for the snapshot in force.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use super::{
    current::{CurrentSnapshot, SnapshotCache},
    worker::Worker,
};

/// The maximum time for which a worker without requests keeps an old snapshot.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// The worker of this thread.
pub(crate) struct ThreadLocalWorker(RefCell<Current>);

struct Current {
    snapshot: SnapshotCache,
    worker: Rc<Worker>,
}

impl ThreadLocalWorker {
    /// Makes the worker of this thread.
    pub(crate) fn new(current: &CurrentSnapshot) -> Self {
        let mut snapshot = current.cache();
        let worker = Rc::new(Worker::new(Arc::clone(snapshot.load()), None));
        Self(RefCell::new(Current { snapshot, worker }))
    }

    /// Replaces an old snapshot even where no request comes, so that a worker without requests does not keep alive what
    /// the configuration no longer names. Runs until the last `Rc` is gone.
    pub(crate) fn refresh(self: &Rc<Self>) {
        let weak = Rc::downgrade(self);
        actix_rt::spawn(async move {
            let mut ticks = tokio::time::interval(REFRESH_INTERVAL);
            while let Some(worker) = weak.upgrade() {
                drop(worker.get());
                drop(worker);
                ticks.tick().await;
            }
        });
    }

    /// Returns the worker for a request that begins now.
    pub(crate) fn get(&self) -> Rc<Worker> {
        let Current { snapshot, worker } = &mut *self.0.borrow_mut();
        let snapshot = snapshot.load();
        if !Arc::ptr_eq(snapshot, &worker.snapshot) {
            *worker = Rc::new(Worker::new(Arc::clone(snapshot), Some(worker)));
        }
        Rc::clone(worker)
    }
}
