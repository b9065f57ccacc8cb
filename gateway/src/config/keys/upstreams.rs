//! The keys of an upstream: its targets, and what happens when they fail.

use std::time::Duration;

use super::{
    parse,
    shape::{
        Key, Kind, Scalar, Section,
        Shape::{Either, List, Table, Text, Whole, Words},
        Subtree, inherited, optional, required, section, subtree,
    },
    tls::UpstreamTlsKeys,
    values::{COUNT, COUNT_U32, DURATION, FLAG, HOST_HEADER, PAGE, PATH, PERCENT, SHARE, TARGET_URL, TEXT},
};
use crate::upstream::settings::{HostHeader, TargetAddress};

/// A share of less than a thousandth of the requests is hardly intended; it also bounds the sum of all weights.
const WEIGHT_MAX: u32 = 1000;
/// Each attempt may take `timeout.head`: more attempts only keep the client waiting.
const ATTEMPTS_MAX: u32 = 5;

/// The kinds of balancing that are a word.
pub(crate) const BALANCES: [&str; 3] = ["round_robin", "least_in_flight", "p2c"];

const WEIGHT_VALUE: Kind<Scalar<u32>> = Kind { shape: Whole(1, WEIGHT_MAX as u64), parse: weight };
const ATTEMPTS_VALUE: Kind<Scalar<u32>> = Kind { shape: Whole(1, ATTEMPTS_MAX as u64), parse: attempts };
const FAILURE_SHARE: Kind<Scalar<u8>> = Kind { shape: SHARE.shape, parse: failure_share };

section! { UpstreamKeys ("upstream", "A service behind the gateway.") {
    TARGETS: Subtree = required(
        "targets",
        subtree(List(&Either(&[TARGET_URL.shape, Table(&TargetKeys::SECTION)]), 1)),
        "The addresses that requests are balanced over, at most 64: `[http://host:port, {url: http://host:port, weight: 3}]`. All are `http://`, or all are `https://`",
    )
    .elsewhere(&["url", "servers", "hosts", "nodes", "endpoints", "address"]);
    TLS: Subtree = optional(
        "tls",
        "`{}`",
        subtree(Table(&UpstreamTlsKeys::SECTION)),
        "TLS to `https://` targets. Their certificates are always verified",
    );
    HOST: Scalar<HostHeader> = optional(
        "host",
        "`target`",
        HOST_HEADER,
        "The `Host` of its requests: `target` (its address), `keep` (as the client sent it), or a name: `shop.internal`. Health checks have the name too",
    )
    .elsewhere(&["preserve_host", "pass_host_header", "host_header"]);
    BALANCE: Subtree = optional(
        "balance",
        "`round_robin`",
        subtree(Either(&[Words(&BALANCES), Table(&BalanceKeys::SECTION)])),
        "How a target is chosen: `round_robin`, `least_in_flight`, `p2c` (the less busy of two that are drawn by weight), or a table for hashing",
    );
    HEALTH: Subtree = optional(
        "health",
        "`off`",
        subtree(Either(&[PAGE.shape, Table(&HealthKeys::SECTION)])),
        "Active health checks: the path to request, a table, or `off`",
    );
    BREAKER: Subtree = optional(
        "breaker",
        "`{}`",
        subtree(Either(&[Words(&["off"]), Table(&BreakerKeys::SECTION)])),
        "When a failing target stops receiving requests, or `off`",
    );
    MAX_EJECTED: Scalar<u8> = optional(
        "max_ejected",
        "`70%`",
        PERCENT,
        "Maximum share of the targets that breakers may take out of use, as long as another target is healthy",
    );
    ASSERTION: Scalar<String> = optional(
        "assertion",
        "none",
        TEXT,
        "The name by which the service verifies assertions; they are signed with the key in the variable `NAME_INTERNAL_KEY`",
    );
    OPENAPI: Scalar<String> = optional(
        "openapi",
        "none",
        PATH,
        "The path of the service's OpenAPI document, which is merged into that of the gateway",
    );
    MAX_IN_FLIGHT: Scalar<usize> = optional(
        "max_in_flight",
        "`1024`",
        COUNT,
        "Maximum number of concurrent requests; more are answered 503",
    );
    CONNECT_TIMEOUT: Scalar<Duration> =
        optional("connect_timeout", "`defaults.timeout.connect`", DURATION, "Maximum time to connect to a target");
    KEEP_ALIVE: Scalar<Duration> = optional(
        "keep_alive",
        "`60s`",
        DURATION,
        "How long an idle connection to a target is kept. Less than the target keeps it (Node.js and uvicorn: 5 s), so that no request is sent on one that is just being closed; where the target says `Keep-Alive: timeout=5`, that counts as well",
    );
}}

section! { TargetKeys ("target", "One target of an upstream, with a weight.") {
    URL: Scalar<TargetAddress> = required("url", TARGET_URL, "`http://host:port` or `https://host:port`");
    WEIGHT: Scalar<u32> = optional(
        "weight",
        "`1`",
        WEIGHT_VALUE,
        "The target's part of the requests, relative to the weights of the others: 1 to 1000",
    );
}}

section! { BalanceKeys ("balance", "Sends requests with the same key to the same target.") {
    HASH: Subtree = required(
        "hash",
        subtree(Text),
        "The key: a header, or `caller` (the client's address where nobody is signed in)",
    );
}}

section! { HealthKeys ("health", "How the gateway checks the health of targets.") {
    PATH: Scalar<String> = required("path", PATH, "A path that a healthy target answers with 2xx");
    INTERVAL: Scalar<Duration> = optional("interval", "`2s`", DURATION, "Time between two checks");
    TIMEOUT: Scalar<Duration> = optional("timeout", "`1s`", DURATION, "Maximum duration of a check");
    HEALTHY: Scalar<u32> =
        optional("healthy", "`1`", COUNT_U32, "Consecutive successful checks until a target is used again");
    UNHEALTHY: Scalar<u32> =
        optional("unhealthy", "`3`", COUNT_U32, "Consecutive failed checks until a target is no longer used");
}}

section! { BreakerKeys ("breaker", "When a failing target stops receiving requests.") {
    FAILURES: Scalar<u32> = optional("failures", "`5`", COUNT_U32, "Consecutive failures that open the breaker");
    SHARE: Scalar<u8> = optional(
        "share",
        "`50%`",
        FAILURE_SHARE,
        "Share of failed requests within a window that opens the breaker",
    );
    REQUESTS: Scalar<u32> =
        optional("requests", "`20`", COUNT_U32, "Minimum number of requests in a window for `share` to apply");
    WINDOW: Scalar<Duration> = optional("window", "`10s`", DURATION, "Duration of a window");
    OPEN: Scalar<Duration> =
        optional("open", "`5s`", DURATION, "Time until an open breaker lets one request through as a trial");
}}

section! { RetryKeys ("retry", "Which failed requests are sent again.") {
    ATTEMPTS: Scalar<u32> =
        inherited("attempts", "`2`", ATTEMPTS_VALUE, "Maximum number of attempts, 1 to 5; 1 is no retry");
    BUDGET: Scalar<u8> =
        inherited("budget", "`20%`", PERCENT, "Maximum share of retries among the requests of an upstream");
    METHODS: Subtree = inherited(
        "methods",
        "none",
        subtree(List(&Words(&["PUT", "DELETE"]), 0)),
        "`[PUT, DELETE]`: methods to retry even if the request may have reached the upstream",
    );
    IDEMPOTENCY_KEY: Scalar<bool> = inherited(
        "idempotency_key",
        "`false`",
        FLAG,
        "Whether to retry requests with an `Idempotency-Key`, of any method",
    );
}}

fn weight(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(weight @ 1..=WEIGHT_MAX) => Ok(weight),
        Ok(_) | Err(_) => Err(format!("`{text}` is not a weight from 1 to {WEIGHT_MAX}")),
    }
}

fn attempts(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(attempts @ 1..=ATTEMPTS_MAX) => Ok(attempts),
        Ok(_) | Err(_) => Err(format!("`{text}` is not a number of attempts from 1 (no retry) to {ATTEMPTS_MAX}")),
    }
}

fn failure_share(text: &str) -> Result<u8, String> {
    match parse::percent(text)? {
        0 => Err("a share of 0% would open the breaker at the first request; for no breaker, write `breaker: off`"
            .to_owned()),
        percent => Ok(percent),
    }
}
