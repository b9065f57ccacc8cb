//! HTTP/1.1 messages as they come over the wire. Knows no sockets.
//!
//! The syntax of header fields is left to `httparse`; the tricky part is where a body ends (RFC 9112, section 6.3), and
//! whether it came to that end: a body that is cut short must look different from a shorter one.

use std::io::{self, BufRead, ErrorKind, Read};

/// Maximum number of header fields that a test can read.
const FIELDS_MAX: usize = 128;

/// The fields of a head in their order, their names in lower case.
pub type Fields = Vec<(String, String)>;

/// The first line of a message and its fields.
#[derive(Clone, Debug)]
pub struct Head {
    pub line: String,
    pub headers: Fields,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Nothing,
    Length(u64),
    Chunks,
    /// Up to the end of the connection.
    Close,
}

/// A body, and whether it came to the end that its framing says.
#[derive(Clone, Debug, Default)]
pub struct Body {
    pub bytes: Vec<u8>,
    pub whole: bool,
}

/// A request as a stand-in for a service got it.
#[derive(Clone, Debug)]
pub struct Received {
    pub line: String,
    pub headers: Fields,
    pub body: Vec<u8>,
}

impl Head {
    /// Reads a head. Returns `None` where the connection ended before it began.
    ///
    /// # Errors
    /// The connection ended within the head, or something is no head.
    pub fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            match reader.read_until(b'\n', &mut bytes) {
                Ok(read) if read > 0 => {}
                Ok(_) | Err(_) if bytes.is_empty() => return Ok(None),
                Ok(_) => return Err(cut_off(&bytes)),
                Err(error) => return Err(error),
            }
        }
        Self::parse(&bytes).map(Some)
    }

    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let invalid = |what: &str| io::Error::new(ErrorKind::InvalidData, format!("{what}: {:?}", text(bytes)));
        let end = bytes.windows(2).position(|two| two == b"\r\n").ok_or_else(|| invalid("no first line"))?;
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let fields = match httparse::parse_headers(&bytes[end + 2..], &mut fields) {
            Ok(httparse::Status::Complete((_, fields))) => fields,
            Ok(httparse::Status::Partial) => return Err(invalid("half a head")),
            Err(error) => return Err(invalid(&error.to_string())),
        };
        let headers = fields.iter().map(|field| (field.name.to_ascii_lowercase(), text(field.value))).collect();
        Ok(Self { line: text(&bytes[..end]), headers })
    }

    /// How the end of the body is found; `otherwise` where no field says it.
    ///
    /// # Panics
    /// Where a field says something that cannot be.
    pub fn framing(&self, otherwise: Framing) -> Framing {
        if first(&self.headers, "transfer-encoding") == Some("chunked") {
            return Framing::Chunks;
        }
        let length = first(&self.headers, "content-length");
        length.map_or(otherwise, |length| Framing::Length(length.parse().expect("a length in digits")))
    }
}

impl Body {
    /// Reads a body as far as it comes; a reset is an end, too.
    pub fn read(reader: &mut impl BufRead, framing: Framing) -> Self {
        let mut bytes = Vec::new();
        let whole = match framing {
            Framing::Nothing => true,
            Framing::Length(length) => {
                let _ = reader.take(length).read_to_end(&mut bytes);
                bytes.len() as u64 == length
            }
            Framing::Chunks => read_chunks(reader, &mut bytes).is_some(),
            Framing::Close => reader.read_to_end(&mut bytes).is_ok(),
        };
        Self { bytes, whole }
    }
}

impl Received {
    /// Reads a request. Returns `None` where the connection ended before it was whole.
    ///
    /// # Panics
    /// Where what came is no request.
    pub fn read(reader: &mut impl BufRead) -> Option<Self> {
        let head = match Head::read(reader) {
            Ok(head) => head?,
            Err(error) if error.kind() == ErrorKind::InvalidData => panic!("{error}"),
            Err(_) => return None,
        };
        let body = Body::read(reader, head.framing(Framing::Nothing));
        body.whole.then_some(Self { line: head.line, headers: head.headers, body: body.bytes })
    }

    /// The values of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Vec<&str> {
        all(&self.headers, name)
    }
}

/// Reads one chunk; the last one is empty, and is read with the trailers after it. Returns `None` where the connection ends first.
pub fn read_chunk(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut size = String::new();
    reader.read_line(&mut size).ok()?;
    let size = usize::from_str_radix(size.strip_suffix("\r\n")?, 16).expect("a chunk size in hexadecimal digits");
    if size == 0 {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        }
        return Some(Vec::new());
    }
    let mut chunk = vec![0; size + 2];
    reader.read_exact(&mut chunk).ok()?;
    assert!(chunk.ends_with(b"\r\n"), "a chunk is longer than its size");
    chunk.truncate(size);
    Some(chunk)
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> Option<()> {
    loop {
        let chunk = read_chunk(reader)?;
        if chunk.is_empty() {
            return Some(());
        }
        body.extend_from_slice(&chunk);
    }
}

/// The first value of a field, by its name in lower case.
pub fn first<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The values of a field, by its name in lower case.
pub fn all<'a>(fields: &'a Fields, name: &str) -> Vec<&'a str> {
    fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
}

fn cut_off(bytes: &[u8]) -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, format!("the connection ended after {:?}", text(bytes)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(mut bytes: &[u8], framing: Framing) -> (Vec<u8>, bool) {
        let body = Body::read(&mut bytes, framing);
        (body.bytes, body.whole)
    }

    #[test]
    fn a_body_that_is_cut_short_is_not_whole() {
        assert_eq!(body(b"abcd", Framing::Length(3)), (b"abc".to_vec(), true));
        assert_eq!(body(b"ab", Framing::Length(3)), (b"ab".to_vec(), false));
        assert_eq!(body(b"2\r\nab\r\n0\r\n\r\n", Framing::Chunks), (b"ab".to_vec(), true));
        assert_eq!(body(b"2\r\nab\r\n", Framing::Chunks), (b"ab".to_vec(), false));
        assert_eq!(body(b"2\r\nab\r\n0\r\n", Framing::Chunks), (b"ab".to_vec(), false));
        assert_eq!(body(b"ab", Framing::Close), (b"ab".to_vec(), true));
    }

    #[test]
    fn a_head_is_read_whole_or_not_at_all() {
        let head = Head::read(&mut &b"GET / HTTP/1.1\r\nA: 1\r\na:  2\r\n\r\nrest"[..]);
        let head = head.expect("a good head").expect("a head");
        assert_eq!((head.line.as_str(), all(&head.headers, "a")), ("GET / HTTP/1.1", vec!["1", "2"]));
        assert!(Head::read(&mut &b""[..]).expect("no mistake").is_none());
        for (bytes, kind) in [
            (&b"GET / HTTP/1.1\r\nA: 1\r\n"[..], ErrorKind::UnexpectedEof),
            (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", ErrorKind::InvalidData),
        ] {
            assert_eq!(Head::read(&mut &*bytes).map(drop).map_err(|error| error.kind()), Err(kind));
        }
    }
}
