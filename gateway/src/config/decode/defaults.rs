//! Decodes `defaults`: values for what routes and upstreams leave out; and the timeouts, which both have.

use std::time::Duration;

use super::{
    cors,
    headers::{self, Reserved},
    resilience,
};
use crate::{
    config::{
        keys::{
            file::{DefaultTimeoutKeys, DefaultsKeys},
            routes::{BODY_LIMIT, BODY_RATE, CORS, HEAD, IDLE, REQUEST_HEADERS, RESPONSE_HEADERS, RETRY, TOTAL},
        },
        yaml::{mistake::Mistakes, table::Table, tree::Node},
    },
    route::Timeouts,
    rules::{cors::Cors, edits::Edits},
    upstream::decide::retry::RetrySettings,
};

/// Values for what routes and upstreams leave out.
pub(crate) struct Defaults {
    pub(crate) connect_timeout: Duration,
    pub(crate) timeouts: Timeouts,
    pub(crate) retry: RetrySettings,
    pub(crate) body_bytes_max: u64,
    pub(crate) body_rate_min: Option<u64>,
    pub(crate) request_edits: Edits,
    pub(crate) response_edits: Edits,
    pub(crate) cors: Option<Cors>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            // Less than the 60 s after which many clients and load balancers give up, so that they receive our answer.
            timeouts: Timeouts { head: Duration::from_secs(59), idle: Duration::from_secs(30), total: None },
            retry: RetrySettings::default(),
            body_bytes_max: 1024 * 1024,
            // As in Kestrel; no modem is slower.
            body_rate_min: Some(240),
            request_edits: Edits::default(),
            response_edits: Edits::default(),
            cors: None,
        }
    }
}

/// Decodes `defaults`, which may be absent.
pub(crate) fn decode(node: Option<&Node>, reserved: &Reserved<'_>, mistakes: &Mistakes) -> Defaults {
    let mut values = Defaults::default();
    let Some(node) = node else { return values };
    let table = node.table(&DefaultsKeys::SECTION, mistakes);
    if let Some(node) = table.node(&DefaultsKeys::TIMEOUT) {
        let table = node.table(&DefaultTimeoutKeys::SECTION, mistakes);
        values.connect_timeout = table.get(&DefaultTimeoutKeys::CONNECT).unwrap_or(values.connect_timeout);
        values.timeouts = timeouts(table, values.timeouts);
    }
    if let Some(node) = table.node(&RETRY) {
        values.retry = resilience::retry(node, &values.retry, mistakes);
    }
    values.body_bytes_max = table.get(&BODY_LIMIT).unwrap_or(values.body_bytes_max);
    values.body_rate_min = table.get(&BODY_RATE).unwrap_or(values.body_rate_min);
    values.request_edits = headers::decode(table.node(&REQUEST_HEADERS), &Edits::default(), reserved, mistakes);
    values.response_edits = headers::decode(table.node(&RESPONSE_HEADERS), &Edits::default(), reserved, mistakes);
    values.cors = table.node(&CORS).and_then(|node| cors::decode(node, mistakes));
    values
}

/// The timeouts of a route or of `defaults`.
pub(crate) fn timeouts(table: Table<'_>, default: Timeouts) -> Timeouts {
    Timeouts {
        head: table.get(&HEAD).unwrap_or(default.head),
        idle: table.get(&IDLE).unwrap_or(default.idle),
        total: table.get(&TOTAL).or(default.total),
    }
}
