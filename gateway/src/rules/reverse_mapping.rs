//! Turns the addresses in an answer from those of the upstream into those of the gateway: `Location`, `Content-Location`,
//! `Refresh`, and `Domain` and `Path` of `Set-Cookie`. Pure. Knows neither requests nor routes.
//!
//! An upstream that does not know under which address clients reach it writes its own. What it writes about other hosts,
//! and what cannot be read, stays byte for byte as it is.

use std::net::IpAddr;

use actix_http::header::{CONTENT_LOCATION, HeaderMap, HeaderName, HeaderValue, LOCATION, REFRESH, SET_COOKIE};

/// The default ports of `http` and `https`, which an address may leave out.
const DEFAULT_PORTS: [&str; 2] = [":80", ":443"];

/// How the addresses in one answer are turned.
pub(crate) struct ReverseMapping<'a> {
    /// The hosts, with their ports, by which the upstream may call itself.
    pub(crate) upstream: &'a [&'a str],
    /// The scheme and the host by which the client knows the gateway; the host is missing where the client sent none.
    pub(crate) public: (&'a str, Option<&'a str>),
    /// Returns the path for clients that leads to this path of the upstream; `None` where it is the same.
    pub(crate) path: &'a dyn Fn(&str) -> Option<String>,
}

/// Returns whether a message has a field in which there may be an address.
pub(crate) fn has_addresses(headers: &HeaderMap) -> bool {
    [LOCATION, SET_COOKIE, CONTENT_LOCATION, REFRESH].iter().any(|name| headers.contains_key(name))
}

impl ReverseMapping<'_> {
    /// Turns the addresses in these fields.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        self.replace(headers, &LOCATION, |text| self.reference(text));
        self.replace(headers, &CONTENT_LOCATION, |text| self.reference(text));
        self.replace(headers, &REFRESH, |text| self.refresh(text));
        self.replace(headers, &SET_COOKIE, |text| self.cookie(text));
    }

    /// Replaces the values for which there is another one. All fields of the name keep their order.
    fn replace(&self, headers: &mut HeaderMap, name: &HeaderName, turned: impl Fn(&str) -> Option<String>) {
        if !headers.contains_key(name) {
            return;
        }
        // The only way to change all values of a name in place.
        headers.retain(|known, value| {
            let text = if known == name { value.to_str().ok() } else { None };
            if let Some(new) = text.and_then(&turned).and_then(|text| HeaderValue::try_from(text).ok()) {
                *value = new;
            }
            true
        });
    }

    /// A reference (RFC 3986, section 4.1). Those relative to the path of the request are right as they are.
    fn reference(&self, text: &str) -> Option<String> {
        let (authority, path) = split(text)?;
        let (path, rest) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
        let turned = (self.path)(if path.is_empty() { "/" } else { path });
        let (scheme, host) = self.public;
        let Some(authority) = authority else { return Some(format!("{}{rest}", turned?)) };
        if host.is_some_and(|host| same_host(host, authority)) {
            let origin = text.split_at(text.len() - path.len() - rest.len()).0;
            return Some(format!("{origin}{}{rest}", turned?));
        }
        if !self.upstream.iter().any(|own| same_host(own, authority)) {
            return None;
        }
        let path = turned.as_deref().unwrap_or(path);
        Some(match host {
            Some(host) => format!("{scheme}://{host}{path}{rest}"),
            None => format!("{}{rest}", if path.is_empty() { "/" } else { path }),
        })
    }

    /// `5; url=https://…`, as browsers read it (HTML Living Standard, "shared declarative refresh steps").
    fn refresh(&self, text: &str) -> Option<String> {
        let at = text.to_ascii_lowercase().find("url")? + "url".len();
        let after = text.get(at..)?;
        let value = after.trim_start().strip_prefix('=')?.trim_start();
        let value = value.strip_prefix(['"', '\'']).unwrap_or(value);
        let url = value.split(['"', '\'']).next()?.trim_end();
        let begin = text.len() - value.len();
        let turned = self.reference(url)?;
        Some(format!("{}{turned}{}", text.get(..begin)?, text.get(begin + url.len()..)?))
    }

    /// A cookie for the upstream's own host becomes one for the host of the gateway, and its path one of the gateway (RFC
    /// 6265, sections 5.2.3 and 5.2.4).
    fn cookie(&self, text: &str) -> Option<String> {
        let mut parts = text.split(';');
        let mut cookie = parts.next()?.to_owned();
        let mut is_changed = false;
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let is = |wanted: &str| name.trim().eq_ignore_ascii_case(wanted);
            if is("domain") && self.is_only_of_upstream(value.trim()) {
                is_changed = true;
            } else if is("path")
                && let Some(path) = self.cookie_path(value.trim())
            {
                is_changed = true;
                cookie.push_str(&format!(";{name}={path}"));
            } else {
                cookie.push(';');
                cookie.push_str(part);
            }
        }
        is_changed.then_some(cookie)
    }

    /// Whether browsers would refuse the domain from the gateway, while it is right for the upstream.
    fn is_only_of_upstream(&self, domain: &str) -> bool {
        let domain = domain.strip_prefix('.').unwrap_or(domain);
        let belongs = |host: &str| is_in_domain(without_port(host), domain);
        !self.public.1.is_some_and(belongs) && self.upstream.iter().any(|host| belongs(host))
    }

    /// A path of a cookie covers all below it, with and without a slash at its end.
    fn cookie_path(&self, path: &str) -> Option<String> {
        if !path.starts_with('/') {
            return None;
        }
        if let Some(turned) = (self.path)(path) {
            return Some(turned);
        }
        let below = (self.path)(&format!("{path}/"))?;
        Some(below.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or("/").to_owned())
    }
}

/// The authority, if there is one, and the rest of a reference; `None` where it has neither an authority nor an absolute
/// path, or is not for HTTP.
fn split(text: &str) -> Option<(Option<&str>, &str)> {
    let after_scheme = ["http:", "https:"].iter().find_map(|scheme| {
        text.get(..scheme.len()).filter(|begin| begin.eq_ignore_ascii_case(scheme)).map(|_| &text[scheme.len()..])
    });
    match after_scheme.unwrap_or(text).strip_prefix("//") {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
            Some((Some(authority), path))
        }
        None if after_scheme.is_none() && text.starts_with('/') => Some((None, text)),
        None => None,
    }
}

fn same_host(one: &str, other: &str) -> bool {
    let usual = |host: &str| DEFAULT_PORTS.iter().find_map(|port| host.strip_suffix(port)).unwrap_or(host).len();
    one[..usual(one)].eq_ignore_ascii_case(&other[..usual(other)])
}

/// A host without its port; an IPv6 address keeps its brackets.
fn without_port(host: &str) -> &str {
    host.rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(host, |(host, _)| host)
}

/// Whether a host domain-matches (RFC 6265, section 5.1.3).
fn is_in_domain(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
    let is_below =
        host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.') && host.parse::<IpAddr>().is_err());
    !domain.is_empty() && (host == domain || is_below)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PUBLIC: (&str, Option<&str>) = ("https", Some("www.example.com"));

    /// The route is at `/shop`, the upstream at `app.internal:8080` and `/`.
    fn turned(public: (&str, Option<&str>), name: HeaderName, text: &str) -> String {
        let path = |path: &str| (!path.starts_with("/shop/")).then(|| format!("/shop{path}"));
        let mapping = ReverseMapping { upstream: &["app.internal:8080"], public, path: &path };
        let mut headers = HeaderMap::new();
        headers.append(name.clone(), HeaderValue::from_str(text).unwrap());
        mapping.apply(&mut headers);
        headers.get(name).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn references_lead_to_the_gateway() {
        for (text, expected) in [
            ("http://app.internal:8080/a?b#c", "https://www.example.com/shop/a?b#c"),
            ("HTTPS://App.Internal:8080", "https://www.example.com/shop/"),
            ("//app.internal:8080/a", "https://www.example.com/shop/a"),
            ("http://app.internal:8080?x=/y", "https://www.example.com/shop/?x=/y"),
            ("/a?next=http://app.internal:8080/", "/shop/a?next=http://app.internal:8080/"),
            ("/shop/a", "/shop/a"),
            ("https://www.example.com/a", "https://www.example.com/shop/a"),
            ("https://www.example.com:443/shop/a", "https://www.example.com:443/shop/a"),
            ("http://app.internal/a", "http://app.internal/a"),
            ("http://app.internal:8080.evil.example/a", "http://app.internal:8080.evil.example/a"),
            ("http://user@app.internal:8080/a", "http://user@app.internal:8080/a"),
            ("http:/a", "http:/a"),
            ("ftp://app.internal:8080/a", "ftp://app.internal:8080/a"),
            ("a/b", "a/b"),
            ("?page=2", "?page=2"),
            ("", ""),
        ] {
            assert_eq!(turned(PUBLIC, LOCATION, text), expected, "{text}");
            assert_eq!(turned(PUBLIC, CONTENT_LOCATION, text), expected, "{text}");
        }
        assert_eq!(turned(("http", None), LOCATION, "http://app.internal:8080/a"), "/shop/a");
    }

    #[test]
    fn a_refresh_leads_to_the_gateway() {
        for (text, expected) in [
            ("5; url=http://app.internal:8080/a", "5; url=https://www.example.com/shop/a"),
            ("5;URL = '/a' ", "5;URL = '/shop/a' "),
            ("5; url=\"/a\"; x", "5; url=\"/shop/a\"; x"),
            ("5", "5"),
            ("5; url=https://other.example/", "5; url=https://other.example/"),
        ] {
            assert_eq!(turned(PUBLIC, REFRESH, text), expected, "{text}");
        }
    }

    #[test]
    fn cookies_come_back_to_the_upstream() {
        for (text, expected) in [
            ("a=b; Path=/; HttpOnly", "a=b; Path=/shop/; HttpOnly"),
            ("a=/x; path=/x", "a=/x; path=/shop/x"),
            ("a=b; Domain=app.internal; Secure", "a=b; Secure"),
            ("a=b;domain=.internal", "a=b"),
            ("a=b; Domain=example.com", "a=b; Domain=example.com"),
            ("a=b; Domain=internal.example", "a=b; Domain=internal.example"),
            ("a=b; Domain=ernal", "a=b; Domain=ernal"),
            ("a=b", "a=b"),
            ("domain=app.internal", "domain=app.internal"),
            ("a=b; Path", "a=b; Path"),
            ("a=b; Path=x", "a=b; Path=x"),
        ] {
            assert_eq!(turned(PUBLIC, SET_COOKIE, text), expected, "{text}");
        }
    }

    #[test]
    fn the_path_of_a_cookie_may_lack_its_last_slash() {
        let path = |path: &str| path.strip_prefix("/store/").map(|rest| format!("/shop/{rest}"));
        let mapping = ReverseMapping { upstream: &[], public: PUBLIC, path: &path };
        assert_eq!(mapping.cookie("a=b; Path=/store").as_deref(), Some("a=b; Path=/shop"));
        assert_eq!(mapping.cookie("a=b; Path=/store/x").as_deref(), Some("a=b; Path=/shop/x"));
        assert_eq!(mapping.cookie("a=b; Path=/"), None);
    }

    #[test]
    fn all_fields_of_a_name_keep_their_order() {
        let path = |path: &str| Some(format!("/shop{path}"));
        let mapping = ReverseMapping { upstream: &[], public: PUBLIC, path: &path };
        let mut headers = HeaderMap::new();
        for text in ["a=1; Path=/", "b=2", "c=3; Path=/c"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(text));
        }
        mapping.apply(&mut headers);
        let values: Vec<_> = headers.get_all(SET_COOKIE).map(|value| value.to_str().unwrap()).collect();
        assert_eq!(values, ["a=1; Path=/shop/", "b=2", "c=3; Path=/shop/c"]);
    }

    proptest! {
        /// Whatever an upstream writes about other hosts stays as it is, and nothing panics.
        #[test]
        fn what_is_of_others_stays(
            scheme in prop_oneof![Just("http://"), Just("https://"), Just("//"), Just("ftp://"), Just("data:")],
            text in "[ -~]{0,40}",
        ) {
            let text = format!("{scheme}other.example/{text}");
            prop_assert_eq!(turned(PUBLIC, LOCATION, &text), text.clone());
            let cookie = format!("a={}; Domain=other.example", text.replace(';', ""));
            prop_assert_eq!(turned(PUBLIC, SET_COOKIE, &cookie), cookie);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,60}") {
            let path = |path: &str| Some(path.to_owned());
            let mapping = ReverseMapping { upstream: &["a"], public: PUBLIC, path: &path };
            let _ = (mapping.reference(&text), mapping.refresh(&text), mapping.cookie(&text));
        }
    }
}
