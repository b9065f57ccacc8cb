//! Binds a port, serves with the timeouts that every listener has, and drains under a deadline.

use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::{Server, ServerHandle},
    http::header,
    middleware::from_fn,
    web,
};
use serde_json::Map;

use crate::{
    config::StartError,
    health::Health,
    metrics,
    middleware::{self, ServiceContext},
    problem::Problem,
};

/// How long an idle connection stays open. The gateway keeps idle connections for less than this, so that it never sends
/// a request on one that is just being closed.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long the head of a request may take to arrive.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may take to close.
pub const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long requests in flight may take to finish after the signal to stop.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(30);

/// Binds the address in the setting `name`.
///
/// # Errors
/// Says which setting to change.
pub fn bind(name: &str, addr: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(addr).map_err(|error| {
        StartError::failed(if error.kind() == io::ErrorKind::AddrInUse {
            format!("{addr} is in use by another process; stop it, or set {name} to another address")
        } else {
            format!("cannot listen on {addr}: {error}; set {name} to another address")
        })
    })
}

/// The address of a listener: with port 0 in the settings, the port that it got.
///
/// # Errors
/// Fails only if the socket is closed.
pub fn local_addr(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(StartError::failed)
}

/// Serves `endpoints` behind the middleware, with `/health/*` and `/metrics` beside them.
///
/// # Errors
/// Fails if the operating system refuses the listener.
pub fn serve<F>(
    listener: TcpListener,
    workers: usize,
    service: ServiceContext,
    endpoints: F,
) -> Result<Server, StartError>
where
    F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let service = web::Data::new(service);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(service.clone())
            .wrap(from_fn(middleware::handle))
            .configure(observability)
            .configure(endpoints.clone())
            .default_service(web::to(|| async { Err::<HttpResponse, _>(Problem::not_found()) }))
    })
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_TIMEOUT)
    .client_disconnect_timeout(DISCONNECT_TIMEOUT)
    // A client that closes its connection cancels its request: nobody would get the answer.
    .h1_allow_half_closed(false)
    .workers(workers)
    .shutdown_timeout(DRAIN_DEADLINE.as_secs())
    .disable_signals()
    .listen(listener)
    .map_err(StartError::failed)?;
    Ok(server.run())
}

fn observability(app: &mut web::ServiceConfig) {
    const ALLOW: &str = "GET, HEAD, OPTIONS";
    async fn live(service: web::Data<ServiceContext>) -> HttpResponse {
        service.health.live().into()
    }
    async fn ready(service: web::Data<ServiceContext>) -> Result<HttpResponse, Problem> {
        service.health.ready(Map::new()).await.map(HttpResponse::from)
    }
    async fn scrape(service: web::Data<ServiceContext>, request: HttpRequest) -> HttpResponse {
        let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        metrics::render(&service.registry, accept.unwrap_or_default())
    }
    let resource = |path: &str| web::resource(path).default_service(middleware::other_methods(ALLOW));
    app.service(resource("/health/live").route(web::get().to(live)).route(web::head().to(live)))
        .service(resource("/health/ready").route(web::get().to(ready)).route(web::head().to(ready)))
        .service(resource("/metrics").route(web::get().to(scrape)).route(web::head().to(scrape)));
}

/// Runs `server` until `shutdown` resolves, then drains it: first it is not ready but still accepts for `drain_delay`, so
/// that load balancers notice; then it accepts no new connections, and the requests in flight have [`DRAIN_DEADLINE`].
///
/// # Errors
/// Fails if the server ends by itself with an error.
pub async fn run_until(
    server: Server,
    health: Health,
    drain_delay: Duration,
    shutdown: impl Future<Output = ()> + 'static,
) -> Result<(), StartError> {
    let handle = server.handle();
    actix_rt::spawn(drain_after(shutdown, health, drain_delay, handle));
    server.await.map_err(StartError::failed)
}

async fn drain_after(shutdown: impl Future<Output = ()>, health: Health, drain_delay: Duration, handle: ServerHandle) {
    shutdown.await;
    health.drain();
    tokio::time::sleep(drain_delay).await;
    handle.stop(true).await;
}

/// Listens for SIGTERM and SIGINT from the moment of the call, and resolves with the first. Called before anything is
/// bound, so that a signal during the start is not lost.
pub fn shutdown_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    async {
        match signals {
            Ok((mut terminate, mut interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => log::info!("SIGTERM: draining"),
                    _ = interrupt.recv() => log::info!("SIGINT: draining"),
                }
            }
            Err(error) => {
                log::error!("cannot listen for signals, so that they end the process without draining: {error}");
                std::future::pending::<()>().await;
            }
        }
    }
}
