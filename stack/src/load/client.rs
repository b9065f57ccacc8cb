//! Sends one request to the gateway. Knows no customers, and no meaning of an answer.

use std::time::Duration;

use awc::{
    Connector,
    error::{ConnectError, SendRequestError},
    http::{Method, header},
};
use serde_json::Value;

use super::settings::Settings;

/// How long to wait for an answer: longer than the last of a full queue of sign-ins waits.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum size of an answer: 1 MiB. A page of orders has a hundredth of it.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Longest `Retry-After` that is waited for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Sends requests, over connections that are kept open.
pub(super) struct Client {
    http: awc::Client,
    url: String,
}

/// A request.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    /// With it the request can be sent again, and takes effect once.
    pub(super) idempotency_key: Option<String>,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    /// `Null` where it is not JSON.
    pub(super) body: Value,
    /// When to come again: of a 429 or 503.
    pub(super) retry_after: Option<Duration>,
}

impl Client {
    pub(super) fn new(settings: &Settings) -> Self {
        let connector = Connector::new().timeout(TIMEOUT).limit(0).rustls_0_23(settings.tls.clone());
        let http = awc::Client::builder().connector(connector).disable_redirects().timeout(TIMEOUT).finish();
        Self { http, url: settings.url.clone() }
    }

    /// Sends a request and reads its answer whole.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn send(&self, request: &Request, token: Option<&str>) -> Result<Answer, String> {
        let mut sent = self.http.request(request.method.clone(), format!("{}{}", self.url, request.path));
        if let Some(token) = token {
            sent = sent.bearer_auth(token);
        }
        if let Some(key) = &request.idempotency_key {
            sent = sent.insert_header(("idempotency-key", key.as_str()));
        }
        let answered = match &request.body {
            Some(body) => sent.send_json(body).await,
            None => sent.send().await,
        };
        let mut answer = answered.map_err(|error| reason(&error))?;
        let body =
            answer.body().limit(BODY_BYTES_MAX).await.map_err(|error| format!("the answer breaks off: {error}"))?;
        let status = answer.status().as_u16();
        let seconds = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let retry_after = seconds.filter(|_| matches!(status, 429 | 503)).map(Duration::from_secs);
        Ok(Answer {
            status,
            body: serde_json::from_slice(&body).unwrap_or_default(),
            retry_after: retry_after.map(|wait| wait.min(RETRY_AFTER_MAX)),
        })
    }
}

/// What went wrong, without a path or a port, so that equal failures have equal reasons.
fn reason(error: &SendRequestError) -> String {
    if let SendRequestError::Connect(ConnectError::Io(error)) = error {
        format!("cannot connect: {error}")
    } else if matches!(error, SendRequestError::Timeout) {
        format!("no answer within {} s", TIMEOUT.as_secs())
    } else {
        format!("no answer: {error}")
    }
}
