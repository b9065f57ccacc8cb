//! The keys of a route and of a test, and those that routes share with `defaults`.

use std::{net::IpAddr, time::Duration};

use actix_http::{StatusCode, header::HeaderValue};

use super::{
    shape::{
        Key, Kind, Scalar, Section,
        Shape::{self, Either, Form, List, Map, Null, Table, Text, Whole, Words},
        Subtree, inherited, one_of, optional, required, section, subtree,
    },
    upstreams::RetryKeys,
    values::{BODY_RATE_VALUE, DURATION, FLAG, HOST_HEADER, PATH, PATH_AND_QUERY, RATE_LIMIT, SIZE, STATUS, TEXT},
};
use crate::{
    routing::{path::EncodedSlash, pattern::Pattern, redirect::Address},
    upstream::settings::HostHeader,
};

const RESPONSE_STATUS: Kind<Scalar<StatusCode>> =
    Kind { shape: Either(&[Form("^[2-5][0-9][0-9]$"), Whole(200, 599)]), parse: response_status };
const REDIRECT_STATUS: Kind<Scalar<StatusCode>> =
    Kind { shape: Either(&[Form("^30[12378]$"), Whole(301, 303), Whole(307, 308)]), parse: redirect_status };
const ADDRESS: Kind<Scalar<Address>> = Kind { shape: Form("^(/|https?://)"), parse: address };
const MEDIA_TYPE: Kind<Scalar<HeaderValue>> = Kind { shape: Text, parse: media_type };

/// Claims by name, each with its values.
const CLAIMS: Shape = Map(&List(&Text, 1), 1);
/// Claims that must hold. `any` and `all` have lists of such claims, two deep at most.
pub(crate) const REQUIREMENT: Shape = Map(&Either(&[List(&Text, 1), List(&ALTERNATIVE, 1)]), 1);
const ALTERNATIVE: Shape = Map(&Either(&[List(&Text, 1), List(&CLAIMS, 1)]), 1);

const IP_ADDRESS: Kind<Scalar<IpAddr>> = Kind { shape: Text, parse: ip_address };
const ROUTE_FORM: Shape = Form(r"^(\*|(GET|HEAD|POST|PUT|PATCH|DELETE)(,(GET|HEAD|POST|PUT|PATCH|DELETE))*) +/");
const REWRITE_PATH: Kind<Scalar<Pattern>> = Kind { shape: PATH.shape, parse: str::parse };
const ENCODED_SLASH: Kind<Scalar<EncodedSlash>> = Kind { shape: Words(&["keep", "refuse"]), parse: encoded_slash };

pub(crate) const BODY_LIMIT: Key<Scalar<u64>> =
    inherited("body_limit", "`1MiB`", SIZE, "Maximum size of a request body; larger ones are answered 413");
pub(crate) const FROM: Key<Subtree> = inherited(
    "from",
    "everywhere",
    subtree(List(&Text, 1)),
    "Networks of the clients that may use the route, such as `[10.0.0.0/8]`; others are answered 403 `address_refused`. The address is that of the connection, or what a proxy in `trusted_proxies` reports",
);
pub(crate) const NOT_FROM: Key<Subtree> = inherited(
    "not_from",
    "`[]`",
    subtree(List(&Text, 0)),
    "Networks of clients that may not use the route, also where `from` contains them",
);
pub(crate) const BODY_RATE: Key<Scalar<Option<u64>>> = inherited(
    "body_rate",
    "`240B/s`",
    BODY_RATE_VALUE,
    "Minimum average rate of a request body, once the gateway has waited 10 s for it; slower ones are answered 408. `off` for bodies that are a stream of events",
);
pub(crate) const HEAD: Key<Scalar<Duration>> =
    inherited("head", "`59s`", DURATION, "From the end of the request to the head of the response");
pub(crate) const IDLE: Key<Scalar<Duration>> =
    inherited("idle", "`30s`", DURATION, "Between two chunks of a body, in either direction");
pub(crate) const TOTAL: Key<Scalar<Duration>> =
    inherited("total", "none", DURATION, "From the head of the request to the last byte of its response");
pub(crate) const RETRY: Key<Subtree> = inherited(
    "retry",
    "`{}`",
    subtree(Either(&[Words(&["off"]), Table(&RetryKeys::SECTION)])),
    "Which failed requests are sent again, or `off`",
);
pub(crate) const REQUEST_HEADERS: Key<Subtree> = optional(
    "request_headers",
    "none",
    subtree(Table(&HeaderEditsKeys::SECTION)),
    "Changes to the headers that the upstream receives; those of `defaults` are made first",
);
pub(crate) const RESPONSE_HEADERS: Key<Subtree> = optional(
    "response_headers",
    "none",
    subtree(Table(&HeaderEditsKeys::SECTION)),
    "Changes to the headers that the client receives; those of `defaults` are made first",
);
pub(crate) const CORS: Key<Subtree> = inherited(
    "cors",
    "none",
    subtree(Either(&[Words(&["off"]), Table(&CorsKeys::SECTION)])),
    "Which web pages of other origins may send requests, or `off`",
);

section! { RouteKeys ("route", "Where requests go, and who may send them.") {
    ROUTE: Subtree = required(
        "route",
        subtree(ROUTE_FORM),
        "Methods (`GET,POST` or `*`) and a path. `{name}` matches one segment, `{name...}` all the rest. `GET` includes HEAD; OPTIONS is answered by the gateway",
    );
    WHEN: Subtree = optional(
        "when",
        "every request",
        subtree(Table(&WhenKeys::SECTION)),
        "A host and headers that the request must have",
    );
    TO: Subtree = one_of("to", "`respond` or `redirect`", subtree(Text), "The name of an upstream").elsewhere(&["upstream", "service", "backend", "cluster", "proxy_pass"]);
    RESPOND: Subtree = one_of(
        "respond",
        "`to` or `redirect`",
        subtree(Table(&RespondKeys::SECTION)),
        "The answer of the gateway itself to every admitted request, without an upstream; see [Answers of the gateway](#answers-of-the-gateway)",
    )
    .elsewhere(&["return", "direct_response", "static_response", "fixed_response"]);
    REDIRECT: Subtree = one_of(
        "redirect",
        "`to` or `respond`",
        subtree(Table(&RedirectKeys::SECTION)),
        "The address that the gateway redirects every admitted request to",
    );
    AUTH: Subtree = required(
        "auth",
        subtree(Either(&[Words(&["public", "signed-in"]), REQUIREMENT])),
        "Who may send requests: `public`, `signed-in`, or claims that must all hold: `{user_type: admin}`, `{group: [a, b]}`, `{/realm_access/roles: admin}`, `{scopes: [orders:read]}`, `{sub: \"{user_id}\"}`, `{any: [{group: a}, {user_type: admin}]}`; see [Claims](#claims). `{hook: NAME}`, alone or with claims, lets a hook decide too",
    )
    .elsewhere(&["policy", "roles", "require", "jwt"]);
    FROM;
    NOT_FROM;
    LIMIT: Subtree = optional(
        "limit",
        "none",
        subtree(List(&RATE_LIMIT.shape, 0)),
        "A rate limit: `600/min per ip`, `20/s per user` or `1000/day per header x-api-key`; or a list of up to four, each of which must allow the request. The methods of a route share it. Responses carry `RateLimit` and `RateLimit-Policy`; refusals (429) also `Retry-After`",
    )
    .elsewhere(&["rate_limit"]);
    THEN: Subtree = optional(
        "then",
        "none",
        subtree(Text),
        "A hook that changes a successful response. `issue-token`: the upstream answers with a user (`id`, `user_type`), and the client receives a token, which belongs to the `session` of the answer if there is one",
    );
    DECODER: Subtree =
        optional("decoder", "the bearer token", subtree(Text), "A hook that identifies the caller");
    HEADERS_FROM: Subtree = optional(
        "headers_from",
        "none",
        subtree(List(&Text, 0)),
        "Hooks that generate headers for the upstream: a name or a list",
    );
    REWRITE: Scalar<Pattern> = optional(
        "rewrite",
        "the path",
        REWRITE_PATH,
        "The path that the upstream receives, with parameters of the route: `\"/store/{path}\"`",
    )
    .elsewhere(&["strip_prefix", "strip_path", "prefix_rewrite", "path_rewrite"]);
    HOST: Scalar<HostHeader> = optional(
        "host",
        "that of the upstream",
        HOST_HEADER,
        "The `Host` that the upstream receives: `target`, `keep` or a name, as the key of the upstream",
    )
    .elsewhere(&["preserve_host", "pass_host_header", "host_header"]);
    BODY_LIMIT;
    BODY_RATE;
    TIMEOUT: Subtree = inherited(
        "timeout",
        "`{}`",
        subtree(Table(&TimeoutKeys::SECTION)),
        "Maximum duration of each part of an exchange with the upstream",
    );
    RETRY;
    FORWARD_AUTHORIZATION: Scalar<bool> = optional(
        "forward_authorization",
        "`false`",
        FLAG,
        "Forwards the `Authorization` header, which the gateway otherwise removes. On public routes it is always forwarded",
    );
    WEBSOCKET: Scalar<bool> = optional(
        "websocket",
        "`false`",
        FLAG,
        "Relays WebSockets: after the upstream's 101, bytes pass in both directions until one side closes or nothing has passed for `timeout.idle`. Only `GET` without a body. Other routes ignore `Upgrade`",
    );
    PATH_OPTIONS: Subtree =
        optional("path", "`{}`", subtree(Table(&PathKeys::SECTION)), "How slashes in the paths of the route are read");
    REQUEST_HEADERS;
    RESPONSE_HEADERS;
    CORS;
}}

section! { RespondKeys ("respond", "An answer that does not depend on the request.") {
    STATUS: Scalar<StatusCode> = optional("status", "`200`", RESPONSE_STATUS, "Its status, from `200` to `599`");
    BODY: Scalar<String> = optional("body", "empty", TEXT, "Its body, as text");
    CONTENT_TYPE: Scalar<HeaderValue> = optional(
        "content_type",
        "`text/plain; charset=utf-8`",
        MEDIA_TYPE,
        "The media type of the body, such as `application/json`",
    );
}}

section! { RedirectKeys ("redirect", "A redirect to an address with parameters of the path.") {
    TO: Scalar<Address> = required(
        "to",
        ADDRESS,
        "`/new/{path}` on the same origin, or `https://example.com/{path}`. `{host}` as the whole host, such as in `https://{host}/{path}`, is the one that the client asked for, without its port. The query of the request is kept, unless this has one",
    );
    STATUS: Scalar<StatusCode> = optional(
        "status",
        "`308`",
        REDIRECT_STATUS,
        "`301`, `302`, `303`, `307` or `308`; with 307 and 308 the client repeats method and body",
    );
}}

section! { PathKeys ("path", "How slashes in the paths of a route are read.") {
    ENCODED_SLASH: Scalar<EncodedSlash> = optional(
        "encoded_slash",
        "`refuse`",
        ENCODED_SLASH,
        "`keep`: `%2F` is kept as a part of its segment, as package registries and object stores need it. `refuse`: 400",
    );
    MERGE_SLASHES: Scalar<bool> =
        optional("merge_slashes", "`true`", FLAG, "Whether `//` is read as `/`; `false` keeps it");
}}

section! { TimeoutKeys ("timeout", "Maximum duration of each part of an exchange with an upstream.") {
    HEAD;
    IDLE;
    TOTAL;
}}

section! { WhenKeys ("when", "What a request must have in addition to method and path.") {
    HOST: Subtree = optional(
        "host",
        "any",
        subtree(Text),
        "`api.example.com`, or `*.example.com` for every host with exactly one more label",
    );
    HEADERS: Subtree = optional(
        "headers",
        "any",
        subtree(Map(&Text, 0)),
        "`{x-version: \"2\"}`: each must be sent exactly once, with exactly this value",
    );
}}

section! { HeaderEditsKeys ("header_changes", "Changes to headers, made in this order.") {
    REMOVE: Subtree = optional("remove", "none", subtree(List(&Text, 0)), "Headers to remove: `[server, x-powered-by]`");
    SET: Subtree = optional(
        "set",
        "none",
        subtree(Map(&Text, 0)),
        "Headers to set, in place of those that are present: `{x-frame-options: DENY}`",
    );
    ADD: Subtree = optional(
        "add",
        "none",
        subtree(Map(&Text, 0)),
        "Headers to add to those that are present: `{cache-control: no-store}`",
    );
}}

section! { CorsKeys (
    "cors",
    "Which web pages of other origins may send requests. The gateway answers preflight requests itself, before `auth`."
) {
    ORIGINS: Subtree = required(
        "origins",
        subtree(List(&Text, 1)),
        "Origins of the pages: `[https://app.example.com]`, or `\"*\"` for all",
    );
    METHODS: Subtree = optional("methods", "those of the route", subtree(List(&Text, 1)), "Methods that a page may use: `[GET, POST]`");
    HEADERS: Subtree = optional(
        "headers",
        "`[authorization, content-type]`",
        subtree(List(&Text, 0)),
        "Request headers that a page may send, or `\"*\"`",
    );
    EXPOSE: Subtree = optional("expose", "none", subtree(List(&Text, 0)), "Response headers that a page may read, or `\"*\"`");
    CREDENTIALS: Scalar<bool> = optional("credentials", "`false`", FLAG, "Whether a page may send cookies; not with `\"*\"`");
    MAX_AGE: Scalar<Duration> =
        optional("max_age", "`10m`", DURATION, "How long browsers may cache the response to a preflight request");
}}

section! { TestKeys ("test", "A request and its expected outcome.") {
    REQUEST: Subtree = required("request", subtree(Form(r"^[A-Z]+ +/")), "Method and path: `GET /api/users/7`");
    AS: Subtree = optional(
        "as",
        "not signed in",
        subtree(CLAIMS),
        "The claims of the caller: `{user_type: admin, sub: \"7\"}`",
    );
    FROM: Scalar<IpAddr> = optional("from", "`127.0.0.1`", IP_ADDRESS, "The address of the client: `192.0.2.7`");
    HEADERS: Subtree =
        optional("headers", "none", subtree(Map(&Text, 0)), "Headers that the client sends; `host` sets the host");
    BODY: Scalar<String> = optional("body", "none", TEXT, "The body that the client sends; only its size matters");
    EXPECT: Subtree = required(
        "expect",
        subtree(Either(&[STATUS.shape, Table(&ExpectKeys::SECTION)])),
        "The status with which the gateway itself answers: `403`; or a table",
    );
}}

section! { ExpectKeys ("expect", "The expected outcome of a request. What is left out is not checked.") {
    STATUS: Scalar<u16> =
        optional("status", "any", STATUS, "The gateway answers the request itself, with this status");
    TO: Subtree = optional("to", "any", subtree(Text), "The request is forwarded to this upstream");
    PATH: Scalar<String> = optional("path", "any", PATH_AND_QUERY, "It is forwarded with this path and query");
    HEADERS: Subtree = optional(
        "headers",
        "any",
        subtree(Map(&Either(&[Text, Null]), 0)),
        "Headers that the upstream receives, or those of the gateway's own response; `null`: absent",
    );
}}

fn encoded_slash(text: &str) -> Result<EncodedSlash, String> {
    match text {
        "keep" => Ok(EncodedSlash::Keep),
        "refuse" => Ok(EncodedSlash::Refuse),
        _ => Err(format!("`{text}` is not `keep` or `refuse`")),
    }
}

fn ip_address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is not an address like 192.0.2.7"))
}

fn response_status(text: &str) -> Result<StatusCode, String> {
    let status = text.parse().ok().filter(|status| (200..600).contains(status));
    status
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or_else(|| format!("`{text}` is not the status of an answer, which is between 200 and 599"))
}

fn redirect_status(text: &str) -> Result<StatusCode, String> {
    let status = text.parse().ok().filter(|status| matches!(status, 301 | 302 | 303 | 307 | 308));
    status
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or_else(|| format!("`{text}` is not the status of a redirect: 301, 302, 303, 307 or 308"))
}

fn address(text: &str) -> Result<Address, String> {
    text.parse()
}

fn media_type(text: &str) -> Result<HeaderValue, String> {
    let is_token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    let names = essence.split_once('/').is_some_and(|(kind, name)| is_token(kind) && is_token(name));
    let value = HeaderValue::from_str(text.trim()).ok().filter(|_| names && text.is_ascii());
    value.ok_or_else(|| format!("`{text}` is not a media type, like `application/json`"))
}
