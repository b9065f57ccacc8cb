//! Every key of the file, described once. The decoder asks for no key that is not here, and leaves none here unasked.

use super::{
    shape::{
        KeyInfo, Section,
        Shape::{self, Either, Flag, Form, List, Map, Nothing, Table, Text, Whole, Words},
        optional, required,
    },
    tls_keys::{ONE, SEVERAL},
    token_keys::{FOREIGN_TOKENS, OWN_TOKENS},
    upstream_keys::{RETRY, UPSTREAM},
};

pub(super) const COUNT: Shape = Whole(1, u64::MAX);
const STATUS: Shape = Either(&[Form("^[1-5][0-9][0-9]$"), Whole(100, 599)]);
pub(super) const DURATION: Shape = Either(&[Form(r"^\s*0*[1-9][0-9]*(ms|s|m|h|d)?\s*$"), COUNT]);
const RATE: Shape = Either(&[Words(&["off"]), Form(r"^0*[1-9][0-9]*\s*(B|kB|KB|KiB|MB|MiB|GB|GiB)?/s$")]);
const SIZE: Shape = Either(&[Form(r"^[0-9]+\s*(B|kB|KB|KiB|MB|MiB|GB|GiB)?\s*$"), Whole(0, u64::MAX)]);
pub(super) const PERCENT: Shape = Form(r"^(100|0*[0-9]{1,2})%$");
pub(super) const SHARE: Shape = Form(r"^(100|0*[1-9][0-9]?)%$");
pub(super) const PATH: Shape = Form(r"^/");
pub(super) const PAGE: Shape = Either(&[Words(&["off"]), PATH]);
const ROUTE_FORM: Shape = Form(r"^(\*|(GET|HEAD|POST|PUT|PATCH|DELETE)(,(GET|HEAD|POST|PUT|PATCH|DELETE))*) +/");
const CLAIMS: Shape = Map(&List(&Text, 1), 1);

/// The whole file.
pub(super) const FILE: Section = Section {
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

pub(super) const IDENTITY: Section = Section {
    name: "identity",
    about: "What the upstreams are told about the caller.",
    keys: &[required(
        "headers",
        Map(&Text, 0),
        "headers that tell the upstreams who calls: `{request-user-id: sub}`; removed from every request, spelled any way, and set from the claims",
    )],
};

pub(super) const BUILTIN: Section = Section {
    name: "builtin",
    about: "Where the gateway's own pages are, each a path or `off`.",
    keys: &[
        optional("docs", "off", PAGE, "the page to try things"),
        optional("openapi", "off", PAGE, "the OpenAPI document of all upstreams"),
        optional("jwks", "off", PAGE, "the public keys that tokens are verified with"),
        optional("health", "off", PAGE, "`/live` and `/ready` are below it"),
    ],
};

pub(super) const SERVER_LIMITS: Section = Section {
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

const RETRY_KEY: KeyInfo = optional(
    "retry",
    "`defaults`, as below",
    Either(&[Words(&["off"]), Table(&RETRY)]),
    "which failed requests are sent again, or `off`",
);

const TOTAL: KeyInfo = optional("total", "none", DURATION, "from the request to the last byte of its answer");

pub(super) const ACCESS_LOG: Section = Section {
    name: "access_log",
    about: "A sample of the requests is logged, and every failure of the gateway.",
    keys: &[required("sample", SHARE, "a share of the requests: `10%`; failures are logged all the same")],
};

pub(super) const DEFAULTS: Section = Section {
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

pub(super) const DEFAULT_TIMEOUT: Section = Section {
    name: "default_timeout",
    about: "How long the parts of an exchange with an upstream may take.",
    keys: &[
        optional("connect", "`1s`", DURATION, "to connect"),
        optional("head", "`59s`", DURATION, "until the head of the answer"),
        optional("idle", "`30s`", DURATION, "between two chunks of a body"),
        TOTAL,
    ],
};

pub(super) const ROUTE: Section = Section {
    name: "route",
    about: "Who may reach what.",
    keys: &[
        required(
            "route",
            ROUTE_FORM,
            "methods (`GET,POST` or `*`) and a path; `{name}` is one segment, `{name...}` all the rest. GET brings HEAD; OPTIONS is answered",
        ),
        optional("when", "every request", Table(&WHEN), "a host and headers that the request must have"),
        required("to", Text, "an upstream"),
        required(
            "auth",
            Either(&[Words(&["public", "signed-in"]), CLAIMS]),
            "`public`, `signed-in`, or claims that must all hold: `{user_type: admin}`, `{group: [a, b]}`; `{hook: NAME}`, alone or beside claims, asks a hook",
        ),
        optional(
            "limit",
            "none",
            List(
                &Form(
                    r"^0*[1-9][0-9]* */ *(s|sec|second|m|min|minute|h|hour|d|day) +per +(ip|user|header +[!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*$",
                ),
                0,
            ),
            "`600/min per ip`, `20/s per user`, `1000/day per header x-api-key`, or a list of up to four, which are all kept, the first that is used up deciding. The methods of a route share it. Answers carry `RateLimit` and `RateLimit-Policy`, refusals (429) `Retry-After` too",
        ),
        optional(
            "then",
            "none",
            Text,
            "a hook that changes a successful answer; `issue-token`: the upstream answers a user (`id`, `user_type`), the client gets a token",
        ),
        optional("decoder", "the bearer token", Text, "a hook that finds out who calls"),
        optional(
            "headers_from",
            "none",
            List(&Text, 0),
            "hooks that make headers for the upstream: one name, or a list",
        ),
        optional("rewrite", "the path", PATH, "`\"/store/{path}\"`"),
        optional("body_limit", "`defaults`", SIZE, "the largest request body"),
        optional("body_rate", "`defaults`", RATE, "the slowest that a request body may come, or `off`"),
        optional("timeout", "`defaults`", Table(&TIMEOUT), "how long the parts of an exchange may take"),
        RETRY_KEY,
        optional(
            "forward_authorization",
            "`false`",
            Flag,
            "keep the `Authorization` header, which otherwise ends at the gateway. On public routes it passes",
        ),
        optional(
            "websocket",
            "`false`",
            Flag,
            "relay WebSockets: `GET` without a body; after the upstream's 101 bytes go both ways until an end closes, or nothing has moved for `timeout.idle`. Elsewhere `Upgrade` is ignored",
        ),
        optional("path", "as below", Table(&PATH_OPTIONS), "what slashes in its paths mean"),
        REQUEST_HEADERS,
        RESPONSE_HEADERS,
        CORS_KEY,
    ],
};

pub(super) const PATH_OPTIONS: Section = Section {
    name: "path",
    about: "What slashes in the paths of a route mean.",
    keys: &[
        optional(
            "encoded_slash",
            "`refuse`",
            Words(&["keep", "refuse"]),
            "`keep`: `%2F` stays as it is, part of a segment (package registries, object stores)",
        ),
        optional("merge_slashes", "`true`", Flag, "`false`: `//` stays"),
    ],
};

pub(super) const TIMEOUT: Section = Section {
    name: "timeout",
    about: "How long the parts of an exchange with an upstream may take.",
    keys: &[
        optional("head", "`defaults.timeout.head`", DURATION, "until the head of the answer"),
        optional("idle", "`defaults.timeout.idle`", DURATION, "between two chunks of a body"),
        TOTAL,
    ],
};

pub(super) const WHEN: Section = Section {
    name: "when",
    about: "What a request must have besides path and method.",
    keys: &[
        optional("host", "any", Text, "`api.example.com`, or `*.example.com` for every host with one label more"),
        optional("headers", "any", Map(&Text, 0), "`{x-version: \"2\"}`: sent exactly once, with exactly this value"),
    ],
};

const REQUEST_HEADERS: KeyInfo = optional(
    "request_headers",
    "none",
    Table(&EDITS),
    "changes to the headers that the upstream gets; those of `defaults` come first",
);

const RESPONSE_HEADERS: KeyInfo = optional(
    "response_headers",
    "none",
    Table(&EDITS),
    "changes to the headers that the client gets; those of `defaults` come first",
);

pub(super) const EDITS: Section = Section {
    name: "header_changes",
    about: "Changes to headers, made in this order.",
    keys: &[
        optional("remove", "none", List(&Text, 0), "`[server, x-powered-by]`"),
        optional("set", "none", Map(&Text, 0), "`{x-frame-options: DENY}`: in the place of those that are there"),
        optional("add", "none", Map(&Text, 0), "`{cache-control: no-store}`: beside those that are there"),
    ],
};

const CORS_KEY: KeyInfo = optional(
    "cors",
    "`defaults`, or none",
    Either(&[Words(&["off"]), Table(&CORS)]),
    "which web pages of other origins may call this; or `off`",
);

pub(super) const CORS: Section = Section {
    name: "cors",
    about: "Which web pages of other origins may call. Preflight requests are answered by the gateway, before `auth`.",
    keys: &[
        required("origins", List(&Text, 1), "`[https://app.example.com]`, or `\"*\"` for every page there is"),
        optional("methods", "those of the route", List(&Text, 1), "`[GET, POST]`"),
        optional(
            "headers",
            "`[authorization, content-type]`",
            List(&Text, 0),
            "headers that a page may send, or `\"*\"`",
        ),
        optional("expose", "none", List(&Text, 0), "headers of the answer that a page may read"),
        optional("credentials", "`false`", Flag, "whether cookies may be sent; never with `\"*\"`"),
        optional("max_age", "`10m`", DURATION, "how long a browser remembers the answer to a preflight request"),
    ],
};

pub(super) const TEST: Section = Section {
    name: "test",
    about: "A request, and what must become of it.",
    keys: &[
        required("request", Form(r"^[A-Z]+ +/"), "method and path: `GET /api/users/7`"),
        optional("as", "nobody", CLAIMS, "the claims of the caller: `{user_type: admin, sub: \"7\"}`"),
        optional("headers", "none", Map(&Text, 0), "headers that the client sends; `host` is one"),
        optional("body", "none", Text, "what the client sends; only its size matters"),
        required(
            "expect",
            Either(&[STATUS, Table(&EXPECT)]),
            "the status that the gateway answers with itself: `403`; or a table",
        ),
    ],
};

pub(super) const EXPECT: Section = Section {
    name: "expect",
    about: "What must become of a request. What is not named may be anything.",
    keys: &[
        optional("status", "any", STATUS, "the gateway answers itself, with this status"),
        optional("to", "any", Text, "it goes to this upstream"),
        optional("path", "any", PATH, "with this path and query"),
        optional(
            "headers",
            "any",
            Map(&Either(&[Text, Nothing]), 0),
            "with these headers: those that the upstream gets, or those of the gateway's own answer; `null`: it is not there",
        ),
    ],
};
