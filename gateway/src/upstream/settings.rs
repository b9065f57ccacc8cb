//! The settings of an upstream: its targets, load balancing, health checks and limits. Knows no YAML.

use std::time::Duration;

use actix_http::{header::HeaderValue, uri::Authority};
use chassis::config::Secret;

use super::decide::{balance::Balance, breaker::BreakerSettings};
use crate::tls::client::UpstreamTlsSettings;

/// The settings of active health checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HealthSettings {
    /// The path of the check. A target that answers 2xx is healthy.
    pub(crate) path: String,
    /// Interval from the end of one check to the start of the next.
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    /// Number of good checks in a row that make a target healthy.
    pub(crate) healthy: u32,
    /// Number of bad checks in a row that make a target unhealthy.
    pub(crate) unhealthy: u32,
}

impl HealthSettings {
    /// The default settings for this path.
    pub(crate) fn at(path: String) -> Self {
        Self { path, interval: Duration::from_secs(2), timeout: Duration::from_secs(1), healthy: 1, unhealthy: 3 }
    }
}

/// The default port of `http`, as a URI may leave it out.
pub(crate) const HTTP_PORT: &str = ":80";

/// The default port of `https`, as a URI may leave it out.
pub(crate) const HTTPS_PORT: &str = ":443";

/// A service behind the gateway.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UpstreamSettings {
    pub(crate) name: String,
    /// Its targets; requests are balanced over them.
    pub(crate) targets: Vec<TargetSettings>,
    pub(crate) balance: Balance,
    /// The `Host` of its requests, if their route does not say otherwise.
    pub(crate) host: HostHeader,
    /// Active health checks; `None` for none.
    pub(crate) health: Option<HealthSettings>,
    /// The circuit breaker of each target; `None` for none.
    pub(crate) breaker: Option<BreakerSettings>,
    /// Maximum share of targets that are ejected by their breakers, in percent, as long as one is available.
    pub(crate) ejected_percent_max: u8,
    /// TLS to its targets; `None` for plain HTTP to all of them.
    pub(crate) tls: Option<UpstreamTlsSettings>,
    /// The audience and the key of the assertions that it asks for.
    pub(crate) assertion: Option<(String, Secret)>,
    /// The path of its OpenAPI document.
    pub(crate) openapi: Option<String>,
    /// Maximum number of requests in flight; further ones are refused.
    pub(crate) in_flight_max: usize,
    pub(crate) connect_timeout: Duration,
    /// How long an idle connection to a target is kept.
    pub(crate) keep_alive: Duration,
}

impl UpstreamSettings {
    /// Returns whether a target is judged in the same way under both settings: checked, connected to and ejected alike.
    pub(crate) fn judges_targets_as(&self, other: &Self) -> bool {
        let judgement =
            |of: &Self| (of.health.clone(), of.host.fixed(), of.breaker.clone(), of.tls.clone(), of.connect_timeout);
        judgement(self) == judgement(other)
    }
}

/// The `Host` of requests to an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum HostHeader {
    /// The address of the target that gets the request.
    #[default]
    Target,
    /// As the client sent it; that of the target where it sent none.
    Keep,
    /// Always this.
    Name(HeaderValue),
}

impl HostHeader {
    /// Returns the `Host` that is the same for all requests; `None` where it depends on them.
    pub(crate) fn fixed(&self) -> Option<HeaderValue> {
        match self {
            Self::Name(name) => Some(name.clone()),
            Self::Target | Self::Keep => None,
        }
    }
}

/// One target of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TargetSettings {
    pub(crate) address: TargetAddress,
    /// Its share of the requests, from 1.
    pub(crate) weight: u32,
}

/// The address of a target: `http://host:port` or `https://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TargetAddress {
    /// `host:port`, as in a URI.
    pub(crate) authority: Authority,
    /// Whether it is `https`.
    pub(crate) tls: bool,
    /// The `Host` of requests.
    pub(crate) host: HeaderValue,
}

impl TargetAddress {
    /// The address with its `Host`, which leaves out the default port (RFC 9110, section 4.2.3).
    ///
    /// # Errors
    /// The address cannot stand in a header.
    pub(crate) fn new(authority: Authority, tls: bool) -> Result<Self, String> {
        let port = if tls { HTTPS_PORT } else { HTTP_PORT };
        let text = authority.as_str();
        let host = HeaderValue::from_str(text.strip_suffix(port).unwrap_or(text)).map_err(|error| error.to_string())?;
        Ok(Self { authority, tls, host })
    }
}
