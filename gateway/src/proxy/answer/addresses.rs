//! The addresses in one answer: by which hosts its upstream may call itself, and where clients find the same.

use actix_http::header::{HeaderMap, HeaderValue, X_FORWARDED_HOST, X_FORWARDED_PROTO};

use crate::{
    route::RouteSettings,
    rules::reverse_mapping::{ReverseMapping, has_addresses},
    upstream::{handle::Upstream, settings::HostHeader, wire::client::Outgoing},
};

/// What is known of a request, to turn the addresses in its answer.
pub(crate) struct Addresses<'a> {
    route: &'a RouteSettings,
    upstream: &'a Upstream,
    /// The path of the request, as it was matched.
    path: &'a str,
    /// Scheme and host of the gateway, as the upstream was told.
    scheme: Option<HeaderValue>,
    host: Option<HeaderValue>,
}

impl<'a> Addresses<'a> {
    /// Those of a request that is about to be sent. `None` where the upstream knows the address that clients use.
    pub(crate) fn of(
        route: &'a RouteSettings,
        upstream: &'a Upstream,
        path: &'a str,
        outgoing: &Outgoing,
    ) -> Option<Self> {
        if route.host == HostHeader::Keep && route.rewrite.is_none() {
            return None;
        }
        let told = |name| outgoing.headers.get(name).cloned();
        Some(Self { route, upstream, path, scheme: told(X_FORWARDED_PROTO), host: told(X_FORWARDED_HOST) })
    }

    /// Turns the addresses in the headers of the answer.
    pub(super) fn turn(&self, headers: &mut HeaderMap) {
        if !has_addresses(headers) {
            return;
        }
        let upstream = self.upstream.settings();
        let targets = upstream.targets.iter().map(|target| target.address.authority.as_str());
        let name = match &self.route.host {
            HostHeader::Name(name) => name.to_str().ok(),
            HostHeader::Target | HostHeader::Keep => None,
        };
        let rewrite = self.route.rewrite.as_ref();
        ReverseMapping {
            upstream: &targets.chain(name).collect::<Vec<_>>(),
            public: (first(self.scheme.as_ref()).unwrap_or("http"), first(self.host.as_ref())),
            path: &|path| rewrite?.reverse(path, self.path),
        }
        .apply(headers);
    }
}

/// The first of the values that several proxies have listed: that of the one next to the client.
fn first(value: Option<&HeaderValue>) -> Option<&str> {
    value?.to_str().ok()?.split(',').next().map(str::trim).filter(|value| !value.is_empty())
}
