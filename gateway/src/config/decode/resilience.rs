//! Decodes what keeps upstreams and the gateway itself available: balance, health checks, breaker, retries, limits.

use std::time::Duration;

use actix_http::Method;

use crate::{
    config::{
        keys::{
            self,
            file::LimitsKeys,
            upstreams::{BALANCES, BalanceKeys, BreakerKeys, HealthKeys, RetryKeys},
            values::PAGE,
        },
        yaml::{
            mistake::{Mistakes, did_you_mean},
            tree::{Node, Value},
        },
    },
    connection::{WritePace, settings::ServerLimits},
    upstream::{
        decide::{
            balance::{Balance, HashKey},
            breaker::BreakerSettings,
            retry::RetrySettings,
        },
        settings::HealthSettings,
    },
};

/// `round_robin`, `least_in_flight`, `p2c`, `{hash: a-header}` or `{hash: caller}`.
pub(crate) fn balance(node: &Node, mistakes: &Mistakes) -> Option<Balance> {
    let Value::Mapping(_) = &node.value else { return balance_word(node, mistakes) };
    let key =
        node.table(&BalanceKeys::SECTION, mistakes).node(&BalanceKeys::HASH)?.parse(mistakes, |text| match text {
            "caller" => Ok(HashKey::Caller),
            name => keys::header_name(name).map(HashKey::Header),
        });
    key.map(Balance::Hash)
}

fn balance_word(node: &Node, mistakes: &Mistakes) -> Option<Balance> {
    let text = node.scalar(mistakes)?;
    match text.parse() {
        Ok(balance) => Some(balance),
        Err(message) => {
            node.report_with_optional_help(mistakes, message, did_you_mean(text, BALANCES));
            None
        }
    }
}

/// `/health/ready`, or `{path: /health/ready, interval: 2s, timeout: 1s, healthy: 1, unhealthy: 3}`; `off` is `None`.
pub(crate) fn health(node: &Node, mistakes: &Mistakes) -> Option<HealthSettings> {
    let Value::Mapping(_) = &node.value else {
        return node.parse(mistakes, PAGE.parse).flatten().map(HealthSettings::at);
    };
    let table = node.table(&HealthKeys::SECTION, mistakes);
    let default = HealthSettings::at(table.get(&HealthKeys::PATH).unwrap_or_default());
    Some(HealthSettings {
        interval: table.get(&HealthKeys::INTERVAL).unwrap_or(default.interval),
        timeout: table.get(&HealthKeys::TIMEOUT).unwrap_or(default.timeout),
        healthy: table.get(&HealthKeys::HEALTHY).unwrap_or(default.healthy),
        unhealthy: table.get(&HealthKeys::UNHEALTHY).unwrap_or(default.unhealthy),
        path: default.path,
    })
}

/// `{failures: 5, share: 50%, requests: 20, window: 10s, open: 5s}`; `off` is `None`.
pub(crate) fn breaker(node: &Node, mistakes: &Mistakes) -> Option<BreakerSettings> {
    if node.is_off() {
        return None;
    }
    let table = node.table(&BreakerKeys::SECTION, mistakes);
    let default = BreakerSettings::default();
    Some(BreakerSettings {
        failures: table.get(&BreakerKeys::FAILURES).unwrap_or(default.failures),
        failed_percent: table.get(&BreakerKeys::SHARE).unwrap_or(default.failed_percent),
        requests_min: table.get(&BreakerKeys::REQUESTS).unwrap_or(default.requests_min),
        window: table.get(&BreakerKeys::WINDOW).unwrap_or(default.window),
        open: table.get(&BreakerKeys::OPEN).unwrap_or(default.open),
    })
}

/// `{attempts: 2, budget: 20%, methods: [PUT, DELETE], idempotency_key: true}`, completed from `default`; `off` is one
/// attempt.
pub(crate) fn retry(node: &Node, default: &RetrySettings, mistakes: &Mistakes) -> RetrySettings {
    if node.is_off() {
        return RetrySettings { attempts: 1, ..default.clone() };
    }
    let table = node.table(&RetryKeys::SECTION, mistakes);
    let methods = table.node(&RetryKeys::METHODS).map(|node| {
        node.items(mistakes).into_iter().filter_map(|item| item.parse(mistakes, idempotent_method)).collect()
    });
    RetrySettings {
        attempts: table.get(&RetryKeys::ATTEMPTS).unwrap_or(default.attempts),
        budget_percent: table.get(&RetryKeys::BUDGET).unwrap_or(default.budget_percent),
        methods: methods.unwrap_or_else(|| default.methods.clone()),
        idempotency_key: table.get(&RetryKeys::IDEMPOTENCY_KEY).unwrap_or(default.idempotency_key),
    }
}

/// The idempotent methods that are not safe (RFC 9110, section 9.2.2).
fn idempotent_method(text: &str) -> Result<Method, String> {
    match text {
        "PUT" => Ok(Method::PUT),
        "DELETE" => Ok(Method::DELETE),
        "GET" | "HEAD" | "OPTIONS" => Err(format!("{text} is safe, and is retried anyway; leave it out")),
        _ => Err(format!("`{text}` may do something twice; there are PUT and DELETE, and `idempotency_key: true`")),
    }
}

/// `{connections: 10000, head_bytes: 64KiB, head_timeout: 10s, keep_alive: 75s, streams: 128, write_timeout: 60s, write_rate: 240B/s}`.
pub(crate) fn server_limits(node: Option<&Node>, mistakes: &Mistakes) -> ServerLimits {
    let default = ServerLimits {
        // With a head of 64 KiB each, 640 MB at worst; idle connections take a few KiB.
        connections: 10_000,
        head_bytes_max: 64 * 1024,
        head_timeout: Duration::from_secs(10),
        keep_alive: chassis::server::KEEP_ALIVE,
        streams_max: 128,
        write_pace: WritePace { timeout: Duration::from_secs(60), rate_min: 240 },
    };
    let Some(node) = node else { return default };
    let table = node.table(&LimitsKeys::SECTION, mistakes);
    ServerLimits {
        connections: table.get(&LimitsKeys::CONNECTIONS).unwrap_or(default.connections),
        head_bytes_max: table.get(&LimitsKeys::HEAD_BYTES).unwrap_or(default.head_bytes_max),
        head_timeout: table.get(&LimitsKeys::HEAD_TIMEOUT).unwrap_or(default.head_timeout),
        keep_alive: table.get(&LimitsKeys::KEEP_ALIVE).unwrap_or(default.keep_alive),
        streams_max: table.get(&LimitsKeys::STREAMS).unwrap_or(default.streams_max),
        write_pace: WritePace {
            timeout: table.get(&LimitsKeys::WRITE_TIMEOUT).unwrap_or(default.write_pace.timeout),
            rate_min: table.get(&LimitsKeys::WRITE_RATE).map_or(default.write_pace.rate_min, Option::unwrap_or_default),
        },
    }
}
