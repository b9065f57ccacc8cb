//! Serves the gateway: the public listener, which hands requests to [`proxy`] without another router in front,
//! and the admin listener beside it.

use std::{
    convert::Infallible,
    future::Future,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use actix_codec::Framed;
use actix_http::{HttpService, Request, h1};
use actix_rt::{net::TcpStream, task::JoinHandle};
use actix_server::ServerHandle;
use actix_service::{ServiceFactory, fn_factory, fn_service};
use chassis::{
    config::StartError,
    metrics::HttpMetrics,
    middleware::ServiceContext,
    problem::Code,
    server::{DISCONNECT_TIMEOUT, DRAIN_DEADLINE, bind, local_addr},
};
use listenfd::ListenFd;
use prometheus_client::registry::Registry;

use crate::{
    admin,
    config::Config,
    connection::{ClientStream, Connections, Http2},
    drain::Drain,
    proxy::{self, serve},
    reload::{
        source::{Fingerprint, Source},
        watcher::ConfigWatcher,
    },
    runtime::{current::CurrentSnapshot, process::Process, snapshot::Snapshot, thread_local::ThreadLocalWorker},
    settings::Settings,
    tls::server::ServerTls,
    upstream::metrics::UpstreamCollector,
};

/// The sockets of a gateway.
struct Listeners {
    public: TcpListener,
    admin: TcpListener,
    /// Whether another process holds the public socket too: a gateway that takes over, or systemd, which will start one.
    shared: bool,
}

impl Listeners {
    fn bind(config: &Config) -> Result<Self, StartError> {
        let public = bind("`listen` (GATEWAY_LISTEN)", config.listen)?;
        Ok(Self { public, admin: bind_admin(config)?, shared: false })
    }

    /// Takes the sockets that were opened before this process (`LISTEN_FDS`, as systemd passes them: the public one first,
    /// then the admin one), and opens those that were not.
    fn inherit_or_bind(config: &Config) -> Result<Self, StartError> {
        let mut inherited = ListenFd::from_env();
        let mut take = |index| {
            let taken = if index < inherited.len() { inherited.take_tcp_listener(index) } else { Ok(None) };
            taken.map_err(|error| StartError::failed(format!("socket {index} of LISTEN_FDS cannot be used: {error}")))
        };
        let Some(public) = take(0)? else { return Self::bind(config) };
        let admin = take(1)?.map_or_else(|| bind_admin(config), Ok)?;
        Ok(Self { public, admin, shared: true })
    }
}

fn bind_admin(config: &Config) -> Result<TcpListener, StartError> {
    bind("`admin` (GATEWAY_ADMIN_LISTEN)", config.admin)
}

/// A gateway that has bound its ports and does not serve yet.
///
/// ```no_run
/// # async fn run(config: gateway::config::Config, settings: gateway::Settings) -> Result<(), chassis::config::StartError> {
/// let server = gateway::Server::bind(config, settings)?;
/// println!("listening on {}", server.addr()?);
/// server.run_until(chassis::server::shutdown_signal()).await
/// # }
/// ```
pub struct Server {
    listeners: Listeners,
    tls: Option<ServerTls>,
    current: Arc<CurrentSnapshot>,
    watcher: Option<ConfigWatcher>,
    registry: Arc<Registry>,
    admin_http: HttpMetrics,
    workers: usize,
    drain_delay: Duration,
}

impl Server {
    /// Binds both listeners and creates everything that the configuration names.
    ///
    /// ```
    /// # fn main() -> Result<(), chassis::config::StartError> {
    /// let yaml = "
    /// version: 1
    /// listen: 127.0.0.1:0
    /// admin: 127.0.0.1:0
    /// upstreams: {shop: {targets: ['http://127.0.0.1:8080']}}
    /// routes: [{route: GET /products, to: shop, auth: public}]
    /// ";
    /// let config = gateway::Gateway::builder().load_text("example.yaml", yaml, &|_| None)?;
    /// let server = gateway::Server::bind(config, gateway::Settings::default())?;
    /// assert_ne!(server.addr()?.port(), 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A port is in use, or a key or a TLS file cannot be loaded.
    pub fn bind(config: Config, settings: Settings) -> Result<Self, StartError> {
        Self::on(Listeners::bind(&config)?, config, settings)
    }

    /// As [`bind`](Self::bind), but takes the sockets that systemd or a previous gateway passed in `LISTEN_FDS`, so that a
    /// restart refuses no connection.
    ///
    /// ```no_run
    /// # fn start(config: gateway::config::Config) -> Result<gateway::Server, chassis::config::StartError> {
    /// gateway::Server::inherit_or_bind(config, gateway::Settings::default())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`bind`](Self::bind), or an inherited socket cannot be used.
    pub fn inherit_or_bind(config: Config, settings: Settings) -> Result<Self, StartError> {
        Self::on(Listeners::inherit_or_bind(&config)?, config, settings)
    }

    fn on(listeners: Listeners, config: Config, settings: Settings) -> Result<Self, StartError> {
        let mut registry = chassis::metrics::registry();
        let admin_http = HttpMetrics::register(&mut registry);
        let process = Arc::new(Process::new(&mut registry));
        let failures = &process.handshake_failures;
        let tls = config.tls.as_ref().map(|tls| ServerTls::load(tls, failures.clone(), SystemTime::now()));
        let tls = tls.transpose().map_err(|error| StartError::failed(format!("tls: {error}")))?;
        if let Some(tls) = &tls {
            registry.register_collector(Box::new(tls.clone()));
        }
        let snapshot = Arc::new(Snapshot::new(config, process, None)?);
        let current = Arc::new(CurrentSnapshot::new(snapshot));
        let collected = Arc::clone(&current);
        registry.register_collector(Box::new(UpstreamCollector(move || collected.get().upstreams.clone())));
        Ok(Self {
            listeners,
            tls,
            current,
            watcher: None,
            registry: Arc::new(registry),
            admin_http,
            workers: settings.workers,
            drain_delay: settings.drain_delay,
        })
    }

    /// Reloads the configuration from `source` when its files change, and at SIGHUP. `loaded` is the fingerprint of the
    /// configuration that this server was bound with. [`Source::load`] has an example.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn watching(mut self, source: Source, loaded: Fingerprint) -> Self {
        self.watcher = Some(ConfigWatcher::new(source, Arc::clone(&self.current), loaded));
        self
    }

    /// Returns the address of the public listener, which matters where the configuration asks for port 0.
    ///
    /// # Errors
    /// Fails only if the socket is gone.
    pub fn addr(&self) -> Result<SocketAddr, StartError> {
        local_addr(&self.listeners.public)
    }

    /// Returns the address of the admin listener.
    ///
    /// # Errors
    /// Fails only if the socket is gone.
    pub fn admin_addr(&self) -> Result<SocketAddr, StartError> {
        local_addr(&self.listeners.admin)
    }

    /// Serves until `shutdown` resolves, then drains: requests in flight finish, new connections are refused. Must run in
    /// an actix system.
    ///
    /// # Errors
    /// The operating system refuses a listener.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + 'static) -> Result<(), StartError> {
        let (addr, admin_addr) = (self.addr()?, self.admin_addr()?);
        let health = self.current.get().process.health.clone();
        let context = ServiceContext {
            health,
            registry: self.registry,
            http_metrics: self.admin_http,
            verifier: None,
            check_host: Some(admin::host_check(&self.current)),
        };
        let current = Arc::clone(&self.current);
        let admin =
            chassis::server::serve(self.listeners.admin, 1, context, move |app| admin::endpoints(app, &current))?;
        let admin_handle = admin.handle();
        let admin = actix_rt::spawn(admin);
        self.current.watch();
        // Before the first request: a gateway that takes over must not accept what the previous one refused.
        let sessions = self.current.get().process.sessions.clone();
        let mut shutdown = Box::pin(shutdown);
        tokio::select! {
            () = sessions.first_read() => {}
            () = &mut shutdown => return stop_admin(admin_handle, admin).await,
        }
        self.tls.iter().for_each(ServerTls::watch);
        let history = actix_rt::spawn(Arc::clone(&self.current).record_history());
        let watcher = self.watcher.map(|watcher| actix_rt::spawn(watcher.run()));
        let drain =
            Drain { current: Arc::clone(&self.current), delay: self.drain_delay, shared: self.listeners.shared };
        let public = serve_public(self.listeners.public, self.tls, self.workers, self.current)?;
        log::info!(listen = addr.to_string(), admin = admin_addr.to_string(); "gateway ready");
        let handle = public.handle();
        tokio::select! {
            ended = public => ended.map_err(StartError::failed)?,
            () = drain.after(shutdown, handle) => {}
        }
        if let Some(watcher) = watcher {
            watcher.abort();
        }
        history.abort();
        // Last, so that operators see the drain to its end.
        stop_admin(admin_handle, admin).await
    }
}

async fn stop_admin(handle: ServerHandle, admin: JoinHandle<std::io::Result<()>>) -> Result<(), StartError> {
    handle.stop(true).await;
    admin.await.map_err(StartError::failed)?.map_err(StartError::failed)
}

/// Starts the public listener: in each worker thread, [`Connections`] with the HTTP/1.1 of actix-http and [`Http2`].
fn serve_public(
    listener: TcpListener,
    tls: Option<ServerTls>,
    workers: usize,
    current: Arc<CurrentSnapshot>,
) -> Result<actix_server::Server, StartError> {
    let limits = current.get().config.limits.clone();
    let health = current.get().process.health.clone();
    let server = actix_server::Server::build()
        .workers(workers)
        .max_concurrent_connections(limits.connections.div_ceil(workers))
        .disable_signals()
        .shutdown_timeout(DRAIN_DEADLINE.as_secs())
        .listen("gateway", listener, move || {
            let worker = Rc::new(ThreadLocalWorker::new(&current));
            worker.refresh();
            let (expecting, upgrading, serving) = (Rc::clone(&worker), Rc::clone(&worker), Rc::clone(&worker));
            let (tls, limits, health) = (tls.clone(), limits.clone(), health.clone());
            let http1 = HttpService::build()
                .keep_alive(limits.keep_alive)
                .client_request_timeout(limits.head_timeout)
                .client_disconnect_timeout(DISCONNECT_TIMEOUT)
                // A client that closes its connection cancels its request.
                .h1_allow_half_closed(false)
                .on_connect_ext(|connection: &ClientStream, data| {
                    data.insert(connection.clone());
                })
                .expect(fn_service(move |request: Request| serve::expect::until_body_is_read(expecting.get(), request)))
                .upgrade(fn_service(move |(request, framed): (Request, Framed<_, h1::Codec>)| {
                    let worker = upgrading.get();
                    async move {
                        serve::upgrade::serve(worker, request, framed).await;
                        Ok::<_, Infallible>(())
                    }
                }))
                .h1(fn_service(move |request: Request| {
                    let worker = serving.get();
                    async move { Ok::<_, Infallible>(serve::expect::handle(worker, request).await) }
                }));
            fn_factory(move || {
                let http1 = http1.new_service(());
                let (tls, limits, health) = (tls.clone(), limits.clone(), health.clone());
                let (handling, refusing) = (Rc::clone(&worker), Rc::clone(&worker));
                let http2 = Http2::new(move |request| proxy::handle(handling.get(), request), health, limits.clone());
                let on_refusal = Rc::new(move |code: Code| refusing.get().snapshot.process.metrics.refused(code));
                async move {
                    let connections = Rc::new(Connections::new(http1.await?, http2, on_refusal, tls, limits));
                    Ok::<_, ()>(fn_service(move |stream: TcpStream| {
                        let connections = Rc::clone(&connections);
                        async move { connections.serve(stream).await }
                    }))
                }
            })
        })
        .map_err(StartError::failed)?;
    Ok(server.run())
}
