//! The service as a whole: bind, tell the address, serve until told to stop, end the store last.

use std::{
    future::Future,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::web;
use chassis::{
    config::StartError, envelope::Surroundings, health::HealthBuilder, identity::AssertionVerifier,
    metrics::HttpMetrics, page::CursorKey,
};
use prometheus_client::registry::Registry;

use crate::{
    config::{Settings, cores},
    domain::{PasswordPolicy, Protection},
    first_users, http,
    passwords::Passwords,
    store::{OpenedStore, UsersStore},
};

/// What this service is called in an assertion.
const AUDIENCE: &str = "users";

/// The accounts service, bound and ready to serve.
pub struct Server {
    addr: SocketAddr,
    listener: TcpListener,
    workers: usize,
    drain_delay: Duration,
    around: Surroundings,
    store: UsersStore,
    app: http::App,
}

impl Server {
    /// Binds the port, opens the data folder and starts the store. Runs inside an actix `System`.
    ///
    /// # Errors
    /// Says what cannot be used, and what to do about it.
    pub fn bind(settings: Settings) -> Result<Self, StartError> {
        let listener = chassis::server::bind("USERS_LISTEN", settings.listen)?;
        let addr = chassis::server::addr_of(&listener)?;
        let verifier = AssertionVerifier::new(AUDIENCE, &settings.internal_key)
            .map_err(|error| StartError::Config(vec![format!("INTERNAL_KEY: {error}")]))?;
        let mut registry = chassis::metrics::registry();
        let http_metrics = HttpMetrics::register(&mut registry);
        let opened = open_store(&settings, &mut registry)?;
        let cost_known_max = opened.cost_max().unwrap_or(settings.bcrypt_cost);
        let passwords = Passwords::new(settings.bcrypt_cost, cost_known_max, cores(), &mut registry);
        let store = opened.serve(Protection(settings.protected_ids));
        let probed = store.clone();
        let probe = move || {
            let probed = probed.clone();
            async move { probed.ping().await.map_err(|error| error.to_string()) }
        };
        let around = Surroundings {
            health: HealthBuilder::default().probe("store", probe).build(),
            registry: Arc::new(registry),
            http: http_metrics,
            verifier: Some(Arc::new(verifier)),
        };
        let app = http::App {
            store: web::Data::new(store.clone()),
            passwords: web::Data::new(passwords),
            policy: web::Data::new(PasswordPolicy { chars_min: settings.password_min }),
            cursors: web::Data::new(CursorKey::derive(&settings.internal_key, AUDIENCE)),
        };
        Ok(Self { addr, listener, workers: settings.workers, drain_delay: settings.drain_delay, around, store, app })
    }

    /// Where the service listens, which matters where port 0 was asked for.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown` resolves, finishes the requests in flight, and then everything that the store has staged.
    ///
    /// # Errors
    /// The listener failed, or the store could not finish.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + 'static) -> Result<(), StartError> {
        let Self { addr, listener, workers, drain_delay, around, store, app } = self;
        let health = around.health.clone();
        let server = chassis::server::serve(listener, workers, around, move |config| app.endpoints(config))?;
        log::info!(addr:%; "users is listening");
        let served = chassis::server::run_until(server, health, drain_delay, shutdown).await;
        let ended = store.shutdown().await;
        log::info!("users has stopped");
        served.and(ended)
    }
}

fn open_store(settings: &Settings, registry: &mut Registry) -> Result<OpenedStore, StartError> {
    let mut opened = OpenedStore::open(&settings.data_dir, registry)?;
    if settings.demo {
        log::warn!("demo mode: not for production");
    }
    if opened.is_empty() {
        let first = first_users::of(settings, opened.next_id())?;
        opened.install(first)?;
    }
    if opened.has_no_admin() {
        log::warn!("no user is an admin, so that nobody may manage users");
    }
    Ok(opened)
}
