//! Puts the service together: the store, its probes and metrics, the endpoints, and the drain in the right order.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use actix_web::dev;
use chassis::{
    config::StartError,
    envelope::Surroundings,
    health::{Health, HealthBuilder},
    identity::AssertionVerifier,
    metrics::HttpMetrics,
    server,
};

use crate::{config::Settings, http, store::OrdersRepo};

/// The name by which the gateway addresses its assertions to this service.
const AUDIENCE: &str = "orders";

/// The orders service, bound to its port.
pub struct Server {
    http: dev::Server,
    addr: SocketAddr,
    health: Health,
    drain_delay: Duration,
    repo: OrdersRepo,
}

impl Server {
    /// Opens the port and the database, and starts to serve. It needs an actix system around it.
    ///
    /// # Errors
    /// What cannot be used: the port, the key, the database.
    pub fn bind(settings: Settings) -> Result<Self, StartError> {
        let Settings { listen, database, internal_key, drain_delay, log_format: _, workers, readers } = settings;
        let verifier = AssertionVerifier::new(AUDIENCE, &internal_key)
            .map_err(|error| StartError::Config(vec![format!("INTERNAL_KEY: {error}")]))?;
        // The port first: a second process on it stops here, before it looks at the database.
        let listener = server::bind("ORDERS_LISTEN", listen)?;
        let addr = server::addr_of(&listener)?;
        let mut registry = chassis::metrics::registry();
        let http = HttpMetrics::register(&mut registry);
        let repo = OrdersRepo::open(&database, readers, &mut registry)?;
        let health = health_of(&repo);
        let verifier = Some(Arc::new(verifier));
        let around = Surroundings { health: health.clone(), registry: Arc::new(registry), http, verifier };
        let endpoints = http::endpoints(repo.clone(), &internal_key);
        let http = server::serve(listener, workers.get(), around, endpoints)?;
        log::info!(addr:% = addr, database:% = database; "listening");
        Ok(Self { http, addr, health, drain_delay, repo })
    }

    /// Where the service listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown` resolves, then finishes what is in flight and closes the database.
    ///
    /// # Errors
    /// Fails if serving ends by itself, or if the database could not be written durably any more.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + 'static) -> Result<(), StartError> {
        let repo = self.repo.clone();
        let stop = async move {
            tokio::select! {
                () = shutdown => {}
                // What a failed write left on the disk is known again only after a new start, so that this one ends.
                () = repo.failed() => {}
            }
        };
        let served = server::run_until(self.http, self.health, self.drain_delay, stop).await;
        // Only now: the requests in flight have had their answers from the store.
        self.repo.shutdown().await;
        served?;
        if self.repo.has_failed() {
            return Err(StartError::failed(
                "a write to the database had an unknown outcome; see the log, then start again",
            ));
        }
        log::info!("stopped");
        Ok(())
    }
}

fn health_of(repo: &OrdersRepo) -> Health {
    let repo = repo.clone();
    let probe = move || {
        let repo = repo.clone();
        async move { repo.ping().await.map_err(|error| error.to_string()) }
    };
    HealthBuilder::default().probe("database", probe).build()
}
