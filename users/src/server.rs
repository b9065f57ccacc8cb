//! Puts the service together: the store, its probe and metrics, the endpoints, and the shutdown in the right order.

use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    path::Path,
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
    audit::{AuditSettings, Opener},
    config::{Settings, cores},
    control::{ControlSocket, Operations},
    domain::{PasswordPolicy, Protection},
    first_users::FirstUsers,
    http,
    passwords::Passwords,
    store::{Rules, UsersStore},
};

/// The name by which the gateway addresses its assertions to this service.
const AUDIENCE: &str = "users";

/// The accounts service, bound and ready to serve.
pub struct Server {
    addr: SocketAddr,
    listener: TcpListener,
    workers: usize,
    drain_delay: Duration,
    service: ServiceContext,
    endpoints: http::Endpoints,
    /// Absent where it could not be made.
    control: Option<ControlSocket>,
    operations: Operations,
}

impl Server {
    /// Binds the port and opens the store. Needs an actix `System`.
    ///
    /// # Errors
    /// Says what cannot be used (the port, the key, the data folder), and what to do about it.
    pub fn bind(settings: Settings) -> Result<Self, StartError> {
        let Settings { listen, data_dir, internal_key, password_min, bcrypt_cost, demo, .. } = settings;
        let verifier = AssertionVerifier::new(AUDIENCE, &internal_key)
            .map_err(|error| StartError::Config(vec![format!("INTERNAL_KEY: {error}")]))?;
        // The port first: a second process on it stops here, before it looks at the data.
        let listener = server::bind("USERS_LISTEN", listen)?;
        let addr = server::local_addr(&listener)?;
        let mut registry = chassis::metrics::registry();
        let http_metrics = HttpMetrics::register(&mut registry);
        let policy = PasswordPolicy { chars_min: password_min };
        let first_users = FirstUsers { demo, policy, bcrypt_cost, admin_password: settings.admin_password };
        let rules = Rules { protection: Protection(settings.protected_ids), sessions: settings.sessions };
        let first_users = |next_id| first_users.create(next_id);
        let audit = AuditSettings { opener: Opener::Service { demo }, ..settings.audit };
        let store = UsersStore::open(&data_dir, rules, first_users, audit, &mut registry)?;
        let control = bind_control(&data_dir);
        if demo {
            log::warn!("demo mode: not for production");
        }
        let hash_cost_max = store.hash_cost_max().unwrap_or(bcrypt_cost);
        let passwords = Passwords::start(bcrypt_cost, hash_cost_max, cores(), &mut registry);
        let passwords = passwords.map_err(StartError::failed)?;
        let service = ServiceContext {
            health: health_of(&store),
            registry: Arc::new(registry),
            http_metrics,
            verifier: Some(Arc::new(verifier)),
            check_host: None,
        };
        let endpoints = http::Endpoints {
            store: web::Data::new(store.clone()),
            passwords: web::Data::new(passwords.clone()),
            policy: web::Data::new(policy),
            cursors: web::Data::new(CursorKey::derive(&internal_key, AUDIENCE)),
        };
        let Settings { workers, drain_delay, .. } = settings;
        let operations = Operations { store, passwords, policy };
        Ok(Self { addr, listener, workers, drain_delay, service, endpoints, control, operations })
    }

    /// The address that the service listens on: with port 0 in the settings, the port that it got.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown` resolves, finishes the requests in flight, and then ends the store.
    ///
    /// # Errors
    /// The server failed, or the store could not end in order.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + 'static) -> Result<(), StartError> {
        let Self { addr, listener, workers, drain_delay, service, endpoints, control, operations } = self;
        let store = operations.store.clone();
        let health = service.health.clone();
        let server = server::serve(listener, workers, service, move |config| endpoints.configure(config))?;
        let control = control.map(|socket| socket.serve(operations));
        log::info!(addr:%; "users is listening");
        let served = server::run_until(server, health, drain_delay, shutdown).await;
        if let Some(control) = control {
            control.stop().await;
        }
        // Last, because the requests in flight are answered from the store.
        let ended = store.shutdown().await;
        log::info!("users has stopped");
        served.and(ended)
    }
}

/// Makes the control socket. The service does without it where it must.
fn bind_control(data_dir: &Path) -> Option<ControlSocket> {
    let bound = ControlSocket::bind(data_dir);
    let failed = |error: &io::Error| {
        log::warn!(folder:% = data_dir.display(); "there is no control socket, so that `users` commands work only while the service is stopped: {error}");
    };
    bound.inspect_err(failed).ok()
}

fn health_of(store: &UsersStore) -> Health {
    let store = store.clone();
    let probe = move || {
        let store = store.clone();
        async move { store.ping().await.map_err(|fault| fault.chain()) }
    };
    HealthBuilder::default().probe("store", probe).build()
}
