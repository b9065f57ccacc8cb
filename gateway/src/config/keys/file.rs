//! The keys at the top of the file, and those of the sections that are neither routes, upstreams, tokens nor TLS.

use std::{net::SocketAddr, time::Duration};

use super::{
    parse,
    routes::{
        BODY_LIMIT, BODY_RATE, CORS, FROM, HEAD, IDLE, NOT_FROM, REQUEST_HEADERS, REQUIREMENT, RESPONSE_HEADERS, RETRY,
        RouteKeys, TOTAL, TestKeys,
    },
    shape::{
        Key, Kind, Scalar, Section,
        Shape::{Either, List, Map, Table, Text, Whole, Words},
        Subtree, optional, required, section, subtree,
    },
    tls::{CertificatesByNameKeys, OneCertificateKeys},
    tokens::{DiscoveredTokensKeys, ExternalTokensKeys, OwnTokensKeys},
    upstreams::UpstreamKeys,
    values::{ADDRESS, BODY_RATE_VALUE, COUNT, DURATION, PAGE, PATH, SHARE, SIZE, TEXT},
};
use crate::auth::claims::ClaimPath;

/// The size at which actix-http gives up reading a head (its `MAX_BUFFER_SIZE`).
const HEAD_BYTES_MAX: usize = 128 * 1024;

const CLAIM_PATH: Kind<Scalar<ClaimPath>> = Kind { shape: Text, parse: str::parse };
const VERSION_1: Kind<Scalar<()>> = Kind { shape: Whole(1, 1), parse: version };
/// With this many, a client that reads slowly makes the gateway hold 32 MiB for one connection.
const STREAMS_MAX: u32 = 1000;
const STREAM_COUNT: Kind<Scalar<u32>> = Kind { shape: Whole(1, STREAMS_MAX as u64), parse: streams };
const HEAD_SIZE: Kind<Scalar<usize>> = Kind { shape: SIZE.shape, parse: head_bytes };

section! { RootKeys ("file", "The configuration of a gateway.") {
    VERSION: Scalar<()> = required("version", VERSION_1, "Version of the format: `1`");
    LISTEN: Scalar<SocketAddr> =
        required("listen", ADDRESS, "Address and port of the public listener, such as `127.0.0.1:8001`")
            .elsewhere(&["port", "bind", "address"]);
    ADMIN: Scalar<SocketAddr> = required(
        "admin",
        ADDRESS,
        "Address and port of the admin listener, which serves metrics, health and the live page. Must not be public",
    );
    ADMIN_HOSTS: Subtree = optional(
        "admin_hosts",
        "`[]`",
        subtree(List(&Text, 0)),
        "Host names under which the admin listener answers, such as `[gateway]`, without a port. It always answers under IP addresses, `localhost` and names below `.localhost`; other requests get 421, so that no web page can read it through a browser (DNS rebinding)",
    );
    TRUSTED_PROXIES: Subtree = optional(
        "trusted_proxies",
        "`[]`",
        subtree(List(&Text, 0)),
        "Networks of the proxies in front of the gateway, whose `X-Forwarded-For` is trusted, such as `[10.0.0.0/8]`. An item can hold several networks with commas between them, so that one variable can hold the list",
    );
    IDENTITY: Subtree =
        optional("identity", "none", subtree(Table(&IdentityKeys::SECTION)), "What upstreams are told about the caller");
    TLS: Subtree = optional(
        "tls",
        "none: plain HTTP",
        subtree(Either(&[Table(&OneCertificateKeys::SECTION), Table(&CertificatesByNameKeys::SECTION)])),
        "TLS for the public listener, with HTTP/2 and HTTP/1.1",
    );
    TOKENS: Subtree = optional(
        "tokens",
        "none",
        subtree(Either(&[Table(&OwnTokensKeys::SECTION), Table(&ExternalTokensKeys::SECTION), Table(&DiscoveredTokensKeys::SECTION)])),
        "How access tokens are issued and verified",
    );
    ALIASES: Subtree = optional(
        "aliases",
        "none",
        subtree(Map(&PATH.shape, 0)),
        "Path prefixes that are replaced by another prefix before routes are matched: `{/api/v1: /api}`",
    );
    BUILTIN: Subtree =
        optional("builtin", "`{}`", subtree(Table(&BuiltinKeys::SECTION)), "Paths of the gateway's own pages, or `off`");
    LIMITS: Subtree = optional(
        "limits",
        "`{}`",
        subtree(Table(&LimitsKeys::SECTION)),
        "Limits on what clients can use of the gateway itself",
    );
    UPSTREAMS: Subtree = required(
        "upstreams",
        subtree(Map(&Table(&UpstreamKeys::SECTION), 0)),
        "The services behind the gateway, by name",
    )
    .elsewhere(&["services", "backends", "clusters"]);
    ACCESS_LOG: Subtree = optional(
        "access_log",
        "`off`",
        subtree(Either(&[Words(&["on", "off"]), Table(&AccessLogKeys::SECTION)])),
        "A log line for each request: `on`, `off`, or a table for a sample",
    );
    SERVER_TIMING: Subtree = optional(
        "server_timing",
        "`off`",
        subtree(Either(&[Words(&["on", "off"]), REQUIREMENT])),
        "Who gets the duration of each phase in the `Server-Timing` header: everybody (`on`), nobody (`off`), or callers with these claims: `{user_type: admin}`",
    );
    DEFAULTS: Subtree = optional(
        "defaults",
        "`{}`",
        subtree(Table(&DefaultsKeys::SECTION)),
        "Values for the keys that a route or an upstream leaves out",
    );
    ROUTES: Subtree =
        required("routes", subtree(List(&Table(&RouteKeys::SECTION), 0)), "The routes: where requests go, and who may send them");
    TESTS: Subtree = optional(
        "tests",
        "none",
        subtree(List(&Table(&TestKeys::SECTION), 0)),
        "Requests with their expected outcome, which `gateway test` checks",
    );
}}

section! { IdentityKeys ("identity", "What upstreams are told about the caller.") {
    HEADERS: Subtree = required(
        "headers",
        subtree(Map(&Either(&[Text, Table(&IdentityClaimKeys::SECTION)]), 0)),
        "Headers that tell upstreams who the caller is, and the claim that each is set from: `{request-user-id: sub}`, `{x-country: /address/country}`; a list of claims needs a table: `{x-groups: {claim: groups, join: \",\"}}`. Clients cannot set them: they are removed from every request, in any spelling",
    );
}}

section! { IdentityClaimKeys ("identity_claim", "A claim that a header is set from.") {
    CLAIM: Scalar<ClaimPath> =
        required("claim", CLAIM_PATH, "The name of a claim, or a JSON Pointer to a nested one: `/realm_access/roles`");
    JOIN: Scalar<String> = optional(
        "join",
        "none: no header for a list",
        TEXT,
        "What stands between the items of a list. Items that contain it are left out, since upstreams would take them for two",
    );
}}

section! { BuiltinKeys ("builtin", "The gateway's own pages: the path of each, or `off`, and a title.") {
    DOCS: Scalar<Option<String>> = optional("docs", "`off`", PAGE, "Interactive documentation of the API");
    OPENAPI: Scalar<Option<String>> =
        optional("openapi", "`off`", PAGE, "The OpenAPI document, merged from those of all upstreams");
    JWKS: Scalar<Option<String>> = optional("jwks", "`off`", PAGE, "The public keys that verify the gateway's tokens");
    HEALTH: Scalar<Option<String>> = optional("health", "`off`", PAGE, "The prefix of `/live` and `/ready`");
    TITLE: Scalar<String> =
        optional("title", "API", TEXT, "What the API is called: in the documentation, the OpenAPI document and the live page");
}}

section! { LimitsKeys ("limits", "Limits on what clients can use of the gateway itself.") {
    CONNECTIONS: Scalar<usize> = optional(
        "connections",
        "`10000`",
        COUNT,
        "Maximum number of client connections; more wait until others are closed. A change needs a restart",
    );
    HEAD_BYTES: Scalar<usize> = optional(
        "head_bytes",
        "`64KiB`",
        HEAD_SIZE,
        "Maximum size of the request line and headers, at most `128KiB`; larger requests are answered 431",
    );
    HEAD_TIMEOUT: Scalar<Duration> = optional(
        "head_timeout",
        "`10s`",
        DURATION,
        "Maximum time for a client to send the request line and headers. A change needs a restart",
    );
    KEEP_ALIVE: Scalar<Duration> = optional(
        "keep_alive",
        "`75s`",
        DURATION,
        "How long a connection stays open without a request. Longer than what a load balancer before the gateway keeps its \
         connections, so that it never sends on one that is being closed. A change needs a restart",
    );
    STREAMS: Scalar<u32> = optional(
        "streams",
        "`128`",
        STREAM_COUNT,
        "Maximum number of requests in progress on one HTTP/2 connection, at most `1000`; more are refused so that clients \
         repeat them. A change needs a restart",
    );
    WRITE_TIMEOUT: Scalar<Duration> = optional(
        "write_timeout",
        "`60s`",
        DURATION,
        "The connection, or the HTTP/2 stream, of a client that reads nothing of its response for this long is closed. A \
         change needs a restart",
    );
    WRITE_RATE: Scalar<Option<u64>> = optional(
        "write_rate",
        "`240B/s`",
        BODY_RATE_VALUE,
        "Minimum average rate at which a client reads its response while the gateway waits for it, measured over each \
         `write_timeout`; the connection or the stream of a slower one is closed. `off` is no minimum. A change needs a \
         restart",
    );
}}

section! { AccessLogKeys ("access_log", "Logs a sample of the requests, and every response of 500 and above.") {
    SAMPLE: Scalar<u8> = required(
        "sample",
        SHARE,
        "The share of requests to log, such as `10%`. Responses of 500 and above are always logged",
    );
}}

section! { DefaultsKeys ("defaults", "Values for the keys that a route or an upstream leaves out.") {
    TIMEOUT: Subtree = optional(
        "timeout",
        "`{}`",
        subtree(Table(&DefaultTimeoutKeys::SECTION)),
        "Maximum duration of each part of an exchange with an upstream",
    );
    FROM;
    NOT_FROM;
    BODY_LIMIT;
    BODY_RATE;
    RETRY;
    REQUEST_HEADERS;
    RESPONSE_HEADERS;
    CORS;
}}

section! { DefaultTimeoutKeys ("default_timeout", "Maximum duration of each part of an exchange with an upstream.") {
    CONNECT: Scalar<Duration> = optional("connect", "`1s`", DURATION, "To connect to a target");
    HEAD;
    IDLE;
    TOTAL;
}}

fn version(text: &str) -> Result<(), String> {
    if text == "1" { Ok(()) } else { Err(format!("this gateway reads version 1, not `{text}`")) }
}

fn streams(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=STREAMS_MAX).contains(number));
    number.ok_or_else(|| format!("`{text}` is not a whole number from 1 to {STREAMS_MAX}"))
}

fn head_bytes(text: &str) -> Result<usize, String> {
    match parse::bytes(text).map(usize::try_from)? {
        Ok(bytes @ 1..=HEAD_BYTES_MAX) => Ok(bytes),
        Ok(_) | Err(_) => Err(format!("`{text}` is not a size from 1 to 128KiB")),
    }
}
