//! Parses the head of an answer and decides how long its body is (RFC 9112, section 6.3). Pure. It changes only those
//! parts of a head that awc would misread.

use actix_http::header::{HeaderMap, HeaderName, HeaderValue};
use httparse::{EMPTY_HEADER, ParserConfig, Response, Status};

/// Maximum number of fields, which is that of the parser of awc.
const FIELDS_MAX: usize = 96;

/// Replaces `Content-Length` in an answer without a body, where awc would wait for one. The replacement of a name is as
/// long as the name, so that the head keeps its size.
pub(crate) const HIDDEN_LENGTH: &str = "x-guard-length";
/// Replaces `Transfer-Encoding`.
pub(crate) const HIDDEN_CODING: &str = "x-guard-encodings";
/// Replaces `Upgrade`, which makes awc ignore the length, whatever the status is.
pub(crate) const HIDDEN_UPGRADE: &str = "x-guard";
/// Replaces [`HIDDEN_LENGTH`] where the upstream sent it: it would be taken for the length that the guard hid.
pub(crate) const HIDDEN_FORGERY: &str = "x-guard-forged";
const _: () = assert!(HIDDEN_FORGERY.len() == HIDDEN_LENGTH.len(), "the head must keep its size");

/// What some bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// An incomplete head.
    Partial,
    /// The head of an interim answer, with its size.
    Interim { bytes: usize },
    /// The head of the final answer, with its size.
    Final { bytes: usize, status: u16, body: BodyKind, reuse: Reuse },
}

/// Whether another request may follow on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    Never,
    /// The upstream says nothing about the time.
    Possible,
    /// The upstream closes the connection when it has been idle for this many seconds (`Keep-Alive: timeout=5`; RFC 2068,
    /// section 19.7.1, and in use ever since).
    Within(u64),
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyKind {
    None,
    Length(u64),
    Chunked,
    /// It ends when the connection is closed.
    ToClose,
    /// What follows is not HTTP.
    Tunnel,
}

/// Why a head is invalid.
pub(crate) type Reason = &'static str;

/// What a head says about its body.
struct ParsedHead {
    bytes: usize,
    status: u16,
    minor: u8,
    length: Option<u64>,
    chunked: bool,
    /// Options of `Connection`: `close` and `keep-alive`.
    has_close: bool,
    has_keep_alive: bool,
    /// The `timeout` of `Keep-Alive`, in seconds.
    idle_max: Option<u64>,
    /// The offsets of the names of those fields that may have to be replaced.
    length_at: Option<usize>,
    coding_at: Option<usize>,
    upgrades_at: Vec<usize>,
    forged_at: Vec<usize>,
}

/// Parses the head at the beginning of `raw`, and rewrites it for awc.
pub(crate) fn read(raw: &mut [u8], to_head_request: bool) -> Result<Head, Reason> {
    let Some(head) = parse(raw)? else { return Ok(Head::Partial) };
    if is_interim(head.status) {
        return Ok(Head::Interim { bytes: head.bytes });
    }
    let body = body_kind(&head, to_head_request);
    rewrite_for_awc(raw, &head, body);
    let reuse = if matches!(body, BodyKind::ToClose | BodyKind::Tunnel) { Reuse::Never } else { head.reuse() };
    Ok(Head::Final { bytes: head.bytes, status: head.status, body, reuse })
}

/// Parses the trailers of an answer. What cannot be read as fields is dropped, since nothing depends on it.
pub(crate) fn trailers(raw: &[u8]) -> HeaderMap {
    let mut fields = [EMPTY_HEADER; FIELDS_MAX];
    let Ok(Status::Complete((_, fields))) = httparse::parse_headers(raw, &mut fields) else {
        return HeaderMap::new();
    };
    let parsed = fields.iter().filter_map(|field| {
        Some((HeaderName::from_bytes(field.name.as_bytes()).ok()?, HeaderValue::from_bytes(field.value).ok()?))
    });
    HeaderMap::from_iter(parsed)
}

/// RFC 9110, section 15.2: any number of these may precede the answer. 101 is final for HTTP.
const fn is_interim(status: u16) -> bool {
    status >= 100 && status < 200 && status != 101
}

fn parse(raw: &[u8]) -> Result<Option<ParsedHead>, Reason> {
    let mut fields = [EMPTY_HEADER; FIELDS_MAX];
    let mut response = Response::new(&mut fields);
    let mut config = ParserConfig::default();
    // RFC 9112, section 5.1: a space before the colon is removed in an answer, and refused in a request.
    config.allow_spaces_after_header_name_in_responses(true);
    let parsed = config.parse_response(&mut response, raw).map_err(|error| match error {
        httparse::Error::TooManyHeaders => "the head has too many fields",
        httparse::Error::HeaderName
        | httparse::Error::HeaderValue
        | httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token
        | httparse::Error::Version => "the head is not valid HTTP",
    })?;
    let Status::Complete(bytes) = parsed else { return Ok(None) };
    let minor = response.version.unwrap_or_default();
    let mut head = ParsedHead {
        bytes,
        status: response.code.unwrap_or_default(),
        minor,
        length: None,
        chunked: false,
        has_close: false,
        has_keep_alive: false,
        idle_max: None,
        length_at: None,
        coding_at: None,
        upgrades_at: Vec::new(),
        forged_at: Vec::new(),
    };
    for field in response.headers.iter() {
        let at = field.name.as_ptr() as usize - raw.as_ptr() as usize;
        head.record_field(field, at)?;
    }
    head.check()
}

impl ParsedHead {
    fn record_field(&mut self, field: &httparse::Header<'_>, at: usize) -> Result<(), Reason> {
        if field.name.eq_ignore_ascii_case("content-length") {
            if self.length_at.replace(at).is_some() {
                return Err("the answer has two lengths");
            }
            self.length = Some(parse_length(field.value).ok_or("the length of the answer is no number")?);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            if self.coding_at.replace(at).is_some() {
                return Err("the answer has two transfer codings");
            }
            if !field.value.eq_ignore_ascii_case(b"chunked") {
                return Err("the transfer coding of the answer is not `chunked`");
            }
            self.chunked = true;
        } else if field.name.eq_ignore_ascii_case("upgrade") {
            self.upgrades_at.push(at);
        } else if field.name.eq_ignore_ascii_case("connection") {
            self.record_connection(field.value);
        } else if field.name.eq_ignore_ascii_case("keep-alive") {
            self.idle_max = parse_timeout(field.value);
        } else if field.name.eq_ignore_ascii_case(HIDDEN_LENGTH) {
            self.forged_at.push(at);
        }
        Ok(())
    }

    fn record_connection(&mut self, value: &[u8]) {
        let options = || value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        self.has_close |= options().any(|option| option.eq_ignore_ascii_case(b"close"));
        self.has_keep_alive |= options().any(|option| option.eq_ignore_ascii_case(b"keep-alive"));
    }

    /// RFC 9112, section 9.3: `close` takes precedence; HTTP/1.0 closes unless it says otherwise.
    const fn keep_alive(&self) -> bool {
        !self.has_close && (self.minor == 1 || self.has_keep_alive)
    }

    const fn reuse(&self) -> Reuse {
        match self.idle_max {
            _ if !self.keep_alive() => Reuse::Never,
            Some(seconds) => Reuse::Within(seconds),
            None => Reuse::Possible,
        }
    }

    fn check(self) -> Result<Option<Self>, Reason> {
        if self.length.is_some() && self.chunked {
            return Err("the answer has a length and a transfer coding");
        }
        if self.chunked && self.minor == 0 {
            return Err("an answer of HTTP/1.0 has a transfer coding");
        }
        Ok(Some(self))
    }
}

/// The timeout of `timeout=5, max=100`; `None` where it has none that can be read.
fn parse_timeout(value: &[u8]) -> Option<u64> {
    let parameters = std::str::from_utf8(value).ok()?.split(',').filter_map(|parameter| parameter.split_once('='));
    let mut timeouts = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"));
    timeouts.next().and_then(|(_, seconds)| seconds.trim().parse().ok())
}

/// `1*DIGIT` (RFC 9110, section 8.6): no sign, no list, no spaces within.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn body_kind(head: &ParsedHead, to_head_request: bool) -> BodyKind {
    if head.status == 101 {
        return BodyKind::Tunnel;
    }
    if to_head_request || matches!(head.status, 204 | 304) {
        return BodyKind::None;
    }
    match head.length {
        _ if head.chunked => BodyKind::Chunked,
        Some(0) => BodyKind::None,
        Some(length) => BodyKind::Length(length),
        None => BodyKind::ToClose,
    }
}

/// Hides from awc what it would misread, and from the gateway what would look as if the guard had written it.
fn rewrite_for_awc(raw: &mut [u8], head: &ParsedHead, body: BodyKind) {
    head.forged_at.iter().for_each(|at| rename(raw, Some(*at), HIDDEN_FORGERY));
    if matches!(head.status, 204 | 304) {
        rename(raw, head.length_at, HIDDEN_LENGTH);
        rename(raw, head.coding_at, HIDDEN_CODING);
    }
    if body != BodyKind::Tunnel {
        head.upgrades_at.iter().for_each(|at| rename(raw, Some(*at), HIDDEN_UPGRADE));
    }
    // awc reads to the end of the connection only in HTTP/1.0, but there even if there is no body.
    let minor = if body == BodyKind::ToClose { b'0' } else { b'1' };
    if let Some(start) = raw.iter().position(|byte| *byte == b'H') {
        raw[start + "HTTP/1.".len()] = minor;
    }
}

fn rename(raw: &mut [u8], at: Option<usize>, name: &str) {
    if let Some(at) = at {
        raw[at..at + name.len()].copy_from_slice(name.as_bytes());
    }
}
