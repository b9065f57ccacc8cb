//! Prints what came of the requests: a line while it goes on, a table at the end.

use std::{fmt::Write, time::Duration};

use super::{
    settings::Settings,
    tally::{Counts, Tally},
};

/// The line while it goes on.
pub(super) fn progress(tally: &Tally, elapsed: Duration, settings: &Settings) -> String {
    let all = tally.all();
    format!(
        "{} of {} s: {} requests, {:.1} a second, {} failed, p99 {}",
        elapsed.as_secs(),
        settings.duration.as_secs(),
        all.requests,
        per_second(all.requests, elapsed),
        all.failed,
        shown(&all, 99)
    )
}

/// The table, what failed, and how the rate was kept.
pub(super) fn table(tally: &Tally, elapsed: Duration, settings: &Settings) -> String {
    let mut text = row(["step", "requests", "failed", "p50", "p90", "p99"], "statuses");
    for (step, counts) in &tally.steps {
        text += &counted(step.name(), counts);
    }
    let all = tally.all();
    text += &counted("all", &all);
    let rate = per_second(all.requests, elapsed);
    let (seconds, users, wanted) = (elapsed.as_secs_f64(), settings.users, settings.rate);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n{rate:.1} requests a second for {seconds:.1} s, of {users} customers.");
    if rate < f64::from(wanted) * 0.9 {
        let _ = writeln!(
            text,
            "That is fewer than the {wanted} of --rate: customers wait for their answers. More --users send more, unless \
             the system is at its limit."
        );
    }
    for (failure, count) in &tally.failures {
        let _ = writeln!(text, "failed: {failure} ({count})");
    }
    text
}

fn counted(name: &str, counts: &Counts) -> String {
    let statuses: Vec<String> = counts.statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
    let (requests, failed) = (counts.requests.to_string(), counts.failed.to_string());
    let [p50, p90, p99] = [50, 90, 99].map(|percent| shown(counts, percent));
    row([name, &requests, &failed, &p50, &p90, &p99], &statuses.join(", "))
}

fn row([name, requests, failed, p50, p90, p99]: [&str; 6], statuses: &str) -> String {
    format!("{name:<15} {requests:>9} {failed:>7} {p50:>9} {p90:>9} {p99:>9}  {statuses}\n")
}

fn shown(counts: &Counts, percent: u64) -> String {
    let latency = counts.latencies.percentile(percent);
    let text = |latency: Duration| match latency.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1000.0),
        seconds => format!("{seconds:.2} s"),
    };
    latency.map_or("-".to_owned(), text)
}

fn per_second(requests: u64, elapsed: Duration) -> f64 {
    u32::try_from(requests).map_or(f64::INFINITY, f64::from) / elapsed.as_secs_f64().max(f64::EPSILON)
}
