//! Values as people write them in the YAML: sizes, durations, rates, methods, targets. Knows no tree.

use std::{num::NonZeroU32, time::Duration};

use chassis::config::parse_duration;

use crate::{
    limit::rate::{LimitKey, Rate},
    routing::entry::Methods,
    upstream::settings::{HTTPS_PORT, TargetAddress},
};

/// A duration that is longer than nothing.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err(format!("`{text}` must be longer than zero")),
        duration => Ok(duration),
    }
}

/// A number of bytes: `64KiB`, `1MiB`, `10MB`, `512`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size; write it like 64KiB, 1MiB or 10MB");
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
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)
}

/// Bytes in a second: `240B/s`, `1KiB/s`; `off` is none.
pub(crate) fn body_rate(text: &str) -> Result<Option<u64>, String> {
    let wrong = || format!("`{text}` is not a rate; write it like 240B/s or 1KiB/s, or `off`");
    if text == "off" {
        return Ok(None);
    }
    let size = text.strip_suffix("/s").ok_or_else(wrong)?;
    bytes(size).ok().filter(|bytes| *bytes > 0).map(Some).ok_or_else(wrong)
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
    let wrong = || {
        format!(
            "`{text}` is not a limit; write it like `600/min per ip`, `20/s per user` or `1000/h per header x-api-key`"
        )
    };
    let (amount, key) = text.split_once(" per ").ok_or_else(wrong)?;
    let (count, window) = amount.split_once('/').ok_or_else(wrong)?;
    let count: NonZeroU32 = count.trim().parse().map_err(|_| wrong())?;
    let window = match window.trim() {
        "s" | "sec" | "second" => Duration::from_secs(1),
        "m" | "min" | "minute" => Duration::from_secs(60),
        "h" | "hour" => Duration::from_secs(60 * 60),
        "d" | "day" => Duration::from_secs(24 * 60 * 60),
        _ => return Err(wrong()),
    };
    let key = match key.trim() {
        "ip" => LimitKey::ClientIp,
        "user" => LimitKey::Caller,
        key => {
            let name = key.strip_prefix("header ").ok_or_else(wrong)?;
            LimitKey::Header(name.trim().parse().map_err(|_| format!("`{name}` is no header name"))?)
        }
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
        // CONNECT would open a tunnel, TRACE would show the caller the headers that the gateway adds.
        if !matches!(method, "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE") {
            return Err(format!(
                "`{method}` is not a method that can be routed; there are GET, HEAD, POST, PUT, PATCH, DELETE and `*`"
            ));
        }
        if methods.iter().any(|known| known == method) {
            return Err(format!("{method} is there twice"));
        }
        methods.push(method.to_owned());
    }
    Ok(Methods::Only(methods))
}

/// `http://host:port` or `https://host:port`. The port may be left out where it is the usual one.
pub(crate) fn target(text: &str) -> Result<TargetAddress, String> {
    let wrong = |why: &str| format!("`{text}` is not a target: {why}; write it like http://users:8002");
    let uri: actix_http::Uri = text.parse().map_err(|_| wrong("it is no URL"))?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        Some(_) | None => return Err(wrong("it must begin with http:// or https://")),
    };
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(wrong("it has a path; routes say the path, with `rewrite`"));
    }
    let authority = uri.authority().filter(|authority| !authority.host().is_empty());
    let authority = authority.ok_or_else(|| wrong("it names no host"))?;
    if authority.as_str().contains('@') {
        return Err(wrong("it has a user name or password"));
    }
    // The connection is opened as for http, of which the usual port is another.
    let port = if tls && authority.port().is_none() { HTTPS_PORT } else { "" };
    let authority = format!("{authority}{port}").parse().map_err(|_| wrong("its host is none"))?;
    TargetAddress::new(authority, tls)
}

/// An HTTP status.
pub(crate) fn status(text: &str) -> Result<u16, String> {
    let status = text.parse().ok().filter(|status| (100..600).contains(status));
    status.ok_or_else(|| format!("`{text}` is not a status like 403; for more than that, write `{{to: …}}`"))
}

/// A path, with or without a query.
pub(crate) fn absolute(text: &str) -> Result<String, String> {
    if text.starts_with('/') { Ok(text.to_owned()) } else { Err(format!("the path `{text}` must begin with `/`")) }
}

/// A path of one of our own pages.
pub(crate) fn builtin_path(text: &str) -> Result<Option<String>, String> {
    if text == "off" {
        return Ok(None);
    }
    path_prefix(text).map(Some)
}

/// A path without a slash at its end.
pub(crate) fn path_prefix(text: &str) -> Result<String, String> {
    let normal = crate::routing::path::normalize(text).map_err(|error| error.detail().to_owned())?;
    if normal != text || text.ends_with('/') {
        return Err(format!("`{text}` must be a path like /api, without a slash at its end"));
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
        assert_eq!(builtin_path("off"), Ok(None));
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
