//! Liveness and readiness. Each part of a service registers a probe; draining makes it not ready first.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_http::{Response, StatusCode, body::BoxBody, header};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::Notify;

use crate::problem::{Code, Problem};

/// How long a probe may take; a slower one counts as failed.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// What to show of a part that works (`None`: nothing), or why it does not.
type ProbeFuture = Pin<Box<dyn Future<Output = Result<Option<Value>, String>>>>;
type Probe = dyn Fn() -> ProbeFuture + Send + Sync;

/// The health of one service.
#[derive(Clone, Default)]
pub struct Health(Arc<Inner>);

#[derive(Default)]
struct Inner {
    draining: AtomicBool,
    /// Wakes those who wait for the drain.
    drain_began: Notify,
    probes: Vec<(&'static str, Box<Probe>)>,
}

/// Collects the probes of a service before it serves.
#[derive(Default)]
pub struct HealthBuilder(Inner);

impl HealthBuilder {
    /// Adds a probe: the service is not ready while it fails.
    #[must_use]
    pub fn probe<F, Fut>(mut self, name: &'static str, probe: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + 'static,
    {
        let probe = move || -> ProbeFuture {
            let checked = probe();
            Box::pin(async move { checked.await.map(|()| Some(Value::from("ok"))) })
        };
        self.0.probes.push((name, Box::new(probe)));
        self
    }

    /// Adds a part that shows more than that it works: the service is not ready while `report` fails, and otherwise shows
    /// what it returns, or nothing.
    #[must_use]
    pub fn report<F>(mut self, name: &'static str, report: F) -> Self
    where
        F: Fn() -> Result<Option<Value>, String> + Send + Sync + 'static,
    {
        self.0.probes.push((name, Box::new(move || Box::pin(std::future::ready(report())))));
        self
    }

    /// The health with all its probes.
    pub fn build(self) -> Health {
        Health(Arc::new(self.0))
    }
}

/// The body of both health endpoints.
#[derive(Serialize)]
struct Report {
    status: &'static str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    checks: Map<String, Value>,
}

impl Health {
    /// Makes the service not ready from now on, so that load balancers stop sending.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
        self.0.drain_began.notify_waiters();
    }

    /// Resolves when the service is shutting down.
    pub async fn draining(&self) {
        let mut began = pin!(self.0.drain_began.notified());
        // First in the list of those who are woken, then the look: in the other order a drain in between is missed.
        began.as_mut().enable();
        if !self.is_draining() {
            began.await;
        }
    }

    /// Whether the service is shutting down.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// Answers `/health/live`: the process serves HTTP.
    pub fn live(&self) -> Response<BoxBody> {
        respond(&Report { status: "live", checks: Map::new() })
    }

    /// Answers `/health/ready`: every part works. `details` are shown with the checks and decide nothing.
    ///
    /// # Errors
    /// 503 `not_ready`, naming the parts that do not work.
    pub async fn ready(&self, details: Map<String, Value>) -> Result<Response<BoxBody>, Problem> {
        if self.0.draining.load(Ordering::Acquire) {
            return Err(Problem::new(Code::NotReady, "the service is shutting down"));
        }
        let mut checks = details;
        let mut failed = Vec::new();
        for (name, probe) in &self.0.probes {
            let outcome = tokio::time::timeout(PROBE_TIMEOUT, probe()).await;
            match outcome.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
                Ok(shown) => checks.extend(shown.map(|shown| ((*name).to_owned(), shown))),
                Err(why) => failed.push(format!("{name}: {why}")),
            }
        }
        if failed.is_empty() {
            Ok(respond(&Report { status: "ready", checks }))
        } else {
            Err(Problem::new(Code::NotReady, failed.join("; ")))
        }
    }
}

fn respond(report: &Report) -> Response<BoxBody> {
    let json = serde_json::to_vec(report).unwrap_or_default();
    let mut response = Response::with_body(StatusCode::OK, BoxBody::new(json));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
