//! Watches the configuration: looks at its files again and again and listens for SIGHUP. Owns what was read last.
//!
//! It compares hashes instead of waiting for file events: those miss the symbolic links that Kubernetes swaps, and
//! network file systems have none.

use std::{sync::Arc, time::Duration};

use chassis::config::StartError;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

use super::source::{Fingerprint, Source};
use crate::runtime::current::CurrentSnapshot;

/// A change is in force after one or two of these; reading a file this often costs nothing.
const POLL: Duration = Duration::from_millis(500);

/// Watches one source for one gateway.
pub(crate) struct ConfigWatcher {
    source: Source,
    current: Arc<CurrentSnapshot>,
    /// What was read last, right or wrong: a mistake is reported once.
    read: Fingerprint,
    /// What was seen at the last look, where it differs from what was read.
    seen: Option<Fingerprint>,
    hangup: Option<Signal>,
}

impl ConfigWatcher {
    /// A watcher for a gateway that began with what has this fingerprint. SIGHUP is listened for from now on: nobody who
    /// sees a gateway that is ready shall end it by asking for a reload. Runs inside a tokio runtime.
    pub(crate) fn new(source: Source, current: Arc<CurrentSnapshot>, read: Fingerprint) -> Self {
        current.get().process.reload.started(read.short());
        Self { source, current, read, seen: None, hangup: hangup() }
    }

    /// Watches for as long as it is polled.
    pub(crate) async fn run(mut self) {
        let mut ticks = interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = received(&mut self.hangup) => self.reload("SIGHUP").await,
                _ = ticks.tick() => self.look().await,
            }
        }
    }

    /// Reloads what has changed and stood still since the last look: half a file may well be valid YAML, and would
    /// silently be a gateway with half its routes.
    async fn look(&mut self) {
        let read = self.read.clone();
        let Ok(now) = tokio::task::spawn_blocking(move || read.now()).await else { return };
        if now == self.read {
            self.seen = None;
        } else if self.seen.as_ref() == Some(&now) {
            self.reload("a change of the file").await;
        } else {
            self.seen = Some(now);
        }
    }

    async fn reload(&mut self, reason: &str) {
        self.seen = None;
        let source = self.source.clone();
        let Ok((read, config)) = tokio::task::spawn_blocking(move || source.load()).await else { return };
        let hash = read.short();
        self.read = read;
        let status = self.current.get().process.reload.clone();
        match config.and_then(|config| self.current.swap(config)) {
            Ok(()) => {
                log::info!(config_hash = hash.as_str(); "configuration reloaded after {reason}");
                status.succeeded(hash);
            }
            Err(error) => {
                log::error!("configuration refused after {reason}, the one before stays in force: {error}");
                status.refused(match error {
                    StartError::Config(mistakes) => mistakes,
                    StartError::Failed(what) => vec![what],
                });
            }
        }
    }
}

fn hangup() -> Option<Signal> {
    signal(SignalKind::hangup()).inspect_err(|error| log::error!("cannot listen for SIGHUP: {error}")).ok()
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
