//! The metrics of the process, read from /proc on each scrape: memory, CPU time, open files, start time.

use std::{
    fmt, fs,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, metrics::MetricType, registry::Unit};

/// Linux reports CPU time in hundredths of a second on every architecture that it still supports (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Shows the process by the metric names that all Prometheus clients use.
#[derive(Debug)]
pub struct ProcessCollector {
    started: SystemTime,
}

impl ProcessCollector {
    /// A collector that takes this moment for the start of the process: the kernel knows the start only in ticks since the
    /// machine was booted.
    pub fn started_now() -> Self {
        Self { started: SystemTime::now() }
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(bytes) = resident_bytes() {
            let unit = Some(&Unit::Bytes);
            let help = "Memory that is in RAM";
            encoder
                .encode_descriptor("process_resident_memory", help, unit, MetricType::Gauge)?
                .encode_gauge(&bytes)?;
        }
        if let Some(seconds) = cpu_seconds() {
            let unit = Some(&Unit::Seconds);
            let help = "User and system time";
            let mut encoder = encoder.encode_descriptor("process_cpu", help, unit, MetricType::Counter)?;
            encoder.encode_counter::<prometheus_client::encoding::NoLabelSet, f64, f64>(&seconds, None)?;
        }
        if let Some(files) = open_files() {
            let help = "Open files and sockets";
            encoder.encode_descriptor("process_open_fds", help, None, MetricType::Gauge)?.encode_gauge(&files)?;
        }
        if let Some(files) = open_files_max() {
            let help = "Open files and sockets that the system allows";
            encoder.encode_descriptor("process_max_fds", help, None, MetricType::Gauge)?.encode_gauge(&files)?;
        }
        let seconds = self.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let (help, unit) = ("When the process started, in Unix time", Some(&Unit::Seconds));
        encoder.encode_descriptor("process_start_time", help, unit, MetricType::Gauge)?.encode_gauge(&seconds)
    }
}

fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program may have spaces and brackets; what follows the last bracket has none.
    let (_, fields) = stat.rsplit_once(')')?;
    // Fields 14 and 15 of proc(5), counted from 1; the first after the name is field 3.
    let mut times = fields.split_whitespace().skip(11).map(|ticks| ticks.parse::<u32>().ok());
    let (user, system) = (times.next()??, times.next()??);
    Some((f64::from(user) + f64::from(system)) / TICKS_PER_SECOND)
}

fn open_files() -> Option<i64> {
    i64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

fn open_files_max() -> Option<i64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    // The soft limit. `unlimited` is not a number, and then the metric is absent.
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_time_and_files() {
        assert!(resident_bytes().unwrap() > 1024 * 1024);
        assert!(cpu_seconds().unwrap() >= 0.0);
        assert!(open_files().unwrap() >= 3);
        assert!(open_files_max().unwrap() >= open_files().unwrap());
    }
}
