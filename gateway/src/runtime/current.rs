//! The snapshot in force, and how another one takes its place: as a whole, or not at all.

use std::{
    sync::{Arc, OnceLock},
    time::{SystemTime, UNIX_EPOCH},
};

use arc_swap::{ArcSwap, Cache};
use chassis::config::StartError;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::snapshot::Snapshot;
use crate::{
    auth::token_issuers::TokenIssuers,
    config::Config,
    connection::settings::ServerLimits,
    session_feed::follower::Plan,
    telemetry::history::INTERVAL,
    upstream::{handle::Upstream, health::HealthMonitor, wire::connect::UpstreamTls},
};

/// One thread's view of the snapshot in force.
pub(super) type SnapshotCache = Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>;

/// The snapshot in force.
pub(crate) struct CurrentSnapshot {
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Checks the upstreams of every snapshot, once the process serves.
    monitor: OnceLock<HealthMonitor>,
}

impl CurrentSnapshot {
    /// Starts with a snapshot and publishes its metrics and its issuers.
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        publish(&snapshot);
        Self { snapshot: Arc::new(ArcSwap::new(snapshot)), monitor: OnceLock::new() }
    }

    /// Returns the snapshot in force.
    pub(crate) fn get(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Returns a view for one thread, which finds out by one atomic load whether there is a newer snapshot.
    pub(super) fn cache(&self) -> SnapshotCache {
        Cache::new(Arc::clone(&self.snapshot))
    }

    /// Starts the health checks, the watching of keys and certificates, and the following of ended sessions, in this thread,
    /// which must run an actix system.
    pub(crate) fn watch(&self) {
        watch(&self.get(), self.monitor.get_or_init(HealthMonitor::start));
    }

    /// Records the history for the live page, without end.
    pub(crate) async fn record_history(self: Arc<Self>) {
        let mut last = Instant::now();
        let mut ticks = interval_at(last + INTERVAL, INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await;
            let (snapshot, time) = (self.get(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
            snapshot.process.history.record(snapshot.metrics(), time, now - last);
            last = now;
        }
    }

    /// Puts a configuration in force.
    ///
    /// # Errors
    /// The configuration changes what only a restart can change, or names something that cannot be used. Then nothing has
    /// changed.
    pub(crate) fn swap(&self, config: Config) -> Result<(), StartError> {
        let previous = self.get();
        refuse_restart_only_changes(&previous.config, &config)?;
        let snapshot = Arc::new(Snapshot::new(config, Arc::clone(&previous.process), Some(&previous))?);
        publish(&snapshot);
        if let Some(monitor) = self.monitor.get() {
            watch(&snapshot, monitor);
        }
        self.snapshot.store(snapshot);
        Ok(())
    }
}

fn publish(snapshot: &Snapshot) {
    snapshot.process.metrics.publish(snapshot.metrics().cloned().collect());
    snapshot.process.issuers.publish(snapshot.issuers.clone());
}

fn watch(snapshot: &Snapshot, monitor: &HealthMonitor) {
    snapshot.upstreams.iter().for_each(|upstream| monitor.watch(upstream));
    snapshot.upstreams.iter().filter_map(Upstream::tls).for_each(UpstreamTls::watch);
    snapshot.issuers.iter().for_each(TokenIssuers::watch);
    snapshot.process.sessions.follow(sessions_plan(snapshot));
}

/// What of the ended sessions the configuration says; `None` where it names no feed.
fn sessions_plan(snapshot: &Snapshot) -> Option<Plan> {
    let tokens = snapshot.config.tokens.as_ref()?;
    let (settings, own) = (tokens.sessions.clone()?, tokens.own.as_ref()?);
    let upstream = snapshot.upstreams.iter().find(|upstream| upstream.name() == settings.from)?.clone();
    Some(Plan { settings, upstream, ttl: own.ttl, since: Instant::now() })
}

/// The sockets stay the ones that the process opened, and actix-server reads its limits once, when it starts.
fn refuse_restart_only_changes(previous: &Config, next: &Config) -> Result<(), StartError> {
    let addresses = [("listen", previous.listen, next.listen), ("admin", previous.admin, next.admin)];
    let changed = addresses.into_iter().filter(|(_, previous, next)| previous != next);
    let mut mistakes: Vec<String> = changed
        .map(|(key, previous, next)| format!("{key}: {next} needs a restart; this process listens on {previous}"))
        .collect();
    if previous.tls != next.tls {
        mistakes.push("tls: other files or rules need a restart; renewed files do not".to_owned());
    }
    // The size of heads is checked with each request.
    let sockets = |config: &Config| ServerLimits { head_bytes_max: 0, ..config.limits.clone() };
    if sockets(previous) != sockets(next) {
        mistakes.push("limits: everything but `head_bytes` needs a restart".to_owned());
    }
    if mistakes.is_empty() { Ok(()) } else { Err(StartError::Config(mistakes)) }
}
