//! Puts the service together: the store, its probe and metrics, the endpoints, and the shutdown in the right order.

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

use crate::{config::Settings, http, store::OrdersRepo};

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
}

impl Server {
    /// Binds the port and opens the store. Needs an actix `System`.
    ///
    /// # Errors
    /// Says what cannot be used (the port, the key, the database), and what to do about it.
    pub fn bind(settings: Settings) -> Result<Self, StartError> {
        let Settings { listen, database, internal_key, drain_delay, log_format: _, workers, readers } = settings;
        let verifier = AssertionVerifier::new(AUDIENCE, &internal_key)
            .map_err(|error| StartError::Config(vec![format!("INTERNAL_KEY: {error}")]))?;
        // The port first: a second process on it stops here, before it looks at the data.
        let listener = server::bind("ORDERS_LISTEN", listen)?;
        let addr = server::local_addr(&listener)?;
        let mut registry = chassis::metrics::registry();
        let http_metrics = HttpMetrics::register(&mut registry);
        let repo = OrdersRepo::open(&database, readers, &mut registry)?;
        let service = ServiceContext {
            health: health_of(&repo),
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
        Ok(Self { addr, listener, workers: workers.get(), drain_delay, service, endpoints, repo })
    }

    /// The address that the service listens on: with port 0 in the settings, the port that it got.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown` resolves, finishes the requests in flight, and then ends the store.
    ///
    /// # Errors
    /// The server failed, the store could not end in order, or a write had an unknown outcome.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + 'static) -> Result<(), StartError> {
        let Self { addr, listener, workers, drain_delay, service, endpoints, repo } = self;
        let health = service.health.clone();
        let server = server::serve(listener, workers, service, move |config| endpoints.configure(config))?;
        log::info!(addr:%; "listening");
        let watched = repo.clone();
        let stop = async move {
            tokio::select! {
                () = shutdown => {}
                // What a failed write left on the disk is known only after the next start.
                () = watched.failed() => {}
            }
        };
        let served = server::run_until(server, health, drain_delay, stop).await;
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

fn health_of(repo: &OrdersRepo) -> Health {
    let repo = repo.clone();
    let probe = move || {
        let repo = repo.clone();
        async move { repo.ping().await.map_err(|fault| fault.chain()) }
    };
    HealthBuilder::default().probe("store", probe).build()
}
