//! Where a route redirects to: an address with parameters of its path. Pure.
//!
//! The host is fixed, or the one that the client asked for. A path cannot change it: only what follows the host has
//! parameters, and it begins with exactly one slash.

use actix_http::{StatusCode, uri::Authority};

use super::{path::with_one_slash, pattern::Pattern};

/// Stands for the host that the client asked for.
const HOST: &str = "{host}";

/// A redirect of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    pub(crate) status: StatusCode,
    route: Pattern,
    to: Address,
}

/// An address as configured: `https://{host}/new/{path}?from=old`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// `None` for the origin of the request.
    origin: Option<Origin>,
    path: Pattern,
    /// A query or a fragment, or both.
    rest: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    /// `https://`
    scheme: &'static str,
    /// `None` for the one that the client asked for.
    host: Option<String>,
    /// `:8443`, or nothing.
    port: String,
}

impl Redirect {
    /// A redirect of the paths of `route`.
    ///
    /// # Errors
    /// The address has a parameter that the route does not have, or it is that of the route.
    pub(crate) fn new(route: Pattern, to: Address, status: StatusCode) -> Result<Self, String> {
        if let Some(name) = to.path.names().find(|name| !route.names().any(|known| known == *name)) {
            return Err(format!("the path `{route}` has no part `{{{name}}}`"));
        }
        let redirect = Self { status, route, to };
        let sample = redirect.route.fill(str::to_owned);
        if redirect.to.origin.is_none() && redirect.path(&sample) == sample {
            return Err("this leads back to the route itself, over and over".to_owned());
        }
        Ok(redirect)
    }

    /// Returns the address for a request: its path, its query, and the value of its `Host`. The query of the request is
    /// kept, unless the address has one.
    ///
    /// # Errors
    /// The address needs the host, and the request has none that is valid.
    pub(crate) fn location(&self, path: &str, query: Option<&str>, host: &str) -> Result<String, InvalidHost> {
        let mut location = match &self.to.origin {
            None => String::new(),
            Some(Origin { scheme, host: Some(fixed), port }) => format!("{scheme}{fixed}{port}"),
            Some(Origin { scheme, host: None, port }) => format!("{scheme}{}{port}", without_port(host)?),
        };
        location.push_str(&self.path(path));
        match query {
            Some(query) if !self.to.rest.contains('?') => {
                location.push('?');
                location.push_str(query);
            }
            Some(_) | None => {}
        }
        location.push_str(&self.to.rest);
        Ok(location)
    }

    fn path(&self, path: &str) -> String {
        let values: Vec<(&str, &str)> = self.route.names().zip(self.route.captures(path)).collect();
        let value = |name: &str| values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        with_one_slash(self.to.path.fill(|name| value(name).unwrap_or_default()))
    }
}

/// The `Host` of the request cannot be a part of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidHost;

fn without_port(host: &str) -> Result<String, InvalidHost> {
    let authority: Authority = host.parse().map_err(|_| InvalidHost)?;
    let is_host = !authority.host().is_empty() && !host.contains('@');
    is_host.then(|| authority.host().to_owned()).ok_or(InvalidHost)
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let scheme = ["https://", "http://"].into_iter().find(|scheme| text.starts_with(scheme));
        let after = &text[scheme.map_or(0, str::len)..];
        let (host, after) = match scheme {
            Some(_) => after.split_at(after.find(['/', '?', '#']).unwrap_or(after.len())),
            None => ("", after),
        };
        if scheme.is_none() && (!text.starts_with('/') || text.starts_with("//")) {
            return Err(format!("`{text}` is not an address: write a path, or begin with https:// or http://"));
        }
        let (path, rest) = after.split_at(after.find(['?', '#']).unwrap_or(after.len()));
        if rest.contains(['{', '}']) {
            return Err(format!("`{rest}`: only the path has parameters; the query of the request is kept"));
        }
        if !rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`|".contains(&byte)) {
            return Err(format!("`{rest}` has characters that must be percent-encoded"));
        }
        let path = if path.is_empty() { "/" } else { path };
        let origin = scheme.map(|scheme| origin(scheme, host)).transpose()?;
        Ok(Self { origin, path: path.parse()?, rest: rest.to_owned() })
    }
}

fn origin(scheme: &'static str, text: &str) -> Result<Origin, String> {
    let error = || format!("`{text}` is not a host: write it like example.com or example.com:8443, or {HOST}");
    let is_client_host = text.strip_prefix(HOST).is_some_and(|port| port.is_empty() || port.starts_with(':'));
    let sample = if is_client_host { text.replacen(HOST, "host", 1) } else { text.to_owned() };
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let authority: Authority = sample.parse().ok().filter(|_| sample.bytes().all(usual)).ok_or_else(error)?;
    if authority.host().is_empty() {
        return Err(error());
    }
    let port = authority.as_str()[authority.host().len()..].to_owned();
    Ok(Origin { scheme, host: (!is_client_host).then(|| authority.host().to_owned()), port })
}

#[cfg(test)]
mod tests {
    use actix_http::Uri;
    use proptest::prelude::*;

    use super::*;

    fn redirect(route: &str, to: &str) -> Result<Redirect, String> {
        Redirect::new(route.parse().unwrap(), to.parse()?, StatusCode::PERMANENT_REDIRECT)
    }

    #[test]
    fn addresses_are_filled_from_the_request() {
        for (route, to, path, query, location) in [
            ("/old/{path...}", "/new/{path}", "/old/a/b", Some("x=1"), "/new/a/b?x=1"),
            ("/old/{path...}", "/new/{path}", "/old/", None, "/new/"),
            ("/old/{path...}", "/{path}", "/old//evil.example", None, "/evil.example"),
            ("/{path...}", "https://{host}/{path}", "/a/b", Some("x"), "https://shop.example/a/b?x"),
            ("/{path...}", "https://{host}:8443/{path}", "/", None, "https://shop.example:8443/"),
            ("/{path...}", "https://www.example.com", "/a", None, "https://www.example.com/"),
            (
                "/{a}/{b}",
                "https://example.com/{b}/{a}?from=old#top",
                "/1/%2F",
                Some("x"),
                "https://example.com/%2F/1?from=old#top",
            ),
            ("/docs", "/#/docs", "/docs", Some("x"), "/?x#/docs"),
        ] {
            let found = redirect(route, to).unwrap().location(path, query, "shop.example:8080");
            assert_eq!(found.as_deref(), Ok(location), "{route} {to}");
        }
    }

    #[test]
    fn a_host_that_is_none_is_not_repeated() {
        let redirect = redirect("/{path...}", "https://{host}/{path}").unwrap();
        for host in ["", "a/b", "user@a", "a b", ":80"] {
            assert_eq!(redirect.location("/x", None, host), Err(InvalidHost), "{host}");
        }
        assert_eq!(redirect.location("/x", None, "[::1]:8080").as_deref(), Ok("https://[::1]/x"));
    }

    #[test]
    fn addresses_that_cannot_be_meant_are_refused() {
        for (to, why) in [
            ("//evil.example/", "begin with https:// or http://"),
            ("new", "begin with https:// or http://"),
            ("ftp://example.com/", "begin with https:// or http://"),
            ("https://{path}/", "is not a host"),
            ("https://{host}.example.com/", "is not a host"),
            ("https:///a", "is not a host"),
            ("https://user@example.com/", "is not a host"),
            ("/a?x={path}", "only the path has parameters"),
            ("/a?x y", "must be percent-encoded"),
            ("/a/../b", "not in normal form"),
            ("/new/{other}", "has no part `{other}`"),
            ("/old/{path}", "leads back to the route itself"),
        ] {
            let found = redirect("/old/{path...}", to).unwrap_err();
            assert!(found.contains(why), "{to}: {found}");
        }
    }

    proptest! {
        /// No path leads to a host other than the configured one.
        #[test]
        fn a_path_does_not_change_the_host(path in "/old(/|//|///)[a-z.@:/%2F]{0,20}", absolute in any::<bool>()) {
            let to = if absolute { "https://example.com/{path}" } else { "/{path}" };
            let location = redirect("/old/{path...}", to).unwrap().location(&path, None, "a").unwrap();
            if absolute {
                let uri: Uri = location.parse().unwrap();
                prop_assert_eq!(uri.host(), Some("example.com"));
            } else {
                prop_assert!(location.starts_with('/') && !location.starts_with("//"), "{}", location);
            }
        }
    }
}
