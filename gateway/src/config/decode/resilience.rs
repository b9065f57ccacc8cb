//! Decodes how upstreams and the gateway itself are kept going: balance, health checks, breaker, retries, limits.

use std::time::Duration;

use actix_http::{Method, header::HeaderName};

use super::values;
use crate::{
    config::{
        keys::{
            file::SERVER_LIMITS,
            upstreams::{BALANCE, BREAKER, HEALTH, RETRY},
        },
        yaml::{
            mistake::Mistakes,
            tree::{Node, Value},
        },
    },
    connection::settings::ServerLimits,
    upstream::{
        decide::{
            balance::{Balance, HashKey},
            breaker::BreakerSettings,
            retry::RetrySettings,
        },
        settings::HealthSettings,
    },
};

/// Each attempt may take as long as the head of an answer may; more of them only keep a client waiting.
const ATTEMPTS_MAX: u32 = 5;

/// `round_robin`, `least_in_flight`, `p2c`, `{hash: a-header}` or `{hash: caller}`.
pub(crate) fn balance(node: &Node, mistakes: &mut Mistakes) -> Option<Balance> {
    let Value::Mapping(_) = &node.value else { return node.parse(mistakes, str::parse) };
    let mut table = node.table(&BALANCE, mistakes);
    let key = table.required("hash", mistakes).and_then(|node| {
        node.parse(mistakes, |text| match text {
            "caller" => Ok(HashKey::Caller),
            name => name.parse::<HeaderName>().map(HashKey::Header).map_err(|_| format!("`{name}` is no header name")),
        })
    });
    table.finish(mistakes);
    key.map(Balance::Hash)
}

/// `/health/ready`, or `{path: /health/ready, interval: 2s, timeout: 1s, healthy: 1, unhealthy: 3}`; `off` is none.
pub(crate) fn health(node: &Node, mistakes: &mut Mistakes) -> Option<HealthSettings> {
    let Value::Mapping(_) = &node.value else {
        return node.parse(mistakes, values::builtin_path).flatten().map(HealthSettings::at);
    };
    let mut table = node.table(&HEALTH, mistakes);
    let path = table.required("path", mistakes).and_then(|node| node.parse(mistakes, values::path_prefix));
    let mut settings = HealthSettings::at(path.unwrap_or_default());
    let mut duration = |name| table.optional(name).and_then(|node| node.parse(mistakes, values::duration));
    settings.interval = duration("interval").unwrap_or(settings.interval);
    settings.timeout = duration("timeout").unwrap_or(settings.timeout);
    let mut count = |name| table.optional(name).and_then(|node| node.parse(mistakes, values::count_u32));
    settings.healthy = count("healthy").unwrap_or(settings.healthy);
    settings.unhealthy = count("unhealthy").unwrap_or(settings.unhealthy);
    table.finish(mistakes);
    Some(settings)
}

/// `off`, or `{failures: 5, share: 50%, requests: 20, window: 10s, open: 5s}`.
pub(crate) fn breaker(node: &Node, mistakes: &mut Mistakes) -> Option<BreakerSettings> {
    if let Value::Scalar(text) = &node.value
        && text == "off"
    {
        return None;
    }
    let mut table = node.table(&BREAKER, mistakes);
    let mut settings = BreakerSettings::default();
    let mut count = |name| table.optional(name).and_then(|node| node.parse(mistakes, values::count_u32));
    settings.failures = count("failures").unwrap_or(settings.failures);
    settings.requests_min = count("requests").unwrap_or(settings.requests_min);
    let share =
        table.optional("share").and_then(|node| {
            node.parse(mistakes, |text| match values::percent(text)? {
                0 => Err("a share of 0% would open it at the first request; to have no breaker write `breaker: off`"
                    .to_owned()),
                percent => Ok(percent),
            })
        });
    settings.failed_percent = share.unwrap_or(settings.failed_percent);
    let mut duration = |name| table.optional(name).and_then(|node| node.parse(mistakes, values::duration));
    settings.window = duration("window").unwrap_or(settings.window);
    settings.open = duration("open").unwrap_or(settings.open);
    table.finish(mistakes);
    Some(settings)
}

/// `{attempts: 2, budget: 20%, methods: [PUT, DELETE], idempotency_key: true}` or `off`; what is left out is as in `default`.
pub(crate) fn retry(node: &Node, default: &RetrySettings, mistakes: &mut Mistakes) -> RetrySettings {
    if let Value::Scalar(text) = &node.value
        && text == "off"
    {
        return RetrySettings { attempts: 1, ..default.clone() };
    }
    let mut table = node.table(&RETRY, mistakes);
    let attempts = table.optional("attempts").and_then(|node| {
        node.parse(mistakes, |text| match text.parse() {
            Ok(attempts @ 1..=ATTEMPTS_MAX) => Ok(attempts),
            Ok(_) | Err(_) => Err(format!("`{text}` is not a number of attempts from 1 (no retry) to {ATTEMPTS_MAX}")),
        })
    });
    let budget = table.optional("budget").and_then(|node| node.parse(mistakes, values::percent));
    let methods = table
        .optional("methods")
        .map(|node| node.items(mistakes).into_iter().filter_map(|item| item.parse(mistakes, repeatable)).collect());
    let idempotency_key = table.optional("idempotency_key").and_then(|node| node.parse(mistakes, values::boolean));
    table.finish(mistakes);
    RetrySettings {
        attempts: attempts.unwrap_or(default.attempts),
        budget_percent: budget.unwrap_or(default.budget_percent),
        methods: methods.unwrap_or_else(|| default.methods.clone()),
        idempotency_key: idempotency_key.unwrap_or(default.idempotency_key),
    }
}

/// What actix-http reads of a head before it gives up (its `MAX_BUFFER_SIZE`).
const HEAD_BYTES_MAX: usize = 128 * 1024;

/// `{connections: 10000, head_bytes: 64KiB, head_timeout: 10s, write_timeout: 60s}`.
pub(crate) fn server_limits(node: Option<&Node>, mistakes: &mut Mistakes) -> ServerLimits {
    let mut limits = ServerLimits {
        // With a head of 64 KiB each, 640 MB at worst; idle ones take a few KiB.
        connections: 10_000,
        head_bytes_max: 64 * 1024,
        head_timeout: Duration::from_secs(10),
        write_timeout: Duration::from_secs(60),
    };
    let Some(node) = node else { return limits };
    let mut table = node.table(&SERVER_LIMITS, mistakes);
    let connections = table.optional("connections").and_then(|node| node.parse(mistakes, values::count));
    limits.connections = connections.unwrap_or(limits.connections);
    let head_bytes = table.optional("head_bytes").and_then(|node| {
        node.parse(mistakes, |text| match values::bytes(text).map(usize::try_from)? {
            Ok(bytes @ 1..=HEAD_BYTES_MAX) => Ok(bytes),
            Ok(_) | Err(_) => Err(format!("`{text}` is not a size from 1 to 128KiB")),
        })
    });
    limits.head_bytes_max = head_bytes.unwrap_or(limits.head_bytes_max);
    let head_timeout = table.optional("head_timeout").and_then(|node| node.parse(mistakes, values::duration));
    limits.head_timeout = head_timeout.unwrap_or(limits.head_timeout);
    let write_timeout = table.optional("write_timeout").and_then(|node| node.parse(mistakes, values::duration));
    limits.write_timeout = write_timeout.unwrap_or(limits.write_timeout);
    table.finish(mistakes);
    limits
}

/// The idempotent methods that are not safe (RFC 9110, section 9.2.2).
fn repeatable(text: &str) -> Result<Method, String> {
    match text {
        "PUT" => Ok(Method::PUT),
        "DELETE" => Ok(Method::DELETE),
        "GET" | "HEAD" | "OPTIONS" => Err(format!("{text} is safe, and is retried anyway; leave it out")),
        _ => Err(format!("`{text}` may do something twice; there are PUT and DELETE, and `idempotency_key: true`")),
    }
}
