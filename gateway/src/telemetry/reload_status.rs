//! The results of the last reloads, for metrics and the admin listener.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::{Registry, Unit},
};

/// The results of the last reloads. Clones are handles to the same status.
#[derive(Clone, Debug)]
pub(crate) struct ReloadStatus(Arc<Mutex<State>>);

/// The status at one moment.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// The first digits of the hash over the configuration in force; empty where it comes from no file.
    pub(crate) hash: String,
    /// When it came into force.
    pub(crate) since: SystemTime,
    pub(crate) succeeded: u64,
    pub(crate) refused: u64,
    /// Why the last reload was refused; empty where it was not.
    pub(crate) mistakes: Vec<String>,
}

impl ReloadStatus {
    /// Registers the status of a process that has reloaded nothing yet.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let state =
            State { hash: String::new(), since: SystemTime::now(), succeeded: 0, refused: 0, mistakes: Vec::new() };
        let status = Self(Arc::new(Mutex::new(state)));
        registry.register_collector(Box::new(status.clone()));
        status
    }

    /// Records the configuration that the process started with.
    pub(crate) fn started(&self, hash: String) {
        self.change(|state| state.hash = hash);
    }

    /// Records that a new configuration is in force.
    pub(crate) fn succeeded(&self, hash: String) {
        self.change(|state| {
            state.hash = hash;
            state.since = SystemTime::now();
            state.succeeded += 1;
            state.mistakes.clear();
        });
    }

    /// Records that a configuration was refused and the previous one stays in force.
    pub(crate) fn refused(&self, mistakes: Vec<String>) {
        self.change(|state| {
            state.refused += 1;
            state.mistakes = mistakes;
        });
    }

    /// Returns the current status.
    pub(crate) fn state(&self) -> State {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Collector for ReloadStatus {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state = self.state();
        let help = "Whether the last configuration that was read is in force (1) or was refused (0)";
        let success = ConstGauge::new(i64::from(state.mistakes.is_empty()));
        success.encode(encoder.encode_descriptor("config_reload_success", help, None, MetricType::Gauge)?)?;
        let help = "When the configuration came into force";
        let name = "config_last_reload_success_timestamp";
        let seconds = state.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let unit = Some(&Unit::Seconds);
        ConstGauge::new(seconds).encode(encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?)?;
        let help = "Configurations that were read since the start, by result";
        let mut family = encoder.encode_descriptor("config_reloads", help, None, MetricType::Counter)?;
        for (result, count) in [("success", state.succeeded), ("refused", state.refused)] {
            ConstCounter::new(count).encode(family.encode_family(&[("result", result)])?)?;
        }
        let info = Info::new([("hash", state.hash)]);
        info.encode(encoder.encode_descriptor("config", "The configuration in force", None, MetricType::Info)?)
    }
}
