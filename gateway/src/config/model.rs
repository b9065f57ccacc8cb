//! The configuration after decoding: the product of the settings that each part owns. Knows no YAML.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use actix_http::{
    Method,
    header::{HeaderName, HeaderValue},
};
use ipnet::IpNet;

use super::yaml::mistake::Place;
use crate::{
    auth::{claims::Claims, identity_claim::IdentityClaim, settings::TokenSettings},
    connection::settings::ServerLimits,
    route::{BuiltinPaths, Destination, RouteSettings, RouteTarget},
    routing::{condition::HostPattern, table::Table},
    telemetry::settings::ObserveSettings,
    tls::server::TlsSettings,
    upstream::settings::UpstreamSettings,
};

/// The configuration of a gateway. Every value in it is valid: values that are not are reported as mistakes instead.
///
/// Programs that embed the gateway get one from [`Builder::load`](crate::Builder::load) and pass it to
/// [`Server::bind`](crate::Server::bind). [`Config::load`] checks a text without serving it:
///
/// ```
/// use gateway::config::Config;
///
/// let yaml = r#"
/// version: 1
/// listen: 127.0.0.1:8001
/// admin: 127.0.0.1:9000
/// upstreams:
///   app: {targets: ["${APP_URL:-http://127.0.0.1:3000}"]}
/// routes:
///   - {route: "* /{path...}", to: app, auth: public}
/// "#;
/// assert!(Config::load(yaml, &|_| None).is_ok());
/// ```
#[derive(Debug)]
pub struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Host names under which the admin listener answers, besides addresses and those of the loopback interface.
    pub(crate) admin_hosts: Vec<HostPattern>,
    /// TLS of the public listener; `None` is plain HTTP.
    pub(crate) tls: Option<TlsSettings>,
    /// Peers whose `X-Forwarded-For` is trusted.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Headers that tell upstreams who the caller is, and the claim that each carries.
    pub(crate) identity_headers: Vec<(HeaderName, IdentityClaim)>,
    pub(crate) tokens: Option<TokenSettings>,
    /// Prefixes and what replaces them, the longest prefix first.
    pub(crate) aliases: Vec<(String, String)>,
    pub(crate) builtin: BuiltinPaths,
    pub(crate) limits: ServerLimits,
    pub(crate) upstreams: Vec<UpstreamSettings>,
    pub(crate) routes: Vec<Arc<RouteSettings>>,
    /// What is logged and reported about requests.
    pub(crate) observe: ObserveSettings,
    /// Finds the route or the gateway's own page that a request belongs to.
    pub(crate) table: Table<Destination>,
    /// The tests of the routes.
    pub(crate) tests: Vec<Case>,
}

impl Config {
    /// Returns the upstream of a route; `None` where the gateway answers itself.
    pub(crate) fn upstream_of(&self, route: &RouteSettings) -> Option<&UpstreamSettings> {
        match &route.to {
            RouteTarget::Upstream(index) => Some(&self.upstreams[*index]),
            RouteTarget::Own(_) => None,
        }
    }

    /// Names what answers the requests of a route, for people: `users`, or `respond 503`.
    pub(crate) fn target_name(&self, route: &RouteSettings) -> String {
        match &route.to {
            RouteTarget::Upstream(index) => self.upstreams[*index].name.clone(),
            RouteTarget::Own(answer) => {
                let (key, status) = answer.kind();
                format!("{key} {}", status.as_u16())
            }
        }
    }
}

/// A test of the routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    /// Its place in the file.
    pub(crate) place: Place,
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    /// The claims of the caller; `None` is a caller who is not signed in.
    pub(crate) caller: Option<Claims>,
    /// The address of the client; `None` is one on this machine.
    pub(crate) client: Option<IpAddr>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Option<String>,
    pub(crate) expected: Expected,
}

/// The expected outcome of a request. `None` is not checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The gateway answers the request itself, with this status.
    pub(crate) status: Option<u16>,
    /// The name of the upstream that the request is forwarded to.
    pub(crate) to: Option<String>,
    /// Path and query that the upstream receives.
    pub(crate) path: Option<String>,
    /// Headers and their values; a value of `None` means that the header must be absent.
    pub(crate) headers: Vec<(HeaderName, Option<String>)>,
}
