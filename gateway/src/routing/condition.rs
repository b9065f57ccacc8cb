//! The conditions of a route besides path and method: host and headers. Knows no HTTP library.

use std::{borrow::Cow, fmt, str::FromStr};

/// The host of a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HostPattern {
    /// This host.
    Exact(String),
    /// Every host that has one label before this one: `*.example.com` matches `a.example.com`, but neither
    /// `example.com` nor `a.b.example.com`, as in certificates (RFC 9525, section 6.3).
    Wildcard(String),
}

impl HostPattern {
    /// Returns whether it matches this host.
    pub(crate) fn matches(&self, host: &str) -> bool {
        let host = normalize_host(host);
        match self {
            Self::Exact(known) => *known == *host,
            Self::Wildcard(parent) => host.split_once('.').is_some_and(|(_, behind)| behind == parent),
        }
    }

    /// Returns a host that it matches.
    pub(crate) fn example(&self) -> String {
        match self {
            Self::Exact(host) => host.clone(),
            Self::Wildcard(parent) => format!("any.{parent}"),
        }
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (is_wildcard, host) = text.strip_prefix("*.").map_or((false, text), |parent| (true, parent));
        let is_literal = host.starts_with('[') && host.ends_with(']') && !is_wildcard;
        let is_name = host.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        });
        if !is_literal && !is_name {
            return Err(format!(
                "`{text}` is not a host; write it like api.example.com or *.example.com, without a port"
            ));
        }
        let host = host.to_ascii_lowercase();
        Ok(if is_wildcard { Self::Wildcard(host) } else { Self::Exact(host) })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Wildcard(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// The host and the headers that a request must have. By default every request matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    pub(crate) host: Option<HostPattern>,
    /// Names in lower case, each once, with the required value.
    pub(crate) headers: Vec<(String, String)>,
}

impl Conditions {
    /// Returns whether one request could have the headers of both.
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

/// The parts of a request that select its route.
#[derive(Clone, Copy)]
pub(crate) struct RouteQuery<'a> {
    pub(crate) method: &'a str,
    /// In normal form, after aliases.
    pub(crate) path: &'a str,
    /// As in the `Host` field, with or without a port; empty if there is none.
    pub(crate) host: &'a str,
    /// Whether the request has this header exactly once and with exactly this value. A repeated header is ambiguous.
    pub(crate) has_header: &'a dyn Fn(&str, &str) -> bool,
}

impl<'a> RouteQuery<'a> {
    /// A request without host and headers.
    #[cfg(test)]
    pub(crate) fn plain(method: &'a str, path: &'a str) -> Self {
        Self { method, path, host: "", has_header: &|_, _| false }
    }
}

/// Returns the normal form of a host: lower case, without port and trailing dot. A host that has this form already
/// costs no allocation.
pub(crate) fn normalize_host(host: &str) -> Cow<'_, str> {
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
            assert_eq!(normalize_host(host), expected, "{host}");
        }
    }

    #[test]
    fn hosts_that_cannot_match_are_refused() {
        for text in ["", "*", "*.", "a.*.com", "a..b", "example.com:80", "a b", "*.[::1]", "http://x"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
        assert_eq!("*.Example.com".parse(), Ok(HostPattern::Wildcard("example.com".to_owned())));
    }
}
