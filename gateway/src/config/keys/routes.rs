//! The keys of a route, and of what a route and the defaults share. Described as in [`super::file`].

use super::{
    shape::{
        KeyInfo, Section,
        Shape::{self, Either, Flag, Form, List, Map, Nothing, Table, Text, Words},
        optional, required,
    },
    upstreams::RETRY,
    values::{DURATION, PATH, RATE, SIZE, STATUS},
};

pub(crate) const ROUTE_FORM: Shape =
    Form(r"^(\*|(GET|HEAD|POST|PUT|PATCH|DELETE)(,(GET|HEAD|POST|PUT|PATCH|DELETE))*) +/");

pub(crate) const CLAIMS: Shape = Map(&List(&Text, 1), 1);

pub(crate) const RETRY_KEY: KeyInfo = optional(
    "retry",
    "`defaults`, as below",
    Either(&[Words(&["off"]), Table(&RETRY)]),
    "which failed requests are sent again, or `off`",
);

pub(crate) const TOTAL: KeyInfo =
    optional("total", "none", DURATION, "from the request to the last byte of its answer");

pub(crate) const ROUTE: Section = Section {
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

pub(crate) const PATH_OPTIONS: Section = Section {
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

pub(crate) const TIMEOUT: Section = Section {
    name: "timeout",
    about: "How long the parts of an exchange with an upstream may take.",
    keys: &[
        optional("head", "`defaults.timeout.head`", DURATION, "until the head of the answer"),
        optional("idle", "`defaults.timeout.idle`", DURATION, "between two chunks of a body"),
        TOTAL,
    ],
};

pub(crate) const WHEN: Section = Section {
    name: "when",
    about: "What a request must have besides path and method.",
    keys: &[
        optional("host", "any", Text, "`api.example.com`, or `*.example.com` for every host with one label more"),
        optional("headers", "any", Map(&Text, 0), "`{x-version: \"2\"}`: sent exactly once, with exactly this value"),
    ],
};

pub(crate) const REQUEST_HEADERS: KeyInfo = optional(
    "request_headers",
    "none",
    Table(&EDITS),
    "changes to the headers that the upstream gets; those of `defaults` come first",
);

pub(crate) const RESPONSE_HEADERS: KeyInfo = optional(
    "response_headers",
    "none",
    Table(&EDITS),
    "changes to the headers that the client gets; those of `defaults` come first",
);

pub(crate) const EDITS: Section = Section {
    name: "header_changes",
    about: "Changes to headers, made in this order.",
    keys: &[
        optional("remove", "none", List(&Text, 0), "`[server, x-powered-by]`"),
        optional("set", "none", Map(&Text, 0), "`{x-frame-options: DENY}`: in the place of those that are there"),
        optional("add", "none", Map(&Text, 0), "`{cache-control: no-store}`: beside those that are there"),
    ],
};

pub(crate) const CORS_KEY: KeyInfo = optional(
    "cors",
    "`defaults`, or none",
    Either(&[Words(&["off"]), Table(&CORS)]),
    "which web pages of other origins may call this; or `off`",
);

pub(crate) const CORS: Section = Section {
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

pub(crate) const TEST: Section = Section {
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

pub(crate) const EXPECT: Section = Section {
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
