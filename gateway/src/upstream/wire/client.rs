//! Sends a request to a target with awc. There is one client for each upstream and worker, because `awc::Client` cannot
//! be shared by threads. Knows no routes.

use std::{mem, pin::pin, time::Duration};

use actix_http::{
    Method, StatusCode, Uri, body,
    header::{HOST, HeaderMap, HeaderValue},
    uri::{Parts, PathAndQuery, Scheme},
};
use awc::{ClientResponse, Connector, FrozenClientRequest};
use tokio::time::{Instant, timeout_at};

use super::{
    connect::{self, UpstreamTls},
    failure::Failure,
    upload_writer::{HandedOver, hand_over},
};
use crate::{
    body::{trailers::Trailers, upload::Upload},
    upstream::settings::{TargetAddress, UpstreamSettings},
};

/// The connections of one worker to one upstream. Clones share them.
#[derive(Clone)]
pub(crate) struct Client {
    http: awc::Client,
    pub(crate) connect_timeout: Duration,
    pub(crate) tls: Option<UpstreamTls>,
}

/// A request to an upstream.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) path_and_query: PathAndQuery,
    pub(crate) headers: HeaderMap,
    /// Its `Host`; `None` is the address of the target.
    pub(crate) host: Option<HeaderValue>,
    pub(crate) body: Option<Upload>,
    /// Maximum time that a target may take for the head of its answer, from the last byte that it was sent.
    pub(crate) head_timeout: Duration,
    /// When the whole request must have been answered.
    pub(crate) deadline: Option<Instant>,
    /// Where the trailers of the answer go, if the client takes any.
    pub(crate) trailers: Option<Trailers>,
}

/// Until when a head is waited for.
struct HeadLimit {
    at: Instant,
    /// It is the deadline of the request, which comes before the end of `head_timeout`.
    is_deadline: bool,
}

impl HeadLimit {
    /// Returns the failure where the target did not answer until then. A target owes its answer within `head_timeout`:
    /// one that was given less is not to blame.
    fn failure(&self) -> Failure {
        if self.is_deadline { Failure::deadline_exceeded() } else { Failure::head_timeout() }
    }
}

impl Outgoing {
    /// Returns the `Host` of this request to a target.
    pub(super) fn host_at(&self, target: &TargetAddress) -> HeaderValue {
        self.host.as_ref().unwrap_or(&target.host).clone()
    }

    /// What the connection is given beside what awc writes.
    fn beside(&self) -> HandedOver {
        HandedOver { upload: self.body.clone(), trailers: self.trailers.clone() }
    }

    fn limit_from(&self, since: Instant) -> HeadLimit {
        let head = since + self.head_timeout;
        match self.deadline {
            Some(deadline) if deadline < head => HeadLimit { at: deadline, is_deadline: true },
            Some(_) | None => HeadLimit { at: head, is_deadline: false },
        }
    }
}

impl Client {
    /// A client that does nothing by itself: it follows no redirects, decompresses nothing, and adds no headers and no
    /// limits.
    pub(crate) fn new(settings: &UpstreamSettings, tls: Option<&UpstreamTls>) -> Self {
        let connector = Connector::new()
            .connector(connect::connector(tls.cloned()))
            .timeout(settings.connect_timeout)
            .conn_keep_alive(settings.keep_alive)
            .limit(0);
        let client =
            awc::Client::builder().connector(connector).disable_redirects().disable_timeout().no_default_headers();
        Self { http: client.finish(), connect_timeout: settings.connect_timeout, tls: tls.cloned() }
    }

    /// Sends the request and waits for the head of the answer.
    ///
    /// # Errors
    /// What went wrong, and whether the request was sent.
    pub(crate) async fn send(
        &self,
        target: &TargetAddress,
        outgoing: &mut Outgoing,
    ) -> Result<ClientResponse, Failure> {
        let answer = self.exchange(target, outgoing).await?;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::invalid("the status is 101, but no other protocol was asked for"));
        }
        Ok(answer)
    }

    /// The headers are moved to awc, not copied; only after a failure are they copied back, since they may be sent
    /// again.
    async fn exchange(&self, target: &TargetAddress, outgoing: &mut Outgoing) -> Result<ClientResponse, Failure> {
        let uri = uri(target, outgoing.path_and_query.clone())?;
        let mut request = self.http.request(outgoing.method.clone(), uri).no_decompress();
        *request.headers_mut() = mem::replace(&mut outgoing.headers, HeaderMap::new());
        request.headers_mut().insert(HOST, outgoing.host_at(target));
        let request = request.freeze().map_err(|error| Failure::from_awc(&error.into()))?;
        let answered = match &outgoing.body {
            None => without_body(&request, outgoing).await,
            Some(upload) => with_body(&request, upload, outgoing).await,
        };
        if answered.is_err() {
            outgoing.headers = request.headers().clone();
        }
        answered
    }
}

async fn without_body(request: &FrozenClientRequest, outgoing: &Outgoing) -> Result<ClientResponse, Failure> {
    let limit = outgoing.limit_from(Instant::now());
    // `send()` would add `content-length: 0`.
    let sending = request.send_body(body::None::new());
    let answered = match &outgoing.trailers {
        None => timeout_at(limit.at, sending).await,
        Some(_) => timeout_at(limit.at, hand_over(outgoing.beside(), sending)).await,
    };
    answered.map_err(|_| limit.failure())?.map_err(|error| Failure::from_awc(&error))
}

/// Sends a body too, which the connection writes while the answer is awaited. Whoever is waited for has the limit: while
/// that is the client, its own limits (`idle`, `body_rate`) and the deadline of the request; otherwise the target, from the
/// last chunk on.
async fn with_body(
    request: &FrozenClientRequest,
    upload: &Upload,
    outgoing: &Outgoing,
) -> Result<ClientResponse, Failure> {
    let mut sending = pin!(hand_over(outgoing.beside(), request.send_body(body::None::new())));
    loop {
        let since = if upload.waits_for_client() { Instant::now() } else { upload.last_progress() };
        let limit = outgoing.limit_from(since);
        if let Ok(answer) = timeout_at(limit.at, sending.as_mut()).await {
            return answer.map_err(|error| Failure::from_awc(&error));
        }
        if upload.waits_for_client() {
            if limit.is_deadline {
                upload.time_out();
                return Err(Failure::upload_timeout());
            }
        } else if limit.is_deadline || outgoing.limit_from(upload.last_progress()).at <= limit.at {
            return Err(limit.failure());
        }
    }
}

/// Returns the URI of a request. Its scheme is always `http`: TLS is spoken below awc.
pub(super) fn uri(target: &TargetAddress, path_and_query: PathAndQuery) -> Result<Uri, Failure> {
    let mut parts = Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(target.authority.clone());
    parts.path_and_query = Some(path_and_query);
    Uri::from_parts(parts).map_err(|error| Failure::invalid(&error.to_string()))
}
