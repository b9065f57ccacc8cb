//! Puts a changed configuration in force without losing a request: a whole snapshot is swapped, or none of it.
//!
//! Requests go on with the snapshot that they began with. A worker finds out about a new one by one atomic load.

pub mod source;
pub mod status;
pub mod watcher;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chassis::config::StartError;

pub use source::Source;
pub use status::ReloadStatus;

use crate::{
    auth::trust::Trust,
    config::Config,
    upstream::{Upstream, connect::UpstreamTls, health::HealthMonitor},
    worker::{Shared, Worker},
};

/// How long an idle worker may hold an old snapshot.
const REFRESH: Duration = Duration::from_secs(5);

/// The snapshot in force.
pub struct Live {
    generation: AtomicU64,
    current: Mutex<Arc<Shared>>,
    /// Checks the upstreams of every snapshot, once the process serves.
    monitor: OnceLock<HealthMonitor>,
}

impl Live {
    /// Begins with this one, and shows its metrics.
    pub fn new(shared: Arc<Shared>) -> Self {
        shared.process.metrics.show(&shared.handles);
        Self { generation: AtomicU64::new(0), current: Mutex::new(shared), monitor: OnceLock::new() }
    }

    /// The snapshot in force.
    pub fn current(&self) -> Arc<Shared> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Checks the health of the upstreams and watches keys and certificates from now on, in this thread. Runs inside an actix system.
    pub fn watch(&self) {
        watch(&self.current(), self.monitor.get_or_init(HealthMonitor::start));
    }

    /// Puts a configuration in force.
    ///
    /// # Errors
    /// It changes what only a restart can change, or something it names cannot be used; then nothing has changed.
    pub fn swap(&self, config: Config) -> Result<(), StartError> {
        let before = self.current();
        fixed(&before.config, &config)?;
        let shared = Arc::new(Shared::new(config, Arc::clone(&before.process), Some(&before))?);
        shared.process.metrics.show(&shared.handles);
        if let Some(monitor) = self.monitor.get() {
            watch(&shared, monitor);
        }
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = shared;
        // After the snapshot, so that who sees the number finds at least this one.
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

fn watch(shared: &Shared, monitor: &HealthMonitor) {
    shared.upstreams.iter().for_each(|upstream| monitor.watch(upstream));
    shared.upstreams.iter().filter_map(Upstream::tls).for_each(UpstreamTls::watch);
    shared.trust.iter().for_each(Trust::watch);
}

/// The sockets stay the ones that the process began with, and actix is told once what they take.
fn fixed(before: &Config, after: &Config) -> Result<(), StartError> {
    let addresses = [("listen", before.listen, after.listen), ("admin", before.admin, after.admin)];
    let changed = addresses.into_iter().filter(|(_, before, after)| before != after);
    let mut mistakes: Vec<String> = changed
        .map(|(key, before, after)| format!("{key}: {after} needs a restart; this process listens on {before}"))
        .collect();
    if before.tls != after.tls {
        mistakes.push("tls: other files or rules need a restart; renewed files do not".to_owned());
    }
    let sockets =
        |config: &Config| (config.limits.connections, config.limits.head_timeout, config.limits.write_timeout);
    if sockets(before) != sockets(after) {
        mistakes.push("limits: `connections`, `head_timeout` and `write_timeout` need a restart".to_owned());
    }
    if mistakes.is_empty() { Ok(()) } else { Err(StartError::Config(mistakes)) }
}

/// What one worker thread has of the snapshot in force.
pub struct ThreadLocalWorker {
    live: Arc<Live>,
    generation: Cell<u64>,
    worker: RefCell<Rc<Worker>>,
}

impl ThreadLocalWorker {
    /// Made in the thread that it is for.
    pub fn new(live: Arc<Live>) -> Self {
        let generation = Cell::new(live.generation.load(Ordering::Acquire));
        let worker = RefCell::new(Rc::new(Worker::new(live.current(), None)));
        Self { live, generation, worker }
    }

    /// Lets go of a snapshot that is no longer in force, also where no request comes: what is gone from the
    /// configuration shall not be kept alive by a worker that has nothing to do.
    pub fn refresh(self: &Rc<Self>) {
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
    pub fn get(&self) -> Rc<Worker> {
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
