//! What a request is for: the form of its target, and the host that it names (RFC 9112, section 3.2). Knows no routes.

use actix_http::{
    Method, RequestHead, Version,
    header::{HOST, HeaderValue},
};
use chassis::problem::{Code, Problem};

/// What the gateway passes on. CONNECT would open a tunnel to anywhere, TRACE would show the caller what we add.
pub(crate) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// What a target names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Something at a path.
    Resource,
    /// The gateway as a whole: `OPTIONS *`.
    Server,
}

/// Checks the target and the host of a request. An absolute target overrides `Host` (section 3.2.2).
///
/// # Errors
/// 400, and 405 for CONNECT and TRACE.
pub(crate) fn check(head: &mut RequestHead) -> Result<Target, Problem> {
    if head.method == Method::CONNECT || head.method == Method::TRACE {
        return Err(Problem::method_not_allowed(METHODS));
    }
    if let Some(authority) = head.uri.authority() {
        if !matches!(head.uri.scheme_str(), Some("http" | "https")) {
            return Err(bad("the target must be a path, or an address that begins with http:// or https://"));
        }
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| bad("the target names no valid host"))?;
        head.headers.insert(HOST, host);
    }
    // In HTTP/1.1 the parser sees to it that there is one, and not two. In HTTP/2 there are two where the authority and
    // the `Host` field differ (RFC 9113, section 8.3.1).
    if head.version == Version::HTTP_2 {
        match head.headers.get_all(HOST).count() {
            0 => return Err(bad("the request names no host: `:authority` is missing")),
            1 => {}
            _ => return Err(bad("the request names more than one host")),
        }
    }
    if head.headers.get(HOST).is_some_and(|host| !is_host(host.as_bytes())) {
        return Err(bad("the `Host` header is not valid"));
    }
    match head.uri.path() {
        "*" if head.method == Method::OPTIONS => Ok(Target::Server),
        "*" => Err(bad("`*` is a target of OPTIONS only")),
        _ => Ok(Target::Resource),
    }
}

fn bad(detail: &'static str) -> Problem {
    Problem::new(Code::BadRequest, detail)
}

/// `uri-host [ ":" port ]` (RFC 9110, section 7.2), and not an empty one: section 4.2.1.
fn is_host(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inner, after)) if inner.parse::<std::net::Ipv6Addr>().is_ok() => (inner, after),
        Some(_) => return false,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = port.strip_prefix(':').unwrap_or(port);
    let in_brackets = text.starts_with('[');
    !host.is_empty()
        && (in_brackets || host.bytes().all(is_name_byte))
        && (port.is_empty() || port.parse::<u16>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A host name or an IPv4 address. RFC 3986 has more (`!$&'()*+,;=%`), of which no name in use is made, but attacks are.
const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for host in ["a", "a.example", "a_b:80", "127.0.0.1:8001", "[::1]", "[::1]:8001", "a:"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in
            ["", ":80", "a b", "a,b", "a/b", "u@a", "a:b", "a:80:80", "a:+80", "a:99999", "[::1", "[x]", "[::1]x", "é"]
        {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
