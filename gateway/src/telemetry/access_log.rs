//! The access log: one line for each request, written when its last byte has been sent. It never contains a token, a body
//! or a query.

use std::{cell::Cell, net::IpAddr, time::Duration};

use actix_http::Method;

/// Which requests are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AccessLog {
    #[default]
    Off,
    /// This share of all requests, and every answer of 500 and above.
    Sample {
        percent: u8,
    },
    On,
}

/// Chooses the requests of a sample evenly: with 10 % every tenth. Each worker has its own.
#[derive(Debug, Default)]
pub(crate) struct Sampler(Cell<u8>);

impl Sampler {
    /// Whether the next request is logged, whatever its status.
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

/// The phases of a request that are timed, in the order in which they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// From the head of the request to its route.
    Match,
    /// Token and policy.
    Authorize,
    /// Rate limit, size of the body, capacity of the upstream.
    Admit,
    /// From the first attempt to the head of the upstream's answer.
    Send,
    /// From there to the last byte of the answer.
    Answer,
}

const PHASES: usize = Phase::Answer as usize + 1;

/// How long each phase of a request took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Phases {
    took: [Duration; PHASES],
    /// How many phases are done. [`Phase::Answer`] is done when the request has ended.
    done: usize,
}

impl Phases {
    /// Records that a phase has ended.
    pub(crate) fn done(&mut self, phase: Phase, took: Duration) {
        self.took[phase as usize] += took;
        self.done = phase as usize + 1;
    }

    /// Records that the request was refused, which ends the current phase and skips to the answer.
    pub(crate) fn refused(&mut self, took: Duration) {
        self.took[self.current()] += took;
        self.done = Phase::Answer as usize;
    }

    /// Records that the request has ended after `total`: what no other phase took belongs to the current one.
    pub(crate) fn ended(&mut self, total: Duration) {
        let known: Duration = self.took.iter().sum();
        self.took[self.current()] += total.saturating_sub(known);
    }

    /// The `Server-Timing` field (W3C), in milliseconds. The answer has not been sent when it is written.
    pub(crate) fn server_timing(&self) -> String {
        let [matching, auth, admit, head, _] = self.took.map(|phase| phase.as_secs_f64() * 1000.0);
        format!("match;dur={matching:.3}, auth;dur={auth:.3}, admit;dur={admit:.3}, upstream;dur={head:.3}")
    }

    fn current(&self) -> usize {
        self.done.min(Phase::Answer as usize)
    }
}

/// The fields of a line.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) method: &'a Method,
    /// Without the query, which may hold secrets.
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
        use Phase::{Admit, Authorize, Match, Send};
        let ms = Duration::from_millis;
        let mut whole = Phases::default();
        for (phase, took) in [(Match, 1), (Authorize, 2), (Admit, 3), (Send, 4)] {
            whole.done(phase, ms(took));
        }
        whole.ended(ms(15));
        assert_eq!(whole.took, [ms(1), ms(2), ms(3), ms(4), ms(5)]);
        assert_eq!(whole.server_timing(), "match;dur=1.000, auth;dur=2.000, admit;dur=3.000, upstream;dur=4.000");
        let mut refused = Phases::default();
        refused.done(Match, ms(1));
        refused.refused(ms(2));
        refused.ended(ms(4));
        assert_eq!(refused.took, [ms(1), ms(2), ms(0), ms(0), ms(1)]);
    }
}
