//! Puts the service together: the store, its probe and metrics, the endpoints, the relay, and the shutdown in the right order.

use std::{
    future::Future,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::web;
use chassis::{
    config::StartError,
    health::{Health, HealthBuilder},
    identity::AssertionVerifier,
    metrics::HttpMetrics,
    middleware::ServiceContext,
    page::CursorKey,
    server,
};

use crate::{
    config::Settings,
    http,
    relay::{Relay, RelayStatus},
    store::OrdersRepo,
};

/// The name by which the gateway addresses its assertions to this service.
const AUDIENCE: &str = "orders";

/// The orders service, bound and ready to serve.
pub struct Server {
    addr: SocketAddr,
    listener: TcpListener,
    workers: usize,
    drain_delay: Duration,
    service: ServiceContext,
    endpoints: http::Endpoints,
    repo: OrdersRepo,
    relay: Option<Relay>,
}

impl Server {
    /// Binds the port and opens the store. Needs an actix `System`.
    ///
    /// # Errors
    /// Says what cannot be used (the port, the key, the database), and what to do about it.
    pub fn bind(settings: Settings) -> Result<Self, StartError> {
        let Settings { listen, database, internal_key, drain_delay, log_format: _, workers, readers, events } =
            settings;
        let verifier = AssertionVerifier::new(AUDIENCE, &internal_key)
            .map_err(|error| StartError::Config(vec![format!("INTERNAL_KEY: {error}")]))?;
        // The port first: a second process on it stops here, before it looks at the data.
        let listener = server::bind("ORDERS_LISTEN", listen)?;
        let addr = server::local_addr(&listener)?;
        let mut registry = chassis::metrics::registry();
        let http_metrics = HttpMetrics::register(&mut registry);
        let repo = OrdersRepo::open(&database, readers, &mut registry)?;
        let relay = events.map(|server| Relay::new(repo.clone(), server, &mut registry));
        let service = ServiceContext {
            health: health_of(&repo, relay.as_ref().map(Relay::status)),
            registry: Arc::new(registry),
            http_metrics,
            verifier: Some(Arc::new(verifier)),
            check_host: None,
        };
        let endpoints = http::Endpoints {
            repo: web::Data::new(repo.clone()),
            cursors: web::Data::new(CursorKey::derive(&internal_key, AUDIENCE)),
            event_streams: web::Data::new(http::EventStreams::default()),
        };
        Ok(Self { addr, listener, workers: workers.get(), drain_delay, service, endpoints, repo, relay })
    }

    /// The address that the service listens on: with port 0 in the settings, the port that it got.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown` resolves, finishes the requests in flight, and then ends the relay and the
    /// store.
    ///
    /// # Errors
    /// The server failed, the store could not end in order, or a write had an unknown outcome.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + 'static) -> Result<(), StartError> {
        let Self { addr, listener, workers, drain_delay, service, endpoints, repo, relay } = self;
        let health = service.health.clone();
        let server = server::serve(listener, workers, service, move |config| endpoints.configure(config))?;
        log::info!(addr:%; "listening");
        let relay = relay.map(Relay::start);
        let watched = repo.clone();
        let stop = async move {
            tokio::select! {
                () = shutdown => {}
                // What a failed write left on the disk is known only after the next start.
                () = watched.failed() => {}
            }
        };
        let served = server::run_until(server, health, drain_delay, stop).await;
        if let Some(relay) = relay {
            relay.stop().await;
        }
        // Last, because the requests in flight are answered from the store.
        let ended = repo.shutdown().await;
        log::info!("stopped");
        if repo.has_failed() {
            return Err(StartError::failed(
                "a write to the database had an unknown outcome; see the log, then start again",
            ));
        }
        served.and(ended)
    }
}

/// A relay that cannot publish is shown, and makes no service not ready: its requests are answered all the same.
fn health_of(repo: &OrdersRepo, relay: Option<RelayStatus>) -> Health {
    let repo = repo.clone();
    let probe = move || {
        let repo = repo.clone();
        async move { repo.ping().await.map_err(|fault| fault.chain()) }
    };
    let events = move || Ok(relay.as_ref().map(|relay| relay.shown().into()));
    HealthBuilder::default().probe("store", probe).report("events", events).build()
}
