//! The request id and the W3C trace context that follow a request through every service and every log line.

use std::fmt;

use actix_http::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Serialize, Serializer};

/// The header that names a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header of the W3C trace context, <https://www.w3.org/TR/trace-context/>.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Maximum length of a request id that is taken over from a client; longer ones would fill the logs.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// `00-` + 32 hexadecimal digits + `-` + 16 + `-` + 2 = 55 bytes.
const TRACEPARENT_BYTES: usize = 55;

/// Identifies a request across services.
#[derive(Clone, Debug)]
pub struct RequestContext {
    request_id: HeaderValue,
    traceparent: HeaderValue,
}

impl RequestContext {
    /// Takes over a well-formed request id and trace, or generates new ones.
    ///
    /// The trace keeps its trace id and gets a new span id, so that each hop is a span of its own.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        // From the generator of this thread: a system call for each request would cost more than the rest of this function.
        let random: [u8; 24] = rand::random();
        let (id, span) = random.split_at(16);
        let request_id =
            headers.get(REQUEST_ID).filter(|value| is_request_id(value.as_bytes())).cloned().unwrap_or_else(|| {
                let mut text = [0; 32];
                hex(id, &mut text);
                header_value(&text)
            });
        Self { request_id, traceparent: header_value(&next_span(headers.get(TRACEPARENT), id, span)) }
    }

    /// The request id as text.
    pub fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    /// The request id as a header.
    pub const fn request_id_header(&self) -> &HeaderValue {
        &self.request_id
    }

    /// The `traceparent` to send to the next service.
    pub const fn traceparent_header(&self) -> &HeaderValue {
        &self.traceparent
    }

    /// The trace that this request is part of, to be kept with what it leads to.
    pub fn trace_parent(&self) -> Option<TraceParent> {
        self.traceparent.to_str().ok().and_then(TraceParent::parse)
    }

    /// The trace id alone: 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        self.traceparent.to_str().ok().and_then(|text| text.get(3..35)).unwrap_or_default()
    }
}

/// A well-formed `traceparent`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent([u8; TRACEPARENT_BYTES]);

impl TraceParent {
    /// The `traceparent` in this text, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        if is_traceparent(text) { text.as_bytes().try_into().ok().map(Self) } else { None }
    }

    /// The text of it.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for TraceParent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

fn is_request_id(bytes: &[u8]) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:+/=".contains(b))
}

fn next_span(incoming: Option<&HeaderValue>, trace_id: &[u8], span_id: &[u8]) -> [u8; TRACEPARENT_BYTES] {
    let mut next = *b"00-00000000000000000000000000000000-0000000000000000-00";
    match incoming.and_then(|value| value.to_str().ok()).filter(|text| is_traceparent(text)) {
        Some(text) => next.copy_from_slice(text.as_bytes()),
        None => hex(trace_id, &mut next[3..35]),
    }
    hex(span_id, &mut next[36..52]);
    next
}

/// Version 00 of the trace context, section 3.2: lower-case hexadecimal, neither id all zeros.
fn is_traceparent(text: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let is_zero = |part: &str| part.bytes().all(|b| b == b'0');
    if text.len() != TRACEPARENT_BYTES || !text.is_ascii() {
        return false;
    }
    let dashes = [2, 35, 52].iter().all(|&at| text.as_bytes()[at] == b'-');
    let (trace_id, span_id, flags) = (&text[3..35], &text[36..52], &text[53..55]);
    dashes
        && text.starts_with("00")
        && is_hex(trace_id)
        && is_hex(span_id)
        && is_hex(flags)
        && !is_zero(trace_id)
        && !is_zero(span_id)
}

/// By table and in place: this runs for every request, and formatting would cost half a microsecond.
fn hex(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, digits) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        digits.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

fn header_value(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static("invalid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(name: HeaderName, value: &'static str) -> RequestContext {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        RequestContext::from_headers(&headers)
    }

    #[test]
    fn a_well_formed_request_id_is_kept_and_another_replaced() {
        assert_eq!(context(REQUEST_ID, "abc-123").request_id(), "abc-123");
        for bad in ["", "two words", "new\tline", "ünïcode"] {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(bad.as_bytes()).unwrap());
            let made = RequestContext::from_headers(&headers);
            assert_eq!(made.request_id().len(), 32, "{bad:?} became {:?}", made.request_id());
        }
    }

    #[test]
    fn a_trace_goes_on_with_a_new_span() {
        let incoming = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = context(TRACEPARENT, incoming);
        let outgoing = context.traceparent_header().to_str().unwrap();
        assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_ne!(outgoing, incoming);
        assert!(outgoing.ends_with("-01") && is_traceparent(outgoing), "{outgoing}");
    }

    #[test]
    fn a_malformed_trace_starts_a_new_one() {
        for bad in [
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "01",
        ] {
            assert!(!is_traceparent(bad), "{bad}");
            assert!(is_traceparent(context(TRACEPARENT, bad).traceparent_header().to_str().unwrap()));
        }
    }
}
