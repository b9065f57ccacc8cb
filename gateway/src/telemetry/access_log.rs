//! The access log: one line for each request, written when its last byte has gone. Never a token, a body or a query.

use std::{cell::Cell, net::IpAddr, time::Duration};

use actix_http::Method;

/// Which requests get a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AccessLog {
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
pub(crate) struct Sampler(Cell<u8>);

impl Sampler {
    /// Whether the next request gets a line, whatever becomes of it.
    pub(crate) fn choose(&self, log: AccessLog) -> bool {
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

/// The phases of a request in the order in which they happen: the route is found; token and policy; limits and room at
/// the upstream; the way to the head of the upstream's answer; from there to the last byte.
const PHASES: usize = 5;
const BODY: usize = PHASES - 1;

/// How long the phases of a request took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Phases {
    took: [Duration; PHASES],
    current: usize,
}

impl Phases {
    /// The current phase took so long; the next one begins. The last goes on to the end.
    pub(crate) fn next(&mut self, took: Duration) {
        self.took[self.current] += took;
        self.current = (self.current + 1).min(BODY);
    }

    /// It ended in the current phase, and took so long in all.
    pub(crate) fn end(&mut self, total: Duration) {
        let known: Duration = self.took.iter().sum();
        self.took[self.current] += total.saturating_sub(known);
    }

    /// A refusal ends the phase that it happens in; what is left is the way of the answer.
    pub(crate) fn skip_to_body(&mut self, took: Duration) {
        self.next(took);
        self.current = BODY;
    }

    /// `Server-Timing` (W3C), in milliseconds; the body has not gone yet.
    pub(crate) fn server_timing(&self) -> String {
        let [matching, auth, admit, head, _] = self.took.map(|phase| phase.as_secs_f64() * 1000.0);
        format!("match;dur={matching:.3}, auth;dur={auth:.3}, admit;dur={admit:.3}, upstream;dur={head:.3}")
    }
}

/// What a line says.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) method: &'a Method,
    /// Without the query, which may hold what is nobody's business.
    pub(crate) path: &'a str,
    pub(crate) route: &'a str,
    pub(crate) upstream: &'a str,
    pub(crate) target: &'a str,
    pub(crate) status: u16,
    pub(crate) cut: bool,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) caller: &'a str,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) request_id: &'a str,
    pub(crate) trace_id: &'a str,
    pub(crate) took: Duration,
    pub(crate) phases: Phases,
}

/// Writes a line.
pub(crate) fn write(line: &Line<'_>) {
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let [matching, auth, admit, head, body] = line.phases.took.map(micros);
    let client_ip = line.client_ip.map(|ip| ip.to_string()).unwrap_or_default();
    log::info!(
        target: "access",
        route = line.route, upstream = line.upstream, upstream_target = line.target, status = line.status,
        cut_short = line.cut, bytes_in = line.bytes_in, bytes_out = line.bytes_out, caller = line.caller,
        client_ip = client_ip.as_str(), request_id = line.request_id, trace_id = line.trace_id,
        took_us = micros(line.took), match_us = matching, auth_us = auth, admit_us = admit, head_us = head,
        body_us = body;
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
    fn phases_add_up_to_the_whole() {
        let ms = Duration::from_millis;
        let mut whole = Phases::default();
        for took in [1, 2, 3, 4] {
            whole.next(ms(took));
        }
        whole.end(ms(15));
        assert_eq!(whole.took, [ms(1), ms(2), ms(3), ms(4), ms(5)]);
        assert_eq!(whole.server_timing(), "match;dur=1.000, auth;dur=2.000, admit;dur=3.000, upstream;dur=4.000");
        let mut refused = Phases::default();
        refused.next(ms(1));
        refused.skip_to_body(ms(2));
        refused.end(ms(4));
        assert_eq!(refused.took, [ms(1), ms(2), ms(0), ms(0), ms(1)]);
    }
}
