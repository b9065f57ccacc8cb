//! Converts the head of an HTTP/2 request to the one that HTTP/1.1 would have brought, so that no later step knows the
//! difference, and the head of an answer to that of HTTP/2 (RFC 9113, sections 8.2 and 8.3). Knows no streams.
//!
//! The parser of `h2` has refused already what is malformed by itself: names in upper case, fields that are about a
//! connection, missing, repeated or misplaced pseudo-header fields.

use std::{
    cell::RefCell,
    time::{Duration, SystemTime},
};

use actix_http::{
    Method, Payload, Request, ResponseHead, StatusCode, Uri, Version,
    body::BodySize,
    header::{
        CONNECTION, CONTENT_LENGTH, COOKIE, DATE, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
    },
};
use bytes::Bytes;
use chassis::trace::REQUEST_ID;

use crate::rules::trailers;

/// The schemes with the port that is theirs.
const DEFAULT_PORTS: [(&str, &str); 2] = [("https", ":443"), ("http", ":80")];

/// Fields that HTTP/2 does not have (section 8.2.2), beside those that have a constant.
const KEEP_ALIVE: &str = "keep-alive";
const PROXY_CONNECTION: &str = "proxy-connection";

/// Converts the head of a request.
///
/// The authority becomes the `Host` field. A `Host` field that names something else stays beside it, so that the request
/// is refused like any request with two hosts (section 8.3.1).
///
/// # Errors
/// A part has no form in HTTP/1.1.
pub(super) fn request(head: &http::request::Parts, payload: Payload) -> Result<Request, Malformed> {
    let mut request = Request::with_payload(payload);
    let converted = request.head_mut();
    converted.version = Version::HTTP_2;
    converted.method = Method::from_bytes(head.method.as_str().as_bytes()).map_err(|_| Malformed)?;
    let target = match head.uri.path_and_query() {
        Some(target) if target.as_str() == "*" || target.as_str().starts_with('/') => target.as_str(),
        // It has no path (section 8.5), and is refused like that of HTTP/1.1.
        None if head.method == http::Method::CONNECT => "/",
        Some(_) | None => return Err(Malformed),
    };
    converted.uri = Uri::from_maybe_shared(Bytes::copy_from_slice(target.as_bytes())).map_err(|_| Malformed)?;
    converted.headers = fields(&head.headers)?;
    add_authority(&mut converted.headers, &head.uri)?;
    join_cookies(&mut converted.headers);
    Ok(request)
}

/// The head of a request cannot be converted.
#[derive(Debug)]
pub(super) struct Malformed;

fn fields(headers: &http::HeaderMap) -> Result<HeaderMap, Malformed> {
    // One more: `Host`.
    let mut converted = HeaderMap::with_capacity(headers.len() + 1);
    for (name, value) in headers {
        if value.as_bytes().trim_ascii().len() != value.len() {
            // Section 8.2.1, which `h2` leaves to us. HTTP/1.1 would drop the space.
            return Err(Malformed);
        }
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).map_err(|_| Malformed)?;
        let value = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(value.as_bytes())).map_err(|_| Malformed)?;
        converted.append(name, value);
    }
    Ok(converted)
}

/// Converts the trailers of a request. Those that must not be trailers are dropped.
pub(super) fn request_trailers(fields: &http::HeaderMap) -> HeaderMap {
    let mut converted = self::fields(fields).unwrap_or_default();
    converted.retain(|name, _| trailers::is_allowed(name));
    converted
}

/// Converts the trailers of an answer. Those that must not be trailers are dropped.
pub(super) fn answer_trailers(fields: &HeaderMap) -> http::HeaderMap {
    let allowed = fields.iter().filter(|(name, _)| trailers::is_allowed(name));
    let converted = allowed.filter_map(|(name, value)| {
        let name = http::HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        Some((name, value_of(value).ok()?))
    });
    let mut trailers = http::HeaderMap::new();
    trailers.extend(converted);
    trailers
}

/// Makes the authority the only `Host`, unless a field names another one.
fn add_authority(headers: &mut HeaderMap, uri: &http::Uri) -> Result<(), Malformed> {
    let Some(authority) = uri.authority() else { return Ok(()) };
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Malformed)?;
    let scheme = uri.scheme_str().unwrap_or_default();
    let is_same = |field: &HeaderValue| names_same_host(field.as_bytes(), authority.as_str().as_bytes(), scheme);
    if headers.get_all(HOST).all(is_same) && headers.get_all(HOST).count() < 2 {
        headers.insert(HOST, host);
    } else {
        headers.append(HOST, host);
    }
    Ok(())
}

/// Hosts are compared without regard to case, and a default port may be left out (RFC 3986, section 6.2.3).
fn names_same_host(one: &[u8], other: &[u8], scheme: &str) -> bool {
    let port = DEFAULT_PORTS.iter().find(|(of, _)| *of == scheme).map_or("", |(_, port)| *port).as_bytes();
    let bare = |host: &'_ [u8]| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    one.eq_ignore_ascii_case(other) || bare(one) == bare(other)
}

/// HTTP/2 may split the `cookie` field to compress it better; HTTP/1.1 has one field (section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE);
    if cookies.next().is_none() || cookies.next().is_none() {
        return;
    }
    let cookies: Vec<&[u8]> = headers.get_all(COOKIE).map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

/// Converts the head of an answer whose body has this size.
///
/// # Errors
/// A part has no form in HTTP/2.
pub(super) fn response(head: &ResponseHead, size: BodySize, dates: &Dates) -> Result<http::Response<()>, Malformed> {
    let mut response = http::Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(head.status.as_u16()).map_err(|_| Malformed)?;
    let headers = response.headers_mut();
    // Two more: `content-length` and `date`.
    headers.reserve(head.headers.len() + 2);
    // A 304 and the answer to HEAD may have the length of the body that they lack as a field (RFC 9110, section 8.6); a
    // 204 may not.
    let keeps_length = matches!(size, BodySize::None) && head.status != StatusCode::NO_CONTENT;
    for (name, value) in &head.headers {
        if is_about_connection(name) || (*name == CONTENT_LENGTH && !keeps_length) {
            continue;
        }
        let mut value = value_of(value)?;
        // Never the same again: in the table of HPACK it would only push out what is (RFC 7541, section 7.1.3).
        value.set_sensitive(*name == REQUEST_ID);
        let name = http::HeaderName::from_bytes(name.as_str().as_bytes()).map_err(|_| Malformed)?;
        headers.append(name, value);
    }
    if let BodySize::Sized(length) = size
        && head.status != StatusCode::NO_CONTENT
    {
        headers.insert(http::header::CONTENT_LENGTH, length.into());
    }
    if !head.headers.contains_key(DATE) {
        headers.insert(http::header::DATE, dates.now());
    }
    Ok(response)
}

fn value_of(value: &HeaderValue) -> Result<http::HeaderValue, Malformed> {
    http::HeaderValue::from_maybe_shared(Bytes::copy_from_slice(value.as_bytes())).map_err(|_| Malformed)
}

fn is_about_connection(name: &HeaderName) -> bool {
    [CONNECTION, TRANSFER_ENCODING, UPGRADE].contains(name) || [KEEP_ALIVE, PROXY_CONNECTION].contains(&name.as_str())
}

/// The `Date` of answers, formatted once a second.
#[derive(Debug)]
pub(super) struct Dates(RefCell<(u64, http::HeaderValue)>);

impl Default for Dates {
    fn default() -> Self {
        Self(RefCell::new((0, date(0))))
    }
}

impl Dates {
    fn now(&self) -> http::HeaderValue {
        let second = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let mut current = self.0.borrow_mut();
        if current.0 != second {
            *current = (second, date(second));
        }
        current.1.clone()
    }
}

/// An IMF-fixdate (RFC 9110, section 5.6.7).
fn date(second: u64) -> http::HeaderValue {
    let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
    http::HeaderValue::try_from(text).unwrap_or(http::HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(uri: &str, fields: &[&str]) -> Vec<String> {
        let mut head = http::Request::builder().uri(uri);
        for host in fields {
            head = head.header("host", *host);
        }
        let (head, ()) = head.body(()).unwrap().into_parts();
        let request = request(&head, Payload::None).unwrap();
        request.head().headers.get_all(HOST).map(|host| host.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_authority_is_the_host_and_another_host_stays_beside_it() {
        assert_eq!(hosts("https://a.example/x", &[]), ["a.example"]);
        assert_eq!(hosts("https://a.example/x", &["a.example"]), ["a.example"]);
        assert_eq!(hosts("https://a.example/x", &["A.Example:443"]), ["a.example"]);
        assert_eq!(hosts("https://a.example:443/x", &["a.example"]), ["a.example:443"]);
        assert_eq!(hosts("/x", &["a.example"]), ["a.example"]);
        assert_eq!(hosts("/x", &[]), Vec::<String>::new());
        assert_eq!(hosts("https://a.example/x", &["b.example"]), ["b.example", "a.example"]);
        assert_eq!(hosts("https://a.example/x", &["a.example:80"]), ["a.example:80", "a.example"]);
        assert_eq!(hosts("https://a.example/x", &["a.example", "a.example"]).len(), 3);
        assert_eq!(hosts("/x", &["a.example", "a.example"]).len(), 2);
    }

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

    #[test]
    fn an_answer_has_the_length_of_its_body_and_nothing_about_a_connection() {
        let length = |status: StatusCode, size| {
            let mut answer = actix_http::Response::new(status);
            for (name, value) in [("content-length", "7"), ("connection", "x"), ("keep-alive", "timeout=5"), ("x", "y")]
            {
                answer.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            let response = response(answer.head(), size, &Dates::default()).unwrap();
            let names: Vec<_> = response.headers().keys().map(|name| name.as_str().to_owned()).collect();
            assert!(names.contains(&"x".to_owned()) && names.contains(&"date".to_owned()), "{names:?}");
            assert!(!names.iter().any(|name| name.starts_with("connection") || name.starts_with("keep")), "{names:?}");
            response.headers().get("content-length").map(|length| length.to_str().unwrap().to_owned())
        };
        assert_eq!(length(StatusCode::OK, BodySize::Sized(3)).as_deref(), Some("3"));
        assert_eq!(length(StatusCode::OK, BodySize::Sized(0)).as_deref(), Some("0"));
        assert_eq!(length(StatusCode::OK, BodySize::Stream), None);
        assert_eq!(length(StatusCode::NOT_MODIFIED, BodySize::None).as_deref(), Some("7"));
        assert_eq!(length(StatusCode::NO_CONTENT, BodySize::Sized(0)), None);
        assert_eq!(length(StatusCode::NO_CONTENT, BodySize::None), None);
    }
}
