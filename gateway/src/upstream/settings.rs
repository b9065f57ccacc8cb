//! The settings of an upstream: its targets, how requests are spread over them, and its limits. Knows no YAML.

use std::time::Duration;

use actix_http::{header::HeaderValue, uri::Authority};
use chassis::config::Secret;

use super::decide::{balance::Balance, breaker::BreakerSettings};
use crate::tls::client::UpstreamTlsSettings;

/// How targets are asked for their health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HealthSettings {
    /// Answers 2xx where the target is well.
    pub(crate) path: String,
    /// From the end of one check to the next.
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    /// So many good answers in a row bring a target back.
    pub(crate) healthy: u32,
    /// So many bad ones take it out.
    pub(crate) unhealthy: u32,
}

impl HealthSettings {
    /// The usual for this path.
    pub(crate) fn at(path: String) -> Self {
        Self { path, interval: Duration::from_secs(2), timeout: Duration::from_secs(1), healthy: 1, unhealthy: 3 }
    }
}

/// What a URI of http leaves out.
pub(crate) const HTTP_PORT: &str = ":80";

/// What a URI of https leaves out.
pub(crate) const HTTPS_PORT: &str = ":443";

/// A service behind the gateway.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UpstreamSettings {
    pub(crate) name: String,
    /// Its addresses; requests are spread over them.
    pub(crate) targets: Vec<TargetSettings>,
    pub(crate) balance: Balance,
    /// How its targets are asked for their health; `None` is not at all.
    pub(crate) health: Option<HealthSettings>,
    /// When a target is taken out for its failures; `None` is never.
    pub(crate) breaker: Option<BreakerSettings>,
    /// No more than this share of the targets is taken out for failures, in percent, as long as one is well.
    pub(crate) ejected_percent_max: u8,
    /// How TLS is spoken with its targets; all of them speak it, or none.
    pub(crate) tls: Option<UpstreamTlsSettings>,
    /// The audience and key of the assertions that it asks for.
    pub(crate) assertion: Option<(String, Secret)>,
    /// Where it serves its OpenAPI document.
    pub(crate) openapi: Option<String>,
    /// More requests than this at once are refused.
    pub(crate) in_flight_max: usize,
    pub(crate) connect_timeout: Duration,
}

/// One target of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TargetSettings {
    pub(crate) address: TargetAddress,
    /// Its share of the requests, from 1.
    pub(crate) weight: u32,
}

/// `http://host:port` of one target, or `https://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TargetAddress {
    /// `host:port`, as in a URI.
    pub(crate) authority: Authority,
    /// Whether TLS is spoken there.
    pub(crate) tls: bool,
    /// The `Host` of requests, made once.
    pub(crate) host: HeaderValue,
}

impl TargetAddress {
    /// A target at this address. Its `Host` leaves out the port that goes without saying (RFC 9110, section 4.2.3).
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
