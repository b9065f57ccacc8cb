//! Watches the configuration: polls its files and listens for SIGHUP. Knows neither what the files say nor how a
//! configuration is put in force.
//!
//! Hashes of the contents are compared, not times: Kubernetes swaps a symbolic link to a folder of files with any
//! times. The tricky part is a file that is being written, see [`ConfigWatcher::check`].

use std::{sync::Arc, time::Duration};

use chassis::config::StartError;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::source::{Fingerprint, Source};
use crate::{files::poll::FilePoll, runtime::current::CurrentSnapshot};

/// Interval between two checks. A change is in force after one or two of them.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Watches the configuration of one gateway.
pub(crate) struct ConfigWatcher {
    source: Source,
    current: Arc<CurrentSnapshot>,
    /// The files that were loaded last, valid or not, so that a mistake is reported once.
    loaded: Fingerprint,
    /// The files that the last check found, if they differ from those that were loaded.
    changed: Option<Fingerprint>,
    hangup: Option<Signal>,
}

impl ConfigWatcher {
    /// A watcher for a gateway that was started with these files. It listens for SIGHUP from now on, before the gateway
    /// is ready: by default this signal ends a process. Needs a tokio runtime.
    pub(crate) fn new(source: Source, current: Arc<CurrentSnapshot>, loaded: Fingerprint) -> Self {
        current.get().process.reload.started(loaded.short());
        Self { source, current, loaded, changed: None, hangup: hangup() }
    }

    /// Watches until the future is dropped.
    pub(crate) async fn run(mut self) {
        let mut poll = FilePoll::every(CHECK_INTERVAL);
        loop {
            let loaded = self.loaded.clone();
            tokio::select! {
                () = received(&mut self.hangup) => self.reload("SIGHUP", None).await,
                now = poll.next(move || loaded.now()) => if let Some(now) = now { self.check(now).await },
            }
        }
    }

    /// Reloads files that have changed and are the same at two checks in a row. A file that is only half written may
    /// well be valid YAML, and would silently make a gateway with half of its routes.
    async fn check(&mut self, now: Fingerprint) {
        if now == self.loaded {
            self.changed = None;
        } else if self.changed.as_ref() == Some(&now) {
            self.reload("a change of the file", Some(now)).await;
        } else {
            self.changed = Some(now);
        }
    }

    /// Loads the files and puts them in force. Where they were `settled` but differ by now, they are being written again:
    /// then the next checks decide.
    async fn reload(&mut self, reason: &str, settled: Option<Fingerprint>) {
        self.changed = None;
        let source = self.source.clone();
        let Ok((loaded, config)) = tokio::task::spawn_blocking(move || source.load()).await else { return };
        if settled.is_some_and(|settled| !loaded.agrees_with(&settled)) {
            return;
        }
        let hash = loaded.short();
        self.loaded = loaded;
        let status = self.current.get().process.reload.clone();
        match config.and_then(|config| self.current.swap(config)) {
            Ok(()) => {
                status.succeeded(hash.clone());
                log::info!(config_hash = hash; "configuration reloaded after {reason}");
            }
            Err(error) => {
                let message = format!("configuration refused after {reason}, the one before stays in force: {error}");
                // First, so that whoever reads the log finds the metrics and the admin listener agreeing with it.
                status.refused(match error {
                    StartError::Config(mistakes) => mistakes,
                    StartError::Failed(what) => vec![what],
                });
                log::error!("{message}");
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

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use prometheus_client::registry::Registry;

    use super::*;
    use crate::runtime::{process::Process, snapshot::Snapshot};

    fn write(path: &Path, aliases: &str) {
        let text = "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nupstreams: {}\nroutes: []\n";
        fs::write(path, format!("{text}aliases: {aliases}\n")).unwrap();
    }

    #[actix_rt::test]
    async fn a_file_that_changes_again_after_two_equal_checks_is_not_loaded_half_written() {
        let folder = tempfile::tempdir().unwrap();
        let yaml = folder.path().join("g.yaml");
        write(&yaml, "{}");
        let source = Source::new(yaml.clone(), |_| None);
        let (loaded, config) = source.load();
        let process = Arc::new(Process::new(&mut Registry::default()));
        let snapshot = Arc::new(Snapshot::new(config.unwrap(), process, None).unwrap());
        let current = Arc::new(CurrentSnapshot::new(snapshot));
        let mut watcher = ConfigWatcher::new(source, Arc::clone(&current), loaded.clone());
        let in_force = || current.get().config.aliases.len();

        write(&yaml, "{/v1: /a}");
        let settled = loaded.now();
        watcher.check(settled.clone()).await;
        write(&yaml, "{/v1: /a, /v2: /b}");
        watcher.check(settled).await;
        assert_eq!(in_force(), 0, "it was another file when it was read");

        for expected in [0, 2] {
            watcher.check(watcher.loaded.now()).await;
            assert_eq!(in_force(), expected);
        }
    }
}
