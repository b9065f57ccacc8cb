//! What lives as long as the process, whatever is reloaded: metrics, health, the last errors.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use chassis::health::{Health, HealthBuilder};
use prometheus_client::registry::Registry;

use super::request_count::RequestCount;
use crate::{
    auth::token_issuers::TokenIssuers,
    rules::via::Pseudonym,
    session_feed::{follower::SessionFeed, metrics::FeedCollector},
    telemetry::{history::History, metrics::GatewayMetrics, recent_errors::RecentErrors, reload_status::ReloadStatus},
    tls::handshake_failures::HandshakeFailures,
};

/// The parts that every snapshot shares.
pub(crate) struct Process {
    pub(crate) health: Health,
    /// The issuers of the configuration in force, for `health`.
    pub(crate) issuers: IssuersInForce,
    /// Which sessions have ended, as far as the configuration says where to learn that.
    pub(crate) sessions: SessionFeed,
    /// The name of this instance in `Via`.
    pub(crate) via: Pseudonym,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) handshake_failures: HandshakeFailures,
    /// All requests, also those of earlier snapshots.
    pub(crate) requests: RequestCount,
    pub(crate) errors: RecentErrors,
    pub(crate) history: History,
    pub(crate) reload: ReloadStatus,
}

impl Process {
    /// Makes the parts and registers their metrics.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let issuers = IssuersInForce::default();
        let sessions = SessionFeed::default();
        let (reported, feed, started) = (issuers.clone(), sessions.clone(), Instant::now());
        registry.register_collector(Box::new(FeedCollector(sessions.clone())));
        Self {
            health: HealthBuilder::default()
                .report("issuers", move || reported.get().map_or(Ok(None), |known| known.readiness(started.elapsed())))
                .report("sessions", move || feed.readiness(started.elapsed()))
                .build(),
            issuers,
            sessions,
            via: Pseudonym::new(),
            metrics: GatewayMetrics::register(registry),
            handshake_failures: HandshakeFailures::register(registry),
            requests: RequestCount::default(),
            errors: RecentErrors::default(),
            history: History::default(),
            reload: ReloadStatus::register(registry),
        }
    }
}

/// The issuers of the configuration in force. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct IssuersInForce(Arc<Mutex<Option<TokenIssuers>>>);

impl IssuersInForce {
    /// Takes those of a new configuration.
    pub(super) fn publish(&self, issuers: Option<TokenIssuers>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = issuers;
    }

    fn get(&self) -> Option<TokenIssuers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
