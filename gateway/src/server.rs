//! Serves the gateway: the public listener, without a router before ours, and the admin listener beside it.

use std::{
    convert::Infallible,
    future::Future,
    net::{SocketAddr, TcpListener},
    path::Path,
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use actix_http::{HttpService, Request, error::DispatchError};
use actix_rt::net::TcpStream;
use actix_service::{ServiceFactoryExt, fn_service};
use chassis::{
    config::StartError,
    envelope::Surroundings,
    metrics::HttpMetrics,
    server::{DISCONNECT_TIMEOUT, DRAIN_DEADLINE, HEAD_TIMEOUT, KEEP_ALIVE, addr_of, bind},
};
use prometheus_client::registry::Registry;

use crate::{
    config::{Config, mistake},
    hooks::Hooks,
    proxy::{self, http2},
    settings::Settings,
    tls::{accept::accept, server::ServerTls},
    upstream::{health::HealthMonitor, metrics::UpstreamCollector},
    worker::{Shared, Worker},
};

/// A gateway that is configured and owns its ports, but serves nobody yet.
pub struct Server {
    public: TcpListener,
    admin: TcpListener,
    tls: Option<ServerTls>,
    shared: Arc<Shared>,
    registry: Arc<Registry>,
    admin_http: HttpMetrics,
    workers: usize,
    drain_delay: Duration,
}

impl Server {
    /// Binds both listeners and makes everything that the configuration names.
    ///
    /// # Errors
    /// A port is in use, or a key cannot be loaded.
    pub fn bind(config: Config, settings: Settings) -> Result<Self, StartError> {
        let public = bind("`listen` (GATEWAY_LISTEN)", config.listen)?;
        let admin = bind("`admin` (GATEWAY_ADMIN_LISTEN)", config.admin)?;
        let tls = config.tls.as_ref().map(|tls| ServerTls::load(tls, SystemTime::now()));
        let tls = tls.transpose().map_err(|error| StartError::failed(format!("tls: {error}")))?;
        let mut registry = Registry::default();
        let admin_http = HttpMetrics::register(&mut registry);
        let shared = Arc::new(Shared::new(config, &mut registry)?);
        let upstreams = shared.upstreams.clone();
        registry.register_collector(Box::new(UpstreamCollector(move || upstreams.clone())));
        Ok(Self {
            public,
            admin,
            tls,
            shared,
            registry: Arc::new(registry),
            admin_http,
            workers: settings.workers,
            drain_delay: settings.drain_delay,
        })
    }

    /// Where clients reach it.
    ///
    /// # Errors
    /// Fails only if the socket is gone.
    pub fn addr(&self) -> Result<SocketAddr, StartError> {
        addr_of(&self.public)
    }

    /// Where operators reach it.
    ///
    /// # Errors
    /// Fails only if the socket is gone.
    pub fn admin_addr(&self) -> Result<SocketAddr, StartError> {
        addr_of(&self.admin)
    }

    /// Serves until `shutdown` resolves, then drains.
    ///
    /// # Errors
    /// The operating system refuses a listener.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + 'static) -> Result<(), StartError> {
        if let Some(trust) = &self.shared.trust {
            trust.watch();
        }
        if let Some(tls) = &self.tls {
            tls.watch();
        }
        let health = self.shared.health.clone();
        let around =
            Surroundings { health: health.clone(), registry: self.registry, http: self.admin_http, verifier: None };
        let admin = chassis::server::serve(self.admin, 1, around, |_| {})?;
        let admin_handle = admin.handle();
        let admin = actix_rt::spawn(admin);
        let monitor = HealthMonitor::start();
        self.shared.upstreams.iter().for_each(|upstream| monitor.watch(upstream));
        let public = serve_public(self.public, self.tls, self.workers, self.shared)?;
        chassis::server::run_until(public, health, self.drain_delay, shutdown).await?;
        // Last, so that operators see the drain to its end.
        admin_handle.stop(true).await;
        admin.await.map_err(StartError::failed)?.map_err(StartError::failed)
    }
}

fn serve_public(
    listener: TcpListener,
    tls: Option<ServerTls>,
    workers: usize,
    shared: Arc<Shared>,
) -> Result<actix_server::Server, StartError> {
    let server = actix_server::Server::build()
        .workers(workers)
        .disable_signals()
        .shutdown_timeout(DRAIN_DEADLINE.as_secs())
        .listen("gateway", listener, move || {
            let worker = Rc::new(Worker::new(Arc::clone(&shared)));
            let tls = tls.clone();
            let http = HttpService::build()
                .keep_alive(KEEP_ALIVE)
                .client_request_timeout(HEAD_TIMEOUT)
                .client_disconnect_timeout(DISCONNECT_TIMEOUT)
                // A client that has gone stops its request.
                .h1_allow_half_closed(false)
                .finish(fn_service(move |request: Request| {
                    let worker = Rc::clone(&worker);
                    async move { Ok::<_, Infallible>(proxy::handle(worker, http2::received(request)).await) }
                }));
            fn_service(move |stream: TcpStream| {
                let tls = tls.clone();
                async move { accept(stream, tls.as_ref()).await.map_err(DispatchError::Io) }
            })
            .and_then(http)
        })
        .map_err(StartError::failed)?;
    Ok(server.run())
}

/// Reads the YAML at `path`.
///
/// # Errors
/// Every mistake, with its line.
pub fn load(path: &Path, lookup: chassis::config::Lookup<'_>) -> Result<Config, StartError> {
    load_with(path, lookup, &Hooks::default())
}

/// Reads the YAML at `path`, which may name these hooks.
///
/// # Errors
/// Every mistake, with its line.
pub fn load_with(path: &Path, lookup: chassis::config::Lookup<'_>, hooks: &Hooks) -> Result<Config, StartError> {
    let source = std::fs::read_to_string(path).map_err(|error| {
        StartError::Config(vec![format!("cannot read the configuration {}: {error} (GATEWAY_CONFIG)", path.display())])
    })?;
    load_text_with(&path.display().to_string(), &source, lookup, hooks)
}

/// Reads YAML that is at hand; `name` is what mistakes call it.
///
/// # Errors
/// Every mistake, with its line.
pub fn load_text(name: &str, source: &str, lookup: chassis::config::Lookup<'_>) -> Result<Config, StartError> {
    load_text_with(name, source, lookup, &Hooks::default())
}

/// Reads YAML that is at hand and may name these hooks.
///
/// # Errors
/// Every mistake, with its line.
pub fn load_text_with(
    name: &str,
    source: &str,
    lookup: chassis::config::Lookup<'_>,
    hooks: &Hooks,
) -> Result<Config, StartError> {
    Config::load_with(source, lookup, hooks).map_err(|mistakes| {
        StartError::Config(mistakes.iter().map(|mistake| mistake::render(mistake, name, source)).collect())
    })
}
