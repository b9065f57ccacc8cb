//! Parses scalars as people write them in the YAML: sizes, durations, rates, methods, targets. Knows no tree and no key;
//! each error says what was expected.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use actix_http::{
    header::{HeaderName, HeaderValue},
    uri::Authority,
};

use chassis::config::parse_duration;

use crate::{
    limit::rate::{LimitKey, Rate},
    routing::entry::Methods,
    upstream::settings::{HTTPS_PORT, HostHeader, TargetAddress},
};

/// Any text.
pub(crate) fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// The path of a file or folder. Whether it exists is not checked here: the file may be on another machine.
pub(crate) fn file_name(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

/// `127.0.0.1:8001`.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let error = format!("`{text}` is not an address and a port");
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        match (host, port.parse::<u16>()) {
            ("", Ok(port)) => format!(
                "{error}; did you mean `127.0.0.1:{port}` (for this machine only) or `0.0.0.0:{port}` (for every network)?"
            ),
            ("localhost", Ok(port)) => format!("{error}; did you mean `127.0.0.1:{port}`?"),
            ("*", Ok(port)) => format!("{error}; did you mean `0.0.0.0:{port}`?"),
            (_, Ok(_) | Err(_)) => format!("{error}; write it like 127.0.0.1:8001"),
        }
    })
}

/// The name of a header.
pub(crate) fn header_name(text: &str) -> Result<HeaderName, String> {
    HeaderName::try_from(text).map_err(|_| format!("`{text}` is no header name"))
}

/// A duration longer than zero. It has a unit: `30` is read as seconds by some programs, and as milliseconds by others.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let number = text.trim();
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{number}` has no unit; did you mean `{number}s`?"));
    }
    match parse_duration(text)? {
        Duration::ZERO => Err(format!("`{text}` must be longer than zero")),
        duration => Ok(duration),
    }
}

/// A number of bytes: `64KiB`, `1MiB`, `10MB`, `512`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let error = || format!("`{text}` is not a size; write it like 64KiB, 1MiB or 10MB");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "KiB" => 1024,
        "MB" => 1000 * 1000,
        "MiB" => 1024 * 1024,
        "GB" => 1000 * 1000 * 1000,
        "GiB" => 1024 * 1024 * 1024,
        _ => return Err(error()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(error)
}

/// Bytes per second: `240B/s`, `1KiB/s`; `off` is `None`.
pub(crate) fn body_rate(text: &str) -> Result<Option<u64>, String> {
    let error = || format!("`{text}` is not a rate; write it like 240B/s or 1KiB/s, or `off`");
    if text == "off" {
        return Ok(None);
    }
    let size = text.strip_suffix("/s").ok_or_else(error)?;
    bytes(size).ok().filter(|bytes| *bytes > 0).map(Some).ok_or_else(error)
}

/// A whole number above zero.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| format!("`{text}` is not a whole number above zero"))
}

/// A whole number above zero, for counters of 32 bits.
pub(crate) fn count_u32(text: &str) -> Result<u32, String> {
    count(text).and_then(|count| u32::try_from(count).map_err(|_| format!("`{text}` is too large")))
}

/// `20%`.
pub(crate) fn percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
    number.filter(|percent| *percent <= 100).ok_or_else(|| format!("`{text}` is not a share; write it like 20%"))
}

/// A share from 1 % to 100 %.
pub(crate) fn share(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
    number
        .filter(|percent| (1..=100).contains(percent))
        .ok_or_else(|| format!("`{text}` is not a share from 1% to 100%"))
}

/// `true` or `false`, as the core schema of YAML 1.2 has them (section 10.3.2).
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        _ => Err(format!("`{text}` is not `true` or `false`")),
    }
}

/// `600/min per ip`.
pub(crate) fn rate(text: &str) -> Result<Rate, String> {
    let error = || {
        format!(
            "`{text}` is not a limit; write it like `600/min per ip`, `20/s per user` or `1000/h per header x-api-key`"
        )
    };
    let (amount, key) = text.split_once(" per ").ok_or_else(error)?;
    let (count, window) = amount.split_once('/').ok_or_else(error)?;
    let count: NonZeroU32 = count.trim().parse().map_err(|_| error())?;
    let window = match window.trim() {
        "s" | "sec" | "second" => Duration::from_secs(1),
        "m" | "min" | "minute" => Duration::from_secs(60),
        "h" | "hour" => Duration::from_secs(60 * 60),
        "d" | "day" => Duration::from_secs(24 * 60 * 60),
        _ => return Err(error()),
    };
    let key = match key.trim() {
        "ip" => LimitKey::ClientIp,
        "user" => LimitKey::Caller,
        key => LimitKey::Header(header_name(key.strip_prefix("header ").ok_or_else(error)?.trim())?),
    };
    Ok(Rate { count, window, key })
}

/// `GET`, `GET,POST` or `*`.
pub(crate) fn methods(text: &str) -> Result<Methods, String> {
    if text == "*" {
        return Ok(Methods::Any);
    }
    let mut methods: Vec<String> = Vec::new();
    for method in text.split(',') {
        // CONNECT would open a tunnel; TRACE would send the headers that the gateway adds back to the client.
        let is_routable = |method: &str| matches!(method, "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE");
        let in_capitals = method.to_ascii_uppercase();
        if !is_routable(method) && is_routable(&in_capitals) {
            return Err(format!("`{method}` is not a method; did you mean `{in_capitals}`?"));
        }
        if !is_routable(method) {
            return Err(format!(
                "`{method}` is not a method that can be routed; use GET, HEAD, POST, PUT, PATCH, DELETE or `*`"
            ));
        }
        if methods.iter().any(|known| known == method) {
            return Err(format!("{method} is there twice"));
        }
        methods.push(method.to_owned());
    }
    Ok(Methods::Only(methods))
}

/// `http://host:port` or `https://host:port`. The port may be left out where it is the default of the scheme.
pub(crate) fn target(text: &str) -> Result<TargetAddress, String> {
    let error = |why: &str| format!("`{text}` is not a target: {why}; write it like http://users:8002");
    if let Some(url) = with_scheme(text) {
        return Err(format!("`{text}` is not a target: it must begin with http:// or https://; did you mean `{url}`?"));
    }
    let uri: actix_http::Uri = text.parse().map_err(|_| error("it is not a URL"))?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        Some(_) | None => return Err(error("it must begin with http:// or https://")),
    };
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(error("it has a path; the path is set by a route, with `rewrite`"));
    }
    let authority = uri.authority().filter(|authority| !authority.host().is_empty());
    let authority = authority.ok_or_else(|| error("it names no host"))?;
    if authority.as_str().contains('@') {
        return Err(error("it has a user name or password"));
    }
    // The connector would otherwise take the default port of http.
    let port = if tls && authority.port().is_none() { HTTPS_PORT } else { "" };
    let authority = format!("{authority}{port}").parse().map_err(|_| error("its host is not valid"))?;
    TargetAddress::new(authority, tls)
}

/// `target`, `keep`, or a host with or without a port.
pub(crate) fn host_header(text: &str) -> Result<HostHeader, String> {
    let error = || format!("`{text}` is not `target`, `keep` or a host like shop.internal or shop.internal:8080");
    match text {
        "target" => Ok(HostHeader::Target),
        "keep" => Ok(HostHeader::Keep),
        _ => {
            let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
            let authority = text.parse::<Authority>().ok().filter(|_| text.bytes().all(is_usual));
            let authority = authority.filter(|authority| !authority.host().is_empty()).ok_or_else(error)?;
            HeaderValue::from_str(authority.as_str()).map(HostHeader::Name).map_err(|_| error())
        }
    }
}

/// The URL that a host and a port without `http://` stand for: `users:8002`, `:8002`.
fn with_scheme(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    let is_host = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    is_host.then(|| format!("http://{host}:{port}"))
}

/// An HTTP status.
pub(crate) fn status(text: &str) -> Result<u16, String> {
    let status = text.parse().ok().filter(|status| (100..600).contains(status));
    status.ok_or_else(|| format!("`{text}` is not a status like 403; for more than that, write `{{to: …}}`"))
}

/// A path, with or without a query.
pub(crate) fn path_and_query(text: &str) -> Result<String, String> {
    if text.starts_with('/') { Ok(text.to_owned()) } else { Err(format!("the path `{text}` must begin with `/`")) }
}

/// The path of a page, or `off`.
pub(crate) fn page(text: &str) -> Result<Option<String>, String> {
    if text == "off" { Ok(None) } else { path(text).map(Some) }
}

/// A path in normal form, without a slash at its end.
pub(crate) fn path(text: &str) -> Result<String, String> {
    let normal = crate::routing::path::normalize(text).map_err(|error| error.detail().to_owned())?;
    if normal != text || text.ends_with('/') {
        return Err(format!("`{text}` must be a path like /api, without a slash at the end"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_people_write_them() {
        assert_eq!(bytes("1MiB"), Ok(1_048_576));
        assert_eq!(bytes("512"), Ok(512));
        assert_eq!(rate("600/min per ip").unwrap().window, Duration::from_secs(60));
        assert_eq!(target("http://users:8002").unwrap().authority, "users:8002");
        let https = target("https://users").unwrap();
        assert_eq!((https.authority.as_str(), https.tls, https.host.as_bytes()), ("users:443", true, &b"users"[..]));
        assert_eq!(target("https://[::1]:8443").unwrap().authority, "[::1]:8443");
        assert_eq!(target("http://[::1]:8002/").unwrap().authority, "[::1]:8002");
        assert_eq!(page("off"), Ok(None));
    }

    #[test]
    fn wrong_values_are_refused() {
        for text in ["1 XB", "MiB", "-1", "99999999999999999999"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        for text in ["600/min", "0/min per ip", "600 per ip", "1/fortnight per ip", "1/s per planet"] {
            assert!(rate(text).is_err(), "{text}");
        }
        for text in ["get", "GET,GET", "CONNECT", "TRACE", "OPTIONS", "", "GET, POST"] {
            assert!(methods(text).is_err(), "{text}");
        }
        for text in ["users:8002", "ftp://x", "http://x/api", "http://u:p@x", "http://", "http://x?y", ""] {
            assert!(target(text).is_err(), "{text}");
        }
        assert!(duration("0s").unwrap_err().contains("longer than zero"));
    }
}
