//! Every key of the file, described once. The decoder asks for no key that is not here, and leaves none here unasked.

use super::{
    routes::{CLAIMS, CORS_KEY, REQUEST_HEADERS, RESPONSE_HEADERS, RETRY_KEY, ROUTE, TEST, TOTAL},
    shape::{
        Section,
        Shape::{Either, List, Map, Table, Text, Whole, Words},
        optional, required,
    },
    tls::{ONE, SEVERAL},
    tokens::{FOREIGN_TOKENS, OWN_TOKENS},
    upstreams::UPSTREAM,
    values::{COUNT, DURATION, PAGE, PATH, RATE, SHARE, SIZE},
};

/// The whole file.
pub(crate) const FILE: Section = Section {
    name: "file",
    about: "The routes of a gateway.",
    keys: &[
        required("version", Whole(1, 1), "`1`"),
        required("listen", Text, "`address:port` of the public listener"),
        required("admin", Text, "`address:port` of the admin listener: metrics and health, never public"),
        optional(
            "trusted_proxies",
            "`[]`",
            List(&Text, 0),
            "networks whose `X-Forwarded-For` is believed, as in `[10.0.0.0/8]`; in a variable with commas between them",
        ),
        optional("identity", "none", Table(&IDENTITY), "what the upstreams are told about the caller"),
        optional(
            "tls",
            "none: plain HTTP",
            Either(&[Table(&ONE), Table(&SEVERAL)]),
            "`listen` speaks TLS, HTTP/2 and HTTP/1.1",
        ),
        optional(
            "tokens",
            "none",
            Either(&[Table(&OWN_TOKENS), Table(&FOREIGN_TOKENS)]),
            "how tokens are issued and verified",
        ),
        optional(
            "aliases",
            "none",
            Map(&PATH, 0),
            "`{/api/v1: /api}`: a prefix that stands for another, before matching",
        ),
        optional("builtin", "off", Table(&BUILTIN), "where the gateway's own pages are"),
        optional("limits", "as below", Table(&SERVER_LIMITS), "what clients may cost the gateway itself"),
        required("upstreams", Map(&Table(&UPSTREAM), 0), "the services, by name"),
        optional(
            "access_log",
            "`off`",
            Either(&[Words(&["on", "off"]), Table(&ACCESS_LOG)]),
            "a line in the log for each request: `on`, `off`, or a table for a sample",
        ),
        optional(
            "server_timing",
            "`off`",
            Either(&[Words(&["on", "off"]), CLAIMS]),
            "who sees how long the phases of a request took (`Server-Timing`): `on`, `off`, or callers with claims: `{user_type: admin}`",
        ),
        optional("defaults", "as below", Table(&DEFAULTS), "what routes and upstreams have that say nothing else"),
        required("routes", List(&Table(&ROUTE), 0), "who may reach what"),
        optional("tests", "none", List(&Table(&TEST), 0), "what must be true of the routes: `gateway test`"),
    ],
};

pub(crate) const IDENTITY: Section = Section {
    name: "identity",
    about: "What the upstreams are told about the caller.",
    keys: &[required(
        "headers",
        Map(&Text, 0),
        "headers that tell the upstreams who calls: `{request-user-id: sub}`; removed from every request, spelled any way, and set from the claims",
    )],
};

pub(crate) const BUILTIN: Section = Section {
    name: "builtin",
    about: "Where the gateway's own pages are, each a path or `off`.",
    keys: &[
        optional("docs", "off", PAGE, "the page to try things"),
        optional("openapi", "off", PAGE, "the OpenAPI document of all upstreams"),
        optional("jwks", "off", PAGE, "the public keys that tokens are verified with"),
        optional("health", "off", PAGE, "`/live` and `/ready` are below it"),
    ],
};

pub(crate) const SERVER_LIMITS: Section = Section {
    name: "limits",
    about: "What clients may cost the gateway itself.",
    keys: &[
        optional(
            "connections",
            "`10000`",
            COUNT,
            "connections of clients; more wait until others end. A change needs a restart",
        ),
        optional("head_bytes", "`64KiB`", SIZE, "the largest request line with headers, up to `128KiB`; more is 431"),
        optional(
            "head_timeout",
            "`10s`",
            DURATION,
            "a client that needs longer for a head is cut off. A change needs a restart",
        ),
        optional(
            "write_timeout",
            "`60s`",
            DURATION,
            "a client that reads nothing of its answer for longer is cut off. A change needs a restart",
        ),
    ],
};

pub(crate) const ACCESS_LOG: Section = Section {
    name: "access_log",
    about: "A sample of the requests is logged, and every failure of the gateway.",
    keys: &[required("sample", SHARE, "a share of the requests: `10%`; failures are logged all the same")],
};

pub(crate) const DEFAULTS: Section = Section {
    name: "defaults",
    about: "What routes and upstreams have that say nothing else.",
    keys: &[
        optional("timeout", "as below", Table(&DEFAULT_TIMEOUT), "how long the parts of an exchange may take"),
        optional("body_limit", "`1MiB`", SIZE, "the largest request body"),
        optional(
            "body_rate",
            "`240B/s`",
            RATE,
            "the slowest that a request body may come, on average, once it was waited for 10 s: less is 408. `off` for bodies that are events",
        ),
        RETRY_KEY,
        REQUEST_HEADERS,
        RESPONSE_HEADERS,
        CORS_KEY,
    ],
};

pub(crate) const DEFAULT_TIMEOUT: Section = Section {
    name: "default_timeout",
    about: "How long the parts of an exchange with an upstream may take.",
    keys: &[
        optional("connect", "`1s`", DURATION, "to connect"),
        optional("head", "`59s`", DURATION, "until the head of the answer"),
        optional("idle", "`30s`", DURATION, "between two chunks of a body"),
        TOTAL,
    ],
};
