//! An answer of a service: status, headers, body, and the shape of a problem.

use std::io::{self, BufRead, ErrorKind};

use serde_json::Value;

use super::message::{Body, Fields, Framing, Head, all, first};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Fields,
    pub body: Vec<u8>,
    /// Whether the body came to the end that its framing says.
    pub whole: bool,
}

impl Answer {
    /// Reads one answer; one to HEAD has no body. Returns `None` where the connection ended before it began.
    ///
    /// # Errors
    /// The connection ended within the head, or something is no head.
    pub(crate) fn read(reader: &mut impl BufRead, to_head: bool) -> io::Result<Option<Self>> {
        let Some(head) = Head::read(reader)? else { return Ok(None) };
        let status = status(&head.line)
            .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, format!("no status line: {:?}", head.line)))?;
        let has_body = !(to_head || status < 200 || matches!(status, 204 | 304));
        let framing = if has_body { head.framing(Framing::Close) } else { Framing::Nothing };
        let body = Body::read(reader, framing);
        Ok(Some(Self { status, headers: head.headers, body: body.bytes, whole: body.whole }))
    }

    /// The first value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }

    /// All values of a header, by its name in lower case.
    pub fn values(&self, name: &str) -> Vec<&str> {
        all(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?} {}", self.text()))
    }

    /// The value of one series on a page of metrics, with its labels as they are written there.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.text();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        Some(value.parse().unwrap_or_else(|error| panic!("{series} {value}: {error}")))
    }

    /// The code of a problem, after checking that the answer is one, whole and in the right shape.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        let body = self.json();
        for member in ["type", "title", "detail", "instance", "code", "request_id"] {
            assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "`{member}` is missing: {body}");
        }
        assert_eq!(body["status"], self.status, "{body}");
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"), "{body}");
        let code = body["code"].as_str().unwrap_or_default().to_owned();
        assert_eq!(body["type"], format!("urn:problem:{code}"), "{body}");
        code
    }
}

/// The status in a status line (RFC 9112, section 4).
pub(crate) fn status(line: &str) -> Option<u16> {
    let (version, rest) = line.split_once(' ')?;
    let status = rest.get(..3).filter(|_| matches!(version, "HTTP/1.0" | "HTTP/1.1"))?;
    status.parse().ok()
}
