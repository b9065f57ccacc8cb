//! Counts failed TLS handshakes by reason: the only trace of clients that never get as far as a request.

use std::io;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// It took too long.
    Timeout,
    /// The client closed the connection, as port scanners and TCP health checks do.
    Closed,
    /// The first bytes are no TLS record, such as plain HTTP.
    NotTls,
    /// No common version, cipher or other parameter.
    Incompatible,
    /// The client sent an alert; usually it does not trust the certificate of the gateway.
    ClientRefused,
    /// The client sent no certificate although one is required.
    NoClientCertificate,
    /// The certificate of the client is not valid.
    ClientCertificate,
    Other,
}

/// Every reason, in the order of the enum, with the value of its label.
const REASONS: [(Reason, &str); 8] = [
    (Reason::Timeout, "timeout"),
    (Reason::Closed, "closed"),
    (Reason::NotTls, "not_tls"),
    (Reason::Incompatible, "incompatible"),
    (Reason::ClientRefused, "client_refused"),
    (Reason::NoClientCertificate, "no_client_certificate"),
    (Reason::ClientCertificate, "client_certificate"),
    (Reason::Other, "other"),
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// The number of failed handshakes by reason. Clones share the counters.
#[derive(Clone, Debug)]
pub(crate) struct HandshakeFailures([Counter; REASONS.len()]);

impl HandshakeFailures {
    /// Registers the metric.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let failures = Family::<ReasonLabel, Counter>::default();
        let counters = REASONS.map(|(_, reason)| failures.get_or_create_owned(&ReasonLabel { reason }));
        registry.register(
            "gateway_tls_handshake_failures",
            "TLS handshakes of clients that failed, by reason",
            failures,
        );
        Self(counters)
    }

    /// Counts and logs a handshake that failed with this error.
    pub(super) fn count(&self, error: &io::Error) {
        let reason = reason(error);
        self.0[reason as usize].inc();
        log::debug!(reason = REASONS[reason as usize].1, cause = error.to_string(); "a TLS handshake failed");
    }

    /// Returns the number of failures so far.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().map(Counter::get).sum()
    }
}

fn reason(error: &io::Error) -> Reason {
    use rustls::Error as Tls;
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>());
    if let Some(tls) = tls {
        let by_error = [
            (matches!(tls, Tls::InvalidMessage(_)), Reason::NotTls),
            (matches!(tls, Tls::PeerIncompatible(_)), Reason::Incompatible),
            (matches!(tls, Tls::AlertReceived(_)), Reason::ClientRefused),
            (matches!(tls, Tls::NoCertificatesPresented), Reason::NoClientCertificate),
            (matches!(tls, Tls::InvalidCertificate(_)), Reason::ClientCertificate),
        ];
        return by_error.into_iter().find(|(is, _)| *is).map_or(Reason::Other, |(_, reason)| reason);
    }
    let by_kind = [
        (io::ErrorKind::TimedOut, Reason::Timeout),
        (io::ErrorKind::UnexpectedEof, Reason::Closed),
        (io::ErrorKind::ConnectionReset, Reason::Closed),
        (io::ErrorKind::BrokenPipe, Reason::Closed),
    ];
    by_kind.into_iter().find(|(kind, _)| *kind == error.kind()).map_or(Reason::Other, |(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_order_of_the_enum() {
        for (index, (reason, name)) in REASONS.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{name}");
        }
    }
}
