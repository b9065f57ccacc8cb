//! Reads the head of an answer and decides how long its body is (RFC 9112, section 6.3). Pure; the only parts of a
//! head that it changes are those which awc would misread.

use httparse::{EMPTY_HEADER, ParserConfig, Response, Status};

/// As many fields as the parser of awc takes.
const FIELDS_MAX: usize = 96;

/// In an answer without a body awc must not see a length: it would wait for the body. The names that stand in its
/// place have the same length, so that nothing moves.
pub(crate) const HIDDEN_LENGTH: &str = "x-guard-length";
/// Stands in the place of `Transfer-Encoding`.
pub(crate) const HIDDEN_CODING: &str = "x-guard-encodings";
/// Stands in the place of `Upgrade`, which makes awc forget the length, whatever the status is.
pub(crate) const HIDDEN_UPGRADE: &str = "x-guard";

/// What the beginning of some bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// Not yet a whole head.
    Partial,
    /// A whole head of an interim answer, of so many bytes.
    Interim { bytes: usize },
    /// A whole head of the final answer, of so many bytes.
    Final { bytes: usize, body: BodyKind, keep_alive: bool },
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyKind {
    None,
    Length(u64),
    Chunked,
    /// The end of the connection is the end of the body.
    ToClose,
    /// No HTTP any more.
    Tunnel,
}

/// Why a head is none.
pub(crate) type Why = &'static str;

/// What of a head decides about its body.
struct Facts {
    bytes: usize,
    status: u16,
    minor: u8,
    length: Option<u64>,
    chunked: bool,
    /// Options of `Connection`.
    closes: bool,
    keeps: bool,
    /// Where in the head stand the names of the fields that awc may have to be spared.
    lengths: Option<usize>,
    codings: Option<usize>,
    upgrades: Vec<usize>,
}

/// The status of the final head in these bytes, if it is there as a whole, after any interim ones.
pub(crate) fn final_status(mut raw: &[u8]) -> Option<u16> {
    loop {
        let facts = parse(raw).ok()??;
        if !is_interim(facts.status) {
            return Some(facts.status);
        }
        raw = raw.get(facts.bytes..)?;
    }
}

/// Reads the head at the beginning of `raw` and makes it fit for awc.
pub(crate) fn read(raw: &mut [u8], to_head_request: bool) -> Result<Head, Why> {
    let Some(facts) = parse(raw)? else { return Ok(Head::Partial) };
    if is_interim(facts.status) {
        return Ok(Head::Interim { bytes: facts.bytes });
    }
    let body = body_kind(&facts, to_head_request);
    adapt(raw, &facts, body);
    let keep_alive = facts.keep_alive() && !matches!(body, BodyKind::ToClose | BodyKind::Tunnel);
    Ok(Head::Final { bytes: facts.bytes, body, keep_alive })
}

/// Section 15.2 of RFC 9110: any number of these may come before the answer. 101 is final for HTTP.
const fn is_interim(status: u16) -> bool {
    status >= 100 && status < 200 && status != 101
}

fn parse(raw: &[u8]) -> Result<Option<Facts>, Why> {
    let mut fields = [EMPTY_HEADER; FIELDS_MAX];
    let mut response = Response::new(&mut fields);
    let mut config = ParserConfig::default();
    // RFC 9112, section 5.1: in an answer such a space is removed, in a request it is refused.
    config.allow_spaces_after_header_name_in_responses(true);
    let parsed = config.parse_response(&mut response, raw).map_err(|error| match error {
        httparse::Error::TooManyHeaders => "the head has too many fields",
        httparse::Error::HeaderName
        | httparse::Error::HeaderValue
        | httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token
        | httparse::Error::Version => "the head is no HTTP",
    })?;
    let Status::Complete(bytes) = parsed else { return Ok(None) };
    let minor = response.version.unwrap_or_default();
    let mut facts = Facts {
        bytes,
        status: response.code.unwrap_or_default(),
        minor,
        length: None,
        chunked: false,
        closes: false,
        keeps: false,
        lengths: None,
        codings: None,
        upgrades: Vec::new(),
    };
    for field in response.headers.iter() {
        let at = field.name.as_ptr() as usize - raw.as_ptr() as usize;
        facts.note(field, at)?;
    }
    facts.check()
}

impl Facts {
    fn note(&mut self, field: &httparse::Header<'_>, at: usize) -> Result<(), Why> {
        if field.name.eq_ignore_ascii_case("content-length") {
            if self.lengths.replace(at).is_some() {
                return Err("the answer has two lengths");
            }
            self.length = Some(length(field.value).ok_or("the length of the answer is no number")?);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            if self.codings.replace(at).is_some() {
                return Err("the answer has two transfer codings");
            }
            if !field.value.eq_ignore_ascii_case(b"chunked") {
                return Err("the transfer coding of the answer is not `chunked`");
            }
            self.chunked = true;
        } else if field.name.eq_ignore_ascii_case("upgrade") {
            self.upgrades.push(at);
        } else if field.name.eq_ignore_ascii_case("connection") {
            self.note_connection(field.value);
        }
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) {
        let options = || value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        self.closes |= options().any(|option| option.eq_ignore_ascii_case(b"close"));
        self.keeps |= options().any(|option| option.eq_ignore_ascii_case(b"keep-alive"));
    }

    /// Section 9.3: `close` always wins; HTTP/1.0 closes unless it says otherwise.
    const fn keep_alive(&self) -> bool {
        !self.closes && (self.minor == 1 || self.keeps)
    }

    fn check(self) -> Result<Option<Self>, Why> {
        if self.length.is_some() && self.chunked {
            return Err("the answer has a length and a transfer coding");
        }
        if self.chunked && self.minor == 0 {
            return Err("an answer of HTTP/1.0 has a transfer coding");
        }
        Ok(Some(self))
    }
}

/// `1*DIGIT` (RFC 9110, section 8.6): no sign, no list, no spaces within.
fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn body_kind(facts: &Facts, to_head_request: bool) -> BodyKind {
    if facts.status == 101 {
        return BodyKind::Tunnel;
    }
    if to_head_request || matches!(facts.status, 204 | 304) {
        return BodyKind::None;
    }
    match facts.length {
        _ if facts.chunked => BodyKind::Chunked,
        Some(0) => BodyKind::None,
        Some(length) => BodyKind::Length(length),
        None => BodyKind::ToClose,
    }
}

/// Hides from awc what it would misread.
fn adapt(raw: &mut [u8], facts: &Facts, body: BodyKind) {
    if matches!(facts.status, 204 | 304) {
        rename(raw, facts.lengths, HIDDEN_LENGTH);
        rename(raw, facts.codings, HIDDEN_CODING);
    }
    if body != BodyKind::Tunnel {
        facts.upgrades.iter().for_each(|at| rename(raw, Some(*at), HIDDEN_UPGRADE));
    }
    // awc reads to the end of the connection only in HTTP/1.0, and there even where there is no body.
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
