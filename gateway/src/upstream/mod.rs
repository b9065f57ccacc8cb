//! The services behind the gateway: their targets, the room they have, the way to them. Knows no routes and no callers.

pub mod client;
pub mod failure;
pub mod retry;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chassis::identity::AssertionSigner;

use crate::config::{TargetAddress, UpstreamSettings};

/// One upstream, shared by all workers.
#[derive(Clone)]
pub struct Upstream(Arc<Inner>);

struct Inner {
    settings: UpstreamSettings,
    signer: Option<AssertionSigner>,
    next: AtomicUsize,
    in_flight: AtomicUsize,
}

impl Upstream {
    /// An upstream as configured.
    ///
    /// # Errors
    /// The key for its assertions is too short.
    pub fn new(settings: UpstreamSettings) -> Result<Self, String> {
        let signer =
            settings.assertion.as_ref().map(|(audience, key)| AssertionSigner::new(audience, key)).transpose()?;
        Ok(Self(Arc::new(Inner { settings, signer, next: AtomicUsize::new(0), in_flight: AtomicUsize::new(0) })))
    }

    /// Its settings.
    pub fn settings(&self) -> &UpstreamSettings {
        &self.0.settings
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.0.settings.name
    }

    /// Whether this is a handle to the same upstream: its counters are shared.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::Relaxed)
    }

    /// Signs the assertions that it asks for.
    pub fn signer(&self) -> Option<&AssertionSigner> {
        self.0.signer.as_ref()
    }

    /// Room for one request (the bulkhead); `None` where it has its fill, so that a slow upstream takes no others down.
    pub fn admit(&self) -> Option<Permit> {
        let before = self.0.in_flight.fetch_add(1, Ordering::Relaxed);
        // Made before the check, so that it gives back what was just taken.
        let permit = Permit(Arc::clone(&self.0));
        (before < self.0.settings.in_flight_max).then_some(permit)
    }

    /// The target whose turn it is.
    pub fn pick(&self) -> &TargetAddress {
        let targets = &self.0.settings.targets;
        &targets[self.0.next.fetch_add(1, Ordering::Relaxed) % targets.len()]
    }
}

/// A request in flight; ends when dropped.
pub struct Permit(Arc<Inner>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
