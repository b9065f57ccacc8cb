//! One request from its head to the last byte of its answer: what is known of it so far. It is counted and logged at
//! the end, whatever the end is: whole, cut short, or given up by the client before there was an answer.

use std::{
    cell::Cell,
    error::Error,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix_http::{
    HttpMessage, Method, Request, Response,
    body::{BodySize, BoxBody, MessageBody},
    header::{HeaderName, HeaderValue, ORIGIN},
};
use bytes::Bytes;
use chassis::{problem::Problem, trace::RequestContext};

use crate::{
    auth::caller::Caller,
    connection::{ActiveRequest, ClientStream},
    rules::cors::Cors,
    runtime::worker::Worker,
    telemetry::{
        access_log::{self, AccessLog, Line, Phases},
        recent_errors::Failed,
        route::{Answered, RouteMetrics},
        settings::ServerTiming,
    },
};

/// The client went before it was answered. Not a status of HTTP, but what nginx made the usual name for it.
const CLIENT_GONE: u16 = 499;
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// A request that is under way.
pub(crate) struct Exchange {
    worker: Rc<Worker>,
    pub(crate) context: RequestContext,
    method: Method,
    pub(crate) path: String,
    start: Instant,
    /// Whether the phases are taken down: somebody wants to see them.
    timed: bool,
    logged: bool,
    last_mark: Instant,
    phases: Phases,
    metrics: Option<Arc<RouteMetrics>>,
    route: Option<usize>,
    upstream: Option<usize>,
    target: String,
    /// The page of another origin that asks.
    pub(crate) origin: Option<HeaderValue>,
    pub(crate) caller: Option<Rc<Caller>>,
    pub(crate) client_ip: Option<IpAddr>,
    /// Counted by the body of the request as it is read.
    pub(crate) bytes_in: Option<Rc<Cell<u64>>>,
    bytes_out: u64,
    status: u16,
    code: Option<&'static str>,
    whole: bool,
    /// Its connection is busy with it.
    _under_way: Option<ActiveRequest>,
}

impl Exchange {
    pub(crate) fn begin(worker: &Rc<Worker>, request: &Request, has_body: bool) -> Self {
        let start = Instant::now();
        let observe = &worker.snapshot.config.observe;
        Self {
            context: RequestContext::from_headers(request.headers()),
            method: request.method().clone(),
            path: request.path().to_owned(),
            start,
            timed: observe.access_log != AccessLog::Off || observe.server_timing != ServerTiming::Off,
            logged: worker.sampler.choose(observe.access_log),
            last_mark: start,
            phases: Phases::default(),
            metrics: None,
            route: None,
            upstream: None,
            target: String::new(),
            origin: request.headers().get(ORIGIN).cloned(),
            caller: None,
            client_ip: None,
            bytes_in: None,
            bytes_out: 0,
            status: CLIENT_GONE,
            code: None,
            whole: false,
            _under_way: request.conn_data::<ClientStream>().map(|connection| connection.begin(has_body)),
            worker: Rc::clone(worker),
        }
    }

    /// It belongs to the route at this index.
    pub(crate) fn routed(&mut self, route: usize, upstream: usize) {
        self.route = Some(route);
        self.upstream = Some(upstream);
        self.count_as(Arc::clone(&self.worker.snapshot.handles.routes[route]));
    }

    /// Which pages of other origins may read the answer, where its route says something about that.
    pub(crate) fn cors(&self) -> Option<&Cors> {
        self.route.and_then(|route| self.worker.snapshot.config.routes[route].cors.as_ref())
    }

    /// It is for one of our own pages.
    pub(crate) fn builtin(&mut self) {
        self.count_as(Arc::clone(&self.worker.snapshot.handles.builtin));
    }

    fn count_as(&mut self, metrics: Arc<RouteMetrics>) {
        metrics.begin();
        self.metrics = Some(metrics);
    }

    /// When the whole of it has to be done, where that is limited.
    pub(crate) fn deadline(&self, total: Option<Duration>) -> Option<Instant> {
        total.map(|total| self.start + total)
    }

    /// A phase has ended.
    pub(crate) fn mark(&mut self) {
        if self.timed {
            let took = self.lap();
            self.phases.next(took);
        }
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.last_mark, now)
    }

    /// An attempt goes to this target.
    pub(crate) fn sends_to(&mut self, target: &str) {
        if self.timed {
            self.target.clear();
            self.target.push_str(target);
        }
    }

    /// The gateway itself refused or failed it.
    pub(crate) fn refused(&mut self, problem: &Problem) {
        self.code = Some(problem.code().name());
        if self.timed {
            let took = self.lap();
            self.phases.skip_to_body(took);
        }
        self.worker.snapshot.process.metrics.refused(problem.code());
    }

    /// The head is ready: from here on the body tells how it goes on.
    pub(crate) fn answered(mut self, mut response: Response<BoxBody>) -> Response<CountedBody> {
        self.status = response.status().as_u16();
        if self.worker.snapshot.config.observe.server_timing.shows(self.caller.as_deref())
            && let Ok(value) = HeaderValue::try_from(self.phases.server_timing())
        {
            response.headers_mut().insert(SERVER_TIMING, value);
        }
        response.map_body(|_, body| {
            let left = match body.size() {
                BodySize::None => Some(0),
                BodySize::Sized(bytes) => Some(bytes),
                BodySize::Stream => None,
            };
            // Bodies of no bytes are never asked for any.
            self.whole = left == Some(0);
            CountedBody { body, exchange: self }
        })
    }

    fn finished(&self) -> Answered {
        Answered {
            status: self.status,
            took: self.start.elapsed(),
            bytes_in: self.bytes_in.as_ref().map_or(0, |bytes| bytes.get()),
            bytes_out: self.bytes_out,
            cut: !self.whole,
        }
    }

    fn log(&self, answered: &Answered, metrics: &RouteMetrics) {
        let mut phases = self.phases;
        phases.end(answered.took);
        access_log::write(&Line {
            method: &self.method,
            path: &self.path,
            route: &metrics.route,
            upstream: &metrics.upstream,
            target: &self.target,
            status: answered.status,
            cut: answered.cut,
            bytes_in: answered.bytes_in,
            bytes_out: answered.bytes_out,
            caller: self.caller.as_ref().and_then(|caller| caller.text("sub")).unwrap_or_default(),
            client_ip: self.client_ip,
            request_id: self.context.request_id(),
            trace_id: self.context.trace_id(),
            took: answered.took,
            phases,
        });
    }

    fn remember(&self, metrics: &RouteMetrics) {
        self.worker.snapshot.process.errors.push(Failed::now(
            self.status,
            self.code,
            self.context.request_id(),
            &format!("{} {}", self.method, self.path),
            &metrics.route,
        ));
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let metrics = self.metrics.take().unwrap_or_else(|| {
            let unmatched = Arc::clone(&self.worker.snapshot.handles.unmatched);
            unmatched.begin();
            unmatched
        });
        let answered = self.finished();
        metrics.end(&answered);
        let failed = self.status >= 500;
        if failed || self.code.is_some() {
            self.remember(&metrics);
        }
        let sampled = matches!(self.worker.snapshot.config.observe.access_log, AccessLog::Sample { .. });
        if self.logged || (failed && sampled) {
            self.log(&answered, &metrics);
        }
    }
}

/// The body of an answer, which ends the exchange when it is dropped.
pub(crate) struct CountedBody {
    body: BoxBody,
    exchange: Exchange,
}

impl MessageBody for CountedBody {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_next(cx);
        match &polled {
            Poll::Ready(Some(Ok(chunk))) => self.exchange.bytes_out += chunk.len() as u64,
            Poll::Ready(None) => self.exchange.whole = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }
}
