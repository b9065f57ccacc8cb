//! One request, in order. Each step is a call that fits on a line; what a step does stands in the module it calls.
//!
//! ```text
//! accept      request id, trace, client address
//! match       path and method  → route            400 404 405
//! identify    bearer token     → caller           400 401
//! authorize   policy × caller                     403
//! admit       rate limit, room at the upstream    429 413 503
//! send        headers, body, target, retry        502 504 408
//! answer      post-process, or stream untouched
//! ```

pub mod body;
pub mod headers;

use std::{
    net::{IpAddr, Ipv4Addr},
    rc::Rc,
    time::{Instant, SystemTime},
};

use actix_http::{
    HttpMessage, Method, Payload, Request, Response, StatusCode, Version,
    body::{BodySize, BoxBody, MessageBody},
    header::{self, ALLOW, CONTENT_LENGTH, HeaderMap, HeaderValue},
};
use awc::ClientResponse;
use chassis::{
    envelope::catch_panic,
    extract::too_large,
    identity::Assertion,
    problem::{Code, Problem},
    trace::{REQUEST_ID, RequestContext},
};
use futures_core::Stream;

use crate::{
    auth::{bearer, policy::Verdict, verifier::Caller},
    builtin,
    config::{Destination, RouteSettings},
    hooks::{Hook, issue_token},
    limit::{self, LimitKey, Limiter},
    routing::{path, table::Lookup},
    upstream::{Permit, Upstream, client::Outgoing, retry},
    worker::Worker,
};
use body::{Download, Upload};
use headers::Provenance;

/// A request as it came in, with what was found out about it.
pub struct Incoming {
    pub request: Request,
    pub context: RequestContext,
    /// In normal form, after aliases.
    pub path: String,
    pub peer: IpAddr,
    pub client_ip: IpAddr,
}

/// Answers a request, whatever happens.
pub async fn handle(worker: Rc<Worker>, mut request: Request) -> Response<BoxBody> {
    let start = Instant::now();
    let context = RequestContext::from_headers(request.headers());
    let instance = request.path().to_owned();
    let payload = request.take_payload();
    let mut label = Label::default();
    let outcome = catch_panic(forward(&worker, request, payload, &context, &mut label)).await;
    let mut response = match outcome.and_then(|answered| answered) {
        Ok(response) => response,
        Err(problem) => {
            problem.log(&context);
            problem.within(&context, &instance).to_response()
        }
    };
    response.headers_mut().insert(REQUEST_ID, context.request_id_header().clone());
    worker.shared.metrics.observe(&label.route, &label.upstream, response.status().as_u16(), start.elapsed());
    response
}

/// What the metrics call a request.
struct Label {
    route: String,
    upstream: String,
}

impl Default for Label {
    fn default() -> Self {
        Self { route: "unmatched".to_owned(), upstream: "none".to_owned() }
    }
}

async fn forward(
    worker: &Worker,
    request: Request,
    payload: Payload,
    context: &RequestContext,
    label: &mut Label,
) -> Result<Response<BoxBody>, Problem> {
    let mut incoming = accept(worker, request, context)?;
    let route = match find(worker, &incoming)? {
        Found::Route(index) => index,
        Found::Answer(response) => return Ok(response),
        Found::Builtin(page) => {
            label.route = "builtin".to_owned();
            return builtin::answer(worker, page, &incoming).await;
        }
    };
    let (route, limiter) = (&worker.shared.config.routes[route], worker.shared.limiters[route].as_ref());
    let upstream = &worker.shared.upstreams[route.upstream];
    *label = Label { route: route.name.clone(), upstream: upstream.name().to_owned() };

    let caller = identify(worker, route, &incoming)?;
    authorize(route, caller.as_deref())?;
    limiter.map_or(Ok(()), |limiter| admit(limiter, caller.as_deref(), &incoming))?;
    let upload = upload(route, incoming.request.headers(), payload)?;
    let permit = upstream.admit().ok_or_else(|| Problem::overloaded(1))?;
    let outgoing = outgoing(worker, route, upstream, caller.as_deref(), &mut incoming, upload)?;
    let answer = send(worker, route, upstream, outgoing).await?;
    respond(worker, route, upstream, &incoming, answer, permit).await
}

fn accept(worker: &Worker, request: Request, context: &RequestContext) -> Result<Incoming, Problem> {
    let config = &worker.shared.config;
    // A peer without an address is none that could be trusted.
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |addr| addr.ip());
    let normal = path::normalize(request.path()).map_err(|error| Problem::new(Code::BadRequest, error.detail()))?;
    let path = aliased(&normal, &config.aliases);
    let client_ip = headers::client_ip(peer, request.headers(), &config.trusted_proxies);
    Ok(Incoming { request, context: context.clone(), path, peer, client_ip })
}

fn aliased(path: &str, aliases: &[(String, String)]) -> String {
    for (prefix, stands_for) in aliases {
        if let Some(rest) = path.strip_prefix(prefix.as_str())
            && (rest.is_empty() || rest.starts_with('/'))
        {
            return format!("{stands_for}{rest}");
        }
    }
    path.to_owned()
}

enum Found {
    Route(usize),
    Builtin(crate::config::Builtin),
    Answer(Response<BoxBody>),
}

fn find(worker: &Worker, incoming: &Incoming) -> Result<Found, Problem> {
    let method = incoming.request.method();
    match worker.shared.config.table.find(&incoming.path, method.as_str()) {
        Lookup::Found(Destination::Route(index)) => Ok(Found::Route(index)),
        Lookup::Found(Destination::Builtin(page)) => Ok(Found::Builtin(page)),
        Lookup::OtherMethods(allow) if *method == Method::OPTIONS => {
            let mut response = Response::with_body(StatusCode::NO_CONTENT, BoxBody::new(()));
            let allow = HeaderValue::try_from(allow).map_err(Problem::internal)?;
            response.headers_mut().insert(ALLOW, allow);
            Ok(Found::Answer(response))
        }
        Lookup::OtherMethods(allow) => Err(Problem::method_not_allowed(&allow)),
        Lookup::Unknown => Err(Problem::not_found()),
    }
}

fn identify(worker: &Worker, route: &RouteSettings, incoming: &Incoming) -> Result<Option<Rc<Caller>>, Problem> {
    if route.policy.is_public() {
        return Ok(None);
    }
    let token = bearer::token(incoming.request.headers())?;
    worker.verify(token, SystemTime::now()).map(Some)
}

fn authorize(route: &RouteSettings, caller: Option<&Caller>) -> Result<(), Problem> {
    let Some(caller) = caller else { return Ok(()) };
    match route.policy.decide(&caller.claims) {
        Verdict::Allowed => Ok(()),
        Verdict::Denied { claim } => Err(bearer::insufficient(claim)),
    }
}

fn admit(limiter: &Limiter, caller: Option<&Caller>, incoming: &Incoming) -> Result<(), Problem> {
    let key = match limiter.rate().key {
        LimitKey::ClientIp => limit::address_key(incoming.client_ip),
        LimitKey::Caller => caller.and_then(|caller| caller.text("sub")).unwrap_or_default().to_owned(),
    };
    limiter.admit(&key).map_err(|refused| limited(limiter, refused))
}

/// 429 with the fields of draft-ietf-httpapi-ratelimit-headers.
fn limited(limiter: &Limiter, refused: limit::Refused) -> Problem {
    let rate = limiter.rate();
    let seconds = refused.wait.as_secs() + 1;
    let policy = format!("\"default\";q={};w={}", rate.count, rate.window.as_secs());
    let state = format!("\"default\";r=0;t={seconds}");
    let mut problem = Problem::new(Code::RateLimited, format!("too many requests; try again in {seconds} s"))
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds));
    for (name, value) in [("ratelimit-policy", policy), ("ratelimit", state)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            problem = problem.with_header(header::HeaderName::from_static(name), value);
        }
    }
    problem
}

/// The body, where there is one. One that declares too much is refused before anybody connects anywhere.
fn upload(route: &RouteSettings, headers: &HeaderMap, payload: Payload) -> Result<Option<Upload>, Problem> {
    if matches!(payload, Payload::None) {
        return Ok(None);
    }
    let length = content_length(headers);
    if length.is_some_and(|length| length > route.body_bytes_max) {
        return Err(too_large(usize::try_from(route.body_bytes_max).unwrap_or(usize::MAX)));
    }
    Ok(Some(Upload::new(payload, length, route.body_bytes_max, route.timeouts.idle)))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn outgoing(
    worker: &Worker,
    route: &RouteSettings,
    upstream: &Upstream,
    caller: Option<&Caller>,
    incoming: &mut Incoming,
    body: Option<Upload>,
) -> Result<Outgoing, Problem> {
    let config = &worker.shared.config;
    let assertion = upstream
        .signer()
        .map(|signer| signer.sign(&assertion(caller, incoming.client_ip), SystemTime::now()))
        .transpose()?;
    // Moved, not copied: nobody needs them afterwards.
    let received = std::mem::replace(incoming.request.headers_mut(), HeaderMap::new());
    let provenance = Provenance {
        context: &incoming.context,
        peer: incoming.peer,
        trusted_proxies: &config.trusted_proxies,
        identity: &worker.shared.identity,
        identity_claims: &config.identity_headers,
        caller,
        assertion,
        keep_authorization: route.forward_authorization || route.policy.is_public(),
    };
    let mut path_and_query = rewritten(route, &incoming.path);
    if let Some(query) = incoming.request.uri().query() {
        path_and_query.push('?');
        path_and_query.push_str(query);
    }
    Ok(Outgoing {
        method: incoming.request.method().clone(),
        path_and_query,
        headers: headers::outgoing(received, &provenance),
        body,
        head_timeout: route.timeouts.head,
    })
}

fn assertion(caller: Option<&Caller>, client_ip: IpAddr) -> Assertion {
    let claim = |name| caller.and_then(|caller| caller.text(name)).map(str::to_owned);
    Assertion { sub: claim("sub"), user_type: claim("user_type"), sid: claim("sid"), client_ip: Some(client_ip) }
}

fn rewritten(route: &RouteSettings, path: &str) -> String {
    let Some(rewrite) = &route.rewrite else { return path.to_owned() };
    let captures: Vec<(&str, &str)> = route.pattern.names().zip(route.pattern.captures(path)).collect();
    rewrite.fill(|name| {
        captures.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()).unwrap_or_default()
    })
}

async fn send(
    worker: &Worker,
    route: &RouteSettings,
    upstream: &Upstream,
    outgoing: Outgoing,
) -> Result<ClientResponse, Problem> {
    let client = &worker.clients[route.upstream];
    for attempt in 1.. {
        let failure = match client.send(upstream.pick(), outgoing.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        if let Some(fault) = outgoing.body.as_ref().and_then(Upload::fault) {
            return Err(fault.to_problem());
        }
        let untouched = outgoing.body.as_ref().is_none_or(Upload::is_untouched);
        if attempt >= retry::ATTEMPTS_MAX || !retry::may_retry(failure.kind, &outgoing.method, untouched) {
            return Err(failure.to_problem(upstream.name()));
        }
    }
    Err(Problem::internal("the attempts never end"))
}

async fn respond(
    worker: &Worker,
    route: &RouteSettings,
    upstream: &Upstream,
    incoming: &Incoming,
    answer: ClientResponse,
    permit: Permit,
) -> Result<Response<BoxBody>, Problem> {
    if route.then == Some(Hook::IssueToken) && answer.status().is_success() {
        return issue_token(worker, upstream, answer).await;
    }
    Ok(stream(route, incoming, answer, permit))
}

async fn issue_token(
    worker: &Worker,
    upstream: &Upstream,
    mut answer: ClientResponse,
) -> Result<Response<BoxBody>, Problem> {
    let user = answer.body().limit(issue_token::USER_BYTES_MAX).await.map_err(|error| {
        Problem::new(Code::UpstreamInvalid, format!("`{}` did not end its answer", upstream.name()))
            .because(error.to_string())
    })?;
    worker.issue(|issuer, key| issue_token::answer(&user, issuer, key, SystemTime::now()))
}

fn stream(route: &RouteSettings, incoming: &Incoming, answer: ClientResponse, permit: Permit) -> Response<BoxBody> {
    let status = answer.status();
    let length = content_length(answer.headers());
    let mut fields = HeaderMap::new();
    let mut payload = Payload::None;
    // The only way to the headers of awc's answer that does not copy them.
    drop(answer.map_body(|head, body| {
        fields = std::mem::replace(head.headers_mut(), HeaderMap::new());
        payload = body;
        Payload::<BoxedStream>::None
    }));
    headers::returning(&mut fields);
    let bodyless = incoming.request.method() == Method::HEAD || status == StatusCode::NOT_MODIFIED;
    let body = if bodyless {
        BoxBody::new(Headless(length))
    } else {
        BoxBody::new(Download::new(payload, length, route.timeouts.idle, permit))
    };
    let mut response = Response::with_body(status, body);
    *response.headers_mut() = fields;
    if incoming.request.version() < Version::HTTP_11 && length.is_none() {
        // HTTP/1.0 knows no chunks: the end of the connection is the end of the body (RFC 9112, section 6.3).
        response.head_mut().no_chunking(true);
        response.head_mut().set_connection_type(actix_http::ConnectionType::Close);
    }
    response
}

type BoxedStream = std::pin::Pin<Box<dyn Stream<Item = Result<bytes::Bytes, actix_http::error::PayloadError>>>>;

/// No body, though a length: the answer to HEAD says how long the one to GET would be (RFC 9110, section 9.3.2).
struct Headless(Option<u64>);

impl MessageBody for Headless {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        self.0.map_or(BodySize::None, BodySize::Sized)
    }

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<bytes::Bytes, Self::Error>>> {
        std::task::Poll::Ready(None)
    }
}
