//! The snapshot in force, and how another one takes its place: as a whole, or not at all.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use chassis::config::StartError;

use super::snapshot::Snapshot;
use crate::{
    auth::token_issuers::TokenIssuers,
    config::Config,
    upstream::{handle::Upstream, health::HealthMonitor, wire::connect::UpstreamTls},
};

/// The snapshot in force.
pub(crate) struct CurrentSnapshot {
    pub(crate) generation: AtomicU64,
    current: Mutex<Arc<Snapshot>>,
    /// Checks the upstreams of every snapshot, once the process serves.
    monitor: OnceLock<HealthMonitor>,
}

impl CurrentSnapshot {
    /// Begins with this one, and shows its metrics.
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        snapshot.process.metrics.show(&snapshot.handles);
        Self { generation: AtomicU64::new(0), current: Mutex::new(snapshot), monitor: OnceLock::new() }
    }

    /// The snapshot in force.
    pub(crate) fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Checks the health of the upstreams and watches keys and certificates from now on, in this thread. Runs inside an actix system.
    pub(crate) fn watch(&self) {
        watch(&self.current(), self.monitor.get_or_init(HealthMonitor::start));
    }

    /// Puts a configuration in force.
    ///
    /// # Errors
    /// It changes what only a restart can change, or something it names cannot be used; then nothing has changed.
    pub(crate) fn swap(&self, config: Config) -> Result<(), StartError> {
        let before = self.current();
        fixed(&before.config, &config)?;
        let snapshot = Arc::new(Snapshot::new(config, Arc::clone(&before.process), Some(&before))?);
        snapshot.process.metrics.show(&snapshot.handles);
        if let Some(monitor) = self.monitor.get() {
            watch(&snapshot, monitor);
        }
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
        // After the snapshot, so that who sees the number finds at least this one.
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

fn watch(snapshot: &Snapshot, monitor: &HealthMonitor) {
    snapshot.upstreams.iter().for_each(|upstream| monitor.watch(upstream));
    snapshot.upstreams.iter().filter_map(Upstream::tls).for_each(UpstreamTls::watch);
    snapshot.issuers.iter().for_each(TokenIssuers::watch);
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
