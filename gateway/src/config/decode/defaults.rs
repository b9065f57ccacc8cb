//! Decodes `defaults`: values for what routes and upstreams leave out; and the timeouts, which both have.

use std::time::Duration;

use ipnet::IpNet;

use super::{
    cors,
    headers::{self, Reserved},
    networks::networks,
    resilience,
};
use crate::{
    config::{
        keys::{
            file::{DefaultTimeoutKeys, DefaultsKeys},
            routes::{
                BODY_LIMIT, BODY_RATE, CORS, FROM, HEAD, IDLE, NOT_FROM, REQUEST_HEADERS, RESPONSE_HEADERS, RETRY,
                TOTAL,
            },
        },
        yaml::{
            mistake::Mistakes,
            table::Table,
            tree::{Node, Value},
        },
    },
    route::Timeouts,
    rules::{addresses::Addresses, cors::Cors, edits::Edits},
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
    pub(crate) addresses: Addresses,
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
            addresses: Addresses::default(),
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
    values.addresses = addresses(table, &Addresses::default(), mistakes);
    values
}

/// From which addresses a route may be used, by its own keys or by those of `defaults`.
pub(crate) fn addresses(table: Table<'_>, default: &Addresses, mistakes: &Mistakes) -> Addresses {
    let from = table.node(&FROM);
    if let Some(node) = from
        && is_blank(node)
    {
        // Such as a variable that is empty: it must not open the route to everybody.
        node.report(
            mistakes,
            "no network is named here, so that nobody could use the route; leave `from` out for everybody",
        );
    }
    let list =
        |node: Option<&Node>, default: &[IpNet]| node.map_or_else(|| default.to_vec(), |node| networks(node, mistakes));
    Addresses { from: list(from, &default.from), not_from: list(table.node(&NOT_FROM), &default.not_from) }
}

fn is_blank(node: &Node) -> bool {
    let is_blank =
        |item: &Node| matches!(&item.value, Value::Scalar(text) if text.split(',').all(|part| part.trim().is_empty()));
    match &node.value {
        Value::Sequence(items) => items.iter().all(is_blank),
        Value::Scalar(_) | Value::Null | Value::Mapping(_) | Value::Unreadable => is_blank(node),
    }
}

/// The timeouts of a route or of `defaults`.
pub(crate) fn timeouts(table: Table<'_>, default: Timeouts) -> Timeouts {
    Timeouts {
        head: table.get(&HEAD).unwrap_or(default.head),
        idle: table.get(&IDLE).unwrap_or(default.idle),
        total: table.get(&TOTAL).or(default.total),
    }
}
