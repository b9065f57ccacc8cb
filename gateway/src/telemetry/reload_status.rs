//! How the last reloads went, for metrics and the admin listener.

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

/// How the last reloads went.
#[derive(Clone, Debug)]
pub(crate) struct ReloadStatus(Arc<Mutex<State>>);

/// The state at one moment.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// The beginning of the hash over the configuration in force; empty where it comes from no file.
    pub(crate) hash: String,
    /// Since when it is in force.
    pub(crate) since: SystemTime,
    pub(crate) succeeded: u64,
    pub(crate) refused: u64,
    /// Why the last one was refused; empty where it was not.
    pub(crate) mistakes: Vec<String>,
}

impl ReloadStatus {
    /// Nothing has been reloaded yet.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let state =
            State { hash: String::new(), since: SystemTime::now(), succeeded: 0, refused: 0, mistakes: Vec::new() };
        let status = Self(Arc::new(Mutex::new(state)));
        registry.register_collector(Box::new(status.clone()));
        status
    }

    /// The process began with this configuration.
    pub(crate) fn began(&self, hash: String) {
        self.change(|state| state.hash = hash);
    }

    /// A new configuration is in force.
    pub(crate) fn succeeded(&self, hash: String) {
        self.change(|state| {
            state.hash = hash;
            state.since = SystemTime::now();
            state.succeeded += 1;
            state.mistakes.clear();
        });
    }

    /// The old configuration stays in force.
    pub(crate) fn refused(&self, mistakes: Vec<String>) {
        self.change(|state| {
            state.refused += 1;
            state.mistakes = mistakes;
        });
    }

    /// The state now.
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
        let help = "Since when the configuration is in force";
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
