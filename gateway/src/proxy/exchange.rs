//! One request from its head to the last byte of its answer: what is known of it, and what every answer to it carries.
//!
//! An exchange is counted, logged and, if it failed, remembered when it is dropped. So no end is missed: an answer sent
//! whole, one that was cut short, a client that closed before there was an answer, a panic. Until the head of the answer is
//! ready, [`handle`](super::forward::handle) owns the exchange; from then on the body does ([`CountedBody`]).

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
    ConnectionType, HttpMessage, Method, Request, Response,
    body::{BodySize, BoxBody, MessageBody},
    header::{HeaderMap, HeaderName, HeaderValue, ORIGIN},
};
use bytes::Bytes;
use chassis::{
    problem::Problem,
    trace::{REQUEST_ID, RequestContext},
};

use crate::{
    auth::caller::Caller,
    connection::{ActiveRequest, ClientStream},
    limit::fields::RateLimitFields,
    route::{LiveRoute, LiveTarget},
    runtime::{snapshot::Snapshot, worker::Worker},
    telemetry::{
        access_log::{self, AccessLog, Line, Phase, Phases},
        recent_errors::FailedRequest,
        route::{RequestSummary, RouteMetrics},
        settings::ServerTiming,
    },
};

/// The client closed its connection before it was answered. Not a status of HTTP, but nginx made it the usual name.
const CLIENT_CLOSED_REQUEST: u16 = 499;
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Where a request belongs, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Unmatched,
    Builtin,
    /// The route at this index.
    Route(usize),
}

/// A request in progress.
pub(crate) struct Exchange {
    worker: Rc<Worker>,
    pub(crate) context: RequestContext,
    method: Method,
    path: String,
    start: Instant,
    /// Whether the phases are timed, because the access log or `Server-Timing` shows them.
    timed: bool,
    logged: bool,
    phase_start: Instant,
    phases: Phases,
    place: Place,
    /// The target of the last attempt; empty where none is logged.
    target: String,
    /// The origin of the page that sent the request (the Fetch standard, section 3.1).
    origin: Option<HeaderValue>,
    pub(crate) caller: Option<Rc<Caller>>,
    pub(crate) client_ip: Option<IpAddr>,
    /// What the rate limits of the route leave, once the request was counted.
    pub(crate) rate_limit: Option<RateLimitFields>,
    /// Counted by the body of the request as it is read.
    pub(crate) bytes_in: Option<Rc<Cell<u64>>>,
    bytes_out: u64,
    status: u16,
    code: Option<&'static str>,
    /// Whether an upstream has answered.
    upstream_answered: bool,
    /// Whether the whole answer has been sent.
    complete: bool,
    /// Tells the connection that it is busy.
    _active: Option<ActiveRequest>,
}

impl Exchange {
    /// Starts the clock for a request.
    pub(super) fn begin(worker: &Rc<Worker>, request: &Request, has_body: bool) -> Self {
        let start = Instant::now();
        worker.snapshot.process.requests.begin();
        let observe = &worker.snapshot.config.observe;
        Self {
            context: RequestContext::from_headers(request.headers()),
            method: request.method().clone(),
            path: request.path().to_owned(),
            start,
            timed: observe.access_log != AccessLog::Off || observe.server_timing != ServerTiming::Off,
            logged: worker.sampler.choose(observe.access_log),
            phase_start: start,
            phases: Phases::default(),
            place: Place::Unmatched,
            target: String::new(),
            origin: request.headers().get(ORIGIN).cloned(),
            caller: None,
            client_ip: None,
            rate_limit: None,
            bytes_in: None,
            bytes_out: 0,
            status: CLIENT_CLOSED_REQUEST,
            code: None,
            upstream_answered: false,
            complete: false,
            _active: ClientStream::of(request).map(|connection| connection.begin(has_body)),
            worker: Rc::clone(worker),
        }
    }

    /// Records that the request belongs to the route at this index.
    pub(super) fn matched_route(&mut self, index: usize) {
        self.matched(Place::Route(index));
    }

    /// Records that the request is for one of the gateway's own pages.
    pub(super) fn matched_builtin(&mut self) {
        self.matched(Place::Builtin);
    }

    fn matched(&mut self, place: Place) {
        self.place = place;
        self.metrics().begin();
    }

    /// The moment by which the whole answer must have been sent, where that is limited.
    pub(super) fn deadline(&self, total: Option<Duration>) -> Option<Instant> {
        total.map(|total| self.start + total)
    }

    /// Records that a phase has ended.
    pub(super) fn phase_done(&mut self, phase: Phase) {
        if self.timed {
            let took = self.lap();
            self.phases.done(phase, took);
        }
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.phase_start, now)
    }

    /// Records that an upstream has answered, which ends the phase of sending.
    pub(super) fn upstream_answered(&mut self) {
        self.upstream_answered = true;
        self.phase_done(Phase::Send);
    }

    /// Records the target of an attempt.
    pub(super) fn sends_to(&mut self, target: &str) {
        if self.timed {
            self.target.clear();
            self.target.push_str(target);
        }
    }

    /// Records that the gateway itself refused or failed the request, and makes its answer.
    pub(super) fn refuse(&mut self, problem: Problem) -> Response<BoxBody> {
        problem.log(&self.context);
        self.code = Some(problem.code().name());
        if self.timed {
            let took = self.lap();
            self.phases.refused(took);
        }
        self.snapshot().process.metrics.refused(problem.code());
        problem.for_request(&self.context, &self.path).to_response()
    }

    /// Completes the head of the answer; from here on its body carries the exchange.
    pub(super) fn answer(mut self, mut response: Response<BoxBody>) -> Response<CountedBody> {
        self.status = response.status().as_u16();
        self.append_to(response.headers_mut());
        if self.snapshot().process.health.is_draining() {
            // Tells clients to reconnect elsewhere before their connection is closed (RFC 9112, section 9.6).
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        response.map_body(|_, body| {
            // A body without bytes is never polled.
            self.complete = matches!(body.size(), BodySize::None | BodySize::Sized(0));
            CountedBody { body, exchange: self }
        })
    }

    /// Writes the fields that every answer carries, whether it comes from an upstream, a hook, a page of the gateway or a
    /// refusal. This is their only place.
    fn append_to(&mut self, headers: &mut HeaderMap) {
        if let Some(cors) = self.route().and_then(|route| route.settings.cors.as_ref()) {
            cors.append_to(headers, self.origin.as_ref());
        }
        if let Some(rate_limit) = self.rate_limit.take() {
            rate_limit.append_to(headers);
        }
        if self.snapshot().config.observe.server_timing.shows(self.caller.as_deref())
            && let Ok(value) = HeaderValue::try_from(self.phases.server_timing())
        {
            headers.insert(SERVER_TIMING, value);
        }
        headers.insert(REQUEST_ID, self.context.request_id_header().clone());
    }

    fn snapshot(&self) -> &Snapshot {
        &self.worker.snapshot
    }

    fn route(&self) -> Option<&LiveRoute> {
        match self.place {
            Place::Route(index) => Some(&self.snapshot().routes[index]),
            Place::Builtin | Place::Unmatched => None,
        }
    }

    fn metrics(&self) -> &Arc<RouteMetrics> {
        match self.place {
            Place::Route(index) => &self.snapshot().routes[index].metrics,
            Place::Builtin => &self.snapshot().builtin,
            Place::Unmatched => &self.snapshot().unmatched,
        }
    }

    /// Whether the route answers every request itself. A 503 that is configured is no error, and many of them would push
    /// the real errors out of the list.
    fn is_fixed_answer(&self) -> bool {
        match self.place {
            Place::Route(index) => matches!(self.snapshot().routes[index].target, LiveTarget::Own(_)),
            Place::Builtin | Place::Unmatched => false,
        }
    }

    fn summary(&self) -> RequestSummary {
        RequestSummary {
            status: self.status,
            took: self.start.elapsed(),
            proxied: self.upstream_answered && self.code.is_none(),
            bytes_in: self.bytes_in.as_ref().map_or(0, |bytes| bytes.get()),
            bytes_out: self.bytes_out,
            cut: !self.complete,
        }
    }

    fn log(&self, summary: &RequestSummary) {
        let metrics = self.metrics();
        let mut phases = self.phases;
        phases.ended(summary.took);
        access_log::write(&Line {
            method: &self.method,
            path: &self.path,
            route: &metrics.route,
            upstream: &metrics.upstream,
            target: &self.target,
            status: summary.status,
            cut: summary.cut,
            bytes_in: summary.bytes_in,
            bytes_out: summary.bytes_out,
            caller: self.caller.as_ref().and_then(|caller| caller.text("sub")).unwrap_or_default(),
            client_ip: self.client_ip,
            request_id: self.context.request_id(),
            trace_id: self.context.trace_id(),
            took: summary.took,
            phases,
        });
    }

    fn remember(&self) {
        self.snapshot().process.errors.push(FailedRequest::now(
            self.status,
            self.code,
            self.context.request_id(),
            &format!("{} {}", self.method, self.path),
            &self.metrics().route,
        ));
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.place == Place::Unmatched {
            // A request is counted as begun once its place is known, and this one never had one.
            self.metrics().begin();
        }
        let summary = self.summary();
        self.metrics().end(&summary);
        self.snapshot().process.requests.end();
        let failed = self.status >= 500;
        if self.code.is_some() || (failed && !self.is_fixed_answer()) {
            self.remember();
        }
        let sampled = matches!(self.snapshot().config.observe.access_log, AccessLog::Sample { .. });
        if self.logged || (failed && sampled) {
            self.log(&summary);
        }
    }
}

/// The body of an answer: counts its bytes, and ends the exchange when it is dropped.
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
            Poll::Ready(None) => self.exchange.complete = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }
}
