//! The access log: one line for each request, written when its last byte has gone. Never a token, a body or a query.

use std::{cell::Cell, net::IpAddr, time::Duration};

use actix_http::Method;

/// Which requests get a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    #[default]
    Off,
    /// So many of a hundred, and every answer of 500 and above.
    Sample {
        percent: u8,
    },
    On,
}

/// Chooses the requests of a sample evenly: with 10 % every tenth. One for each worker.
#[derive(Debug, Default)]
pub struct Sampler(Cell<u8>);

impl Sampler {
    /// Whether the next request gets a line, whatever becomes of it.
    pub fn choose(&self, log: AccessLog) -> bool {
        match log {
            AccessLog::Off => false,
            AccessLog::On => true,
            AccessLog::Sample { percent } => {
                // At most 99 + 100: it fits.
                let sum = self.0.get() + percent.min(100);
                self.0.set(sum % 100);
                sum >= 100
            }
        }
    }
}

/// How long the phases of a request took, in the order in which they happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Normal form of the path, and the route.
    pub matching: Duration,
    /// Token and policy.
    pub auth: Duration,
    /// Limits, and room at the upstream.
    pub admit: Duration,
    /// From our first byte to the upstream (or the wait for a connection) to the head of its answer.
    pub head: Duration,
    /// From there to the last byte.
    pub body: Duration,
}

impl Phases {
    /// `Server-Timing` (W3C), in milliseconds; the body has not gone yet.
    pub fn server_timing(&self) -> String {
        let ms = |phase: Duration| phase.as_secs_f64() * 1000.0;
        format!(
            "match;dur={:.3}, auth;dur={:.3}, admit;dur={:.3}, upstream;dur={:.3}",
            ms(self.matching),
            ms(self.auth),
            ms(self.admit),
            ms(self.head)
        )
    }
}

/// What a line says.
#[derive(Debug)]
pub struct Line<'a> {
    pub method: &'a Method,
    /// Without the query, which may hold what is nobody's business.
    pub path: &'a str,
    pub route: &'a str,
    pub upstream: &'a str,
    pub target: &'a str,
    pub status: u16,
    pub cut: bool,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub caller: &'a str,
    pub client_ip: Option<IpAddr>,
    pub request_id: &'a str,
    pub trace_id: &'a str,
    pub took: Duration,
    pub phases: Phases,
}

/// Writes a line.
pub fn write(line: &Line<'_>) {
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let client_ip = line.client_ip.map(|ip| ip.to_string()).unwrap_or_default();
    log::info!(
        target: "access",
        route = line.route, upstream = line.upstream, target = line.target, status = line.status,
        cut_short = line.cut, bytes_in = line.bytes_in, bytes_out = line.bytes_out, caller = line.caller,
        client_ip = client_ip.as_str(), request_id = line.request_id, trace_id = line.trace_id,
        took_us = micros(line.took), match_us = micros(line.phases.matching), auth_us = micros(line.phases.auth),
        admit_us = micros(line.phases.admit), head_us = micros(line.phases.head), body_us = micros(line.phases.body);
        "{} {} {}", line.method, line.path, line.status
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_evenly() {
        for (log, expected) in [
            (AccessLog::Off, 0),
            (AccessLog::On, 1000),
            (AccessLog::Sample { percent: 10 }, 100),
            (AccessLog::Sample { percent: 33 }, 330),
            (AccessLog::Sample { percent: 100 }, 1000),
        ] {
            let sampler = Sampler::default();
            assert_eq!((0..1000).filter(|_| sampler.choose(log)).count(), expected, "{log:?}");
        }
    }

    #[test]
    fn server_timing_is_in_milliseconds() {
        let phases = Phases { auth: Duration::from_micros(1500), ..Phases::default() };
        assert_eq!(phases.server_timing(), "match;dur=0.000, auth;dur=1.500, admit;dur=0.000, upstream;dur=0.000");
    }
}
