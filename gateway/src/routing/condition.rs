//! What a route may ask of a request beside its path and method: a host, headers. Knows no HTTP library.

use std::{borrow::Cow, fmt, str::FromStr};

/// Which host a route is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HostPattern {
    /// This host.
    Exact(String),
    /// Every host that has one label before this one: `*.example.com` is for `a.example.com`, but neither for
    /// `example.com` nor for `a.b.example.com`, as in certificates (RFC 9525, section 6.3).
    Below(String),
}

impl HostPattern {
    /// Whether a request for this host is meant.
    pub(crate) fn is_for(&self, host: &str) -> bool {
        let host = comparable(host);
        match self {
            Self::Exact(known) => *known == *host,
            Self::Below(parent) => host.split_once('.').is_some_and(|(_, behind)| behind == parent),
        }
    }

    /// A host that this is for.
    pub(crate) fn sample(&self) -> String {
        match self {
            Self::Exact(host) => host.clone(),
            Self::Below(parent) => format!("any.{parent}"),
        }
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (below, host) = text.strip_prefix("*.").map_or((false, text), |parent| (true, parent));
        let is_literal = host.starts_with('[') && host.ends_with(']') && !below;
        let is_name = host.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        });
        if !is_literal && !is_name {
            return Err(format!(
                "`{text}` is not a host; write it like api.example.com or *.example.com, without a port"
            ));
        }
        let host = host.to_ascii_lowercase();
        Ok(if below { Self::Below(host) } else { Self::Exact(host) })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Below(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// The host and the headers that a route is for. Nothing is for every request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    pub(crate) host: Option<HostPattern>,
    /// Names in lower case, each once, with the value that the request must have.
    pub(crate) headers: Vec<(String, String)>,
}

impl Conditions {
    /// Whether one request could have the headers of both.
    pub(crate) fn headers_agree(&self, other: &Self) -> bool {
        let differs = |(name, value): &(String, String)| other.headers.iter().any(|(n, v)| n == name && v != value);
        !self.headers.iter().any(differs)
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.iter().map(|host| format!("host {host}"));
        let headers = self.headers.iter().map(|(name, value)| format!("{name}: {value}"));
        f.write_str(&host.chain(headers).collect::<Vec<_>>().join(", "))
    }
}

/// A request, as far as routes look at it.
#[derive(Clone, Copy)]
pub(crate) struct RouteQuery<'a> {
    pub(crate) method: &'a str,
    /// In normal form, after aliases.
    pub(crate) path: &'a str,
    /// As in the `Host` field, with or without a port; empty where there is none.
    pub(crate) host: &'a str,
    /// Whether the request has this header exactly once and with exactly this value. A repeated header is ambiguous.
    pub(crate) has_header: &'a dyn Fn(&str, &str) -> bool,
}

impl<'a> RouteQuery<'a> {
    /// A request without a host and without headers.
    #[cfg(test)]
    pub(crate) fn plain(method: &'a str, path: &'a str) -> Self {
        Self { method, path, host: "", has_header: &|_, _| false }
    }
}

/// A host in the form in which hosts are compared: lower case, without the port and the dot of the root. Hosts that are
/// in this form already cost no allocation.
pub(crate) fn comparable(host: &str) -> Cow<'_, str> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_without_case_port_and_root() {
        for (host, expected) in [
            ("api.example.com", "api.example.com"),
            ("API.Example.com.:8001", "api.example.com"),
            ("[::1]:8001", "[::1]"),
            ("[::1]", "[::1]"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("", ""),
        ] {
            assert_eq!(comparable(host), expected, "{host}");
        }
    }

    #[test]
    fn hosts_that_could_never_match_are_refused() {
        for text in ["", "*", "*.", "a.*.com", "a..b", "example.com:80", "a b", "*.[::1]", "http://x"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
        assert_eq!("*.Example.com".parse(), Ok(HostPattern::Below("example.com".to_owned())));
    }
}
