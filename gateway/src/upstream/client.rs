//! Sends one request to one target with awc. One client for each upstream and worker: `awc::Client` is not shared.

use std::time::Duration;

use actix_http::{
    Method, StatusCode, Uri, body,
    header::{HOST, HeaderMap},
};
use awc::{ClientResponse, Connector, error::SendRequestError};
use tokio::time::{Instant, timeout_at};

use super::{
    connect::{self, UpstreamTls},
    failure::Failure,
};
use crate::{
    config::{TargetAddress, UpstreamSettings},
    proxy::body::Upload,
};

/// Less than the 75 s of our own services, so that we close idle connections before they do.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// The way to one upstream.
#[derive(Clone)]
pub struct Client {
    http: awc::Client,
    pub(super) connect_timeout: Duration,
    pub(super) tls: Option<UpstreamTls>,
}

/// A request as it goes out.
#[derive(Clone)]
pub struct Outgoing {
    pub method: Method,
    pub path_and_query: String,
    pub headers: HeaderMap,
    pub body: Option<Upload>,
    pub head_timeout: Duration,
}

impl Client {
    /// A client that does nothing by itself: no redirects, no decompression, no headers, no limit but our own.
    pub fn new(settings: &UpstreamSettings, tls: Option<&UpstreamTls>) -> Self {
        let connector = Connector::new()
            .connector(connect::connector(tls.cloned()))
            .timeout(settings.connect_timeout)
            .conn_keep_alive(KEEP_ALIVE)
            .limit(0);
        let client =
            awc::Client::builder().connector(connector).disable_redirects().disable_timeout().no_default_headers();
        Self { http: client.finish(), connect_timeout: settings.connect_timeout, tls: tls.cloned() }
    }

    /// Sends the request and waits for the head of the answer.
    ///
    /// # Errors
    /// What went wrong, and whether it was sent.
    pub async fn send(&self, target: &TargetAddress, outgoing: Outgoing) -> Result<ClientResponse, Failure> {
        let answer = self.exchange(target, outgoing).await?;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::invalid("101, though nothing was to be switched"));
        }
        Ok(answer)
    }

    async fn exchange(&self, target: &TargetAddress, outgoing: Outgoing) -> Result<ClientResponse, Failure> {
        let uri = uri(target, outgoing.path_and_query)?;
        let mut request = self.http.request(outgoing.method, uri).no_decompress();
        *request.headers_mut() = outgoing.headers;
        if let Some(host) = target.https_host() {
            request.headers_mut().insert(HOST, host);
        }
        match outgoing.body {
            None => {
                // `send()` would add a `content-length: 0`.
                let sending = request.send_body(body::None::new());
                let deadline = Instant::now() + outgoing.head_timeout;
                timeout_at(deadline, sending).await.map_err(|_| Failure::head_timeout())?.map_err(|e| Failure::of(&e))
            }
            Some(upload) => {
                let mut sending = request.send_body(upload.clone());
                loop {
                    // An upload may take long; the answer is waited for from its last chunk on.
                    let deadline = upload.last_progress() + outgoing.head_timeout;
                    match timeout_at(deadline, &mut sending).await {
                        Ok(answer) => return answer.map_err(|error| Failure::of(&error)),
                        Err(_) if upload.last_progress() + outgoing.head_timeout > deadline => {}
                        Err(_) => return Err(Failure::head_timeout()),
                    }
                }
            }
        }
    }
}

pub(super) fn uri(target: &TargetAddress, path_and_query: String) -> Result<Uri, Failure> {
    let uri = Uri::builder().scheme("http").authority(target.authority.as_str()).path_and_query(path_and_query);
    uri.build().map_err(|error| Failure::of(&SendRequestError::Http(error)))
}
