//! Converts an HTTP/2 request to the one that HTTP/1.1 would have brought, so that no later step knows the difference
//! (RFC 9113, sections 8.3.1 and 8.2.3).

use std::{
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use actix_http::{
    BoxedPayloadStream, Payload, Request, Version,
    error::PayloadError,
    header::{COOKIE, HOST, HeaderMap, HeaderValue},
};
use bytes::Bytes;
use futures_core::Stream;

/// How long an early answer may take to its client over a slow line. The stream holds 64 KiB meanwhile.
const LINGER: Duration = Duration::from_secs(2);

/// Converts an HTTP/2 request; returns others unchanged.
pub(crate) fn received(mut request: Request) -> Request {
    if request.version() != Version::HTTP_2 {
        return request;
    }
    // The authority is the host; a `Host` field beside it is ignored.
    let authority = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(host) = authority {
        request.headers_mut().insert(HOST, host);
    }
    join_cookies(request.headers_mut());
    let payload = begun(request.take_payload());
    *request.payload() = payload;
    request
}

/// HTTP/2 may split the `cookie` field to compress it better; HTTP/1.1 has one field (section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(COOKIE).map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

/// Returns no body where the stream ended with its head. Only reading tells: HTTP/2 needs neither a length nor a coding.
fn begun(mut payload: Payload) -> Payload {
    // The no-op waker loses nothing: whoever reads next polls again and registers its own.
    let first = match Pin::new(&mut payload).poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(None) => return Payload::None,
        Poll::Ready(Some(first)) => Some(first),
        Poll::Pending => None,
    };
    Payload::Stream { payload: Box::pin(Body { first, rest: Some(payload) }) }
}

/// A body, of which the first chunk may have been read already.
struct Body {
    first: Option<Result<Bytes, PayloadError>>,
    /// `None` once it has ended.
    rest: Option<Payload<BoxedPayloadStream>>,
}

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let polled = ready!(Pin::new(rest).poll_next(cx));
        if !matches!(polled, Some(Ok(_))) {
            self.rest = None;
        }
        Poll::Ready(polled)
    }
}

/// Dropping a body that has not ended resets its stream, and clients such as curl then do not see an early answer, such as
/// 413. So the stream stays open for a moment, unread: flow control holds the client back.
impl Drop for Body {
    fn drop(&mut self) {
        if let Some(unread) = self.rest.take() {
            actix_rt::spawn(async move {
                actix_rt::time::sleep(LINGER).await;
                drop(unread);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_cookies_become_one_field() {
        let mut headers = HeaderMap::new();
        for cookie in ["a=1", "b=2", "c=3"] {
            headers.append(COOKIE, HeaderValue::from_static(cookie));
        }
        join_cookies(&mut headers);
        let cookies: Vec<_> = headers.get_all(COOKIE).collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }
}
