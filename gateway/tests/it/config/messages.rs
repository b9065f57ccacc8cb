//! What people are told about typical mistakes, word for word: one cause, one message, and the right spelling where it can
//! be guessed.

use super::mistakes;

/// What a file needs, where a case does not have the section.
const SECTIONS: [(&str, &str); 6] = [
    ("version", "1"),
    ("listen", "127.0.0.1:0"),
    ("admin", "127.0.0.1:0"),
    ("tokens", "{issuer: i, audience: a}"),
    ("upstreams", "{u: {targets: ['http://u:1']}}"),
    ("routes", "[]"),
];

/// A case of the table: sections of a file, those that are left out, and what is said about them.
struct Case {
    yaml: &'static str,
    without: &'static str,
    said: &'static [&'static str],
}

const fn case(yaml: &'static str, said: &'static [&'static str]) -> Case {
    Case { yaml, without: "", said }
}

/// A case in which one section is missing.
const fn without(section: &'static str, yaml: &'static str, said: &'static [&'static str]) -> Case {
    Case { yaml, without: section, said }
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    case(
        r#"routes: [{route: "GET, POST /a", to: u, auth: public}]"#,
        &[
            "routes[0].route: methods are separated by commas without spaces; did you mean `GET,POST /a`?",
        ],
    ),
    case(
        "routes: [{route: GET POST /a, to: u, auth: public}]",
        &[
            "routes[0].route: methods are separated by commas without spaces; did you mean `GET,POST /a`?",
        ],
    ),
    case(
        "routes: [{route: get /a, to: u, auth: public}]",
        &[
            "routes[0].route: `get` is not a method; did you mean `GET`?",
        ],
    ),
    case(
        "routes: [{route: /a, to: u, auth: public}]",
        &[
            "routes[0].route: `/a` must be methods and a path, like `GET,POST /api/users`",
        ],
    ),
    case(
        "routes: [{route: GET a, to: u, auth: public}]",
        &[
            "routes[0].route: the path `a` must begin with `/`",
        ],
    ),
    case(
        "routes: [{route: OPTIONS /a, to: u, auth: public}]",
        &[
            "routes[0].route: `OPTIONS` is not a method that can be routed; use GET, HEAD, POST, PUT, PATCH, DELETE or `*`",
        ],
    ),
    case(
        r#"routes: [{route: "GET /a/{id", to: u, auth: public}]"#,
        &[
            "routes[0].route: `{id`: a segment is a text, `{name}` or `{name...}`, and nothing in between",
        ],
    ),
    case(
        r#"routes: [{route: "GET /a/{rest...}/b", to: u, auth: public}]"#,
        &[
            "routes[0].route: `{name...}` matches all remaining segments, so that it must be the last one",
        ],
    ),
    case(
        "routes: [{route: GET /a/, to: u, auth: public}, {route: GET /a//b, to: u, auth: public}]",
        &[
            "routes[1].route: the path is not in normal form, so that nothing would match it; write `/a/b`",
        ],
    ),
    case(
        "routes: [{route: GET /a, upstream: u, auth: public}]",
        &[
            "routes[0].upstream: there is no key `upstream` | did you mean `to`?",
        ],
    ),
    case(
        "routes: [{route: GET /a, to: v, auth: public}]",
        &[
            "routes[0].to: there is no upstream `v` | there are: u",
        ],
    ),
    case(
        "routes: [{route: GET /a, to: u}]",
        &[
            "routes[0]: `auth` is missing: every route says who may use it | write `auth: public`, `auth: signed-in`, or the claims that must hold: `auth: {user_type: admin}`",
        ],
    ),
    case(
        "routes: [{route: GET /a, to: u, atuh: public}]",
        &[
            "routes[0].atuh: there is no key `atuh` | did you mean `auth`?",
        ],
    ),
    case(
        "routes: [{route: GET /a, to: u, auth: signed_in}]",
        &[
            "routes[0].auth: `signed_in` is no policy | did you mean `signed-in`?",
        ],
    ),
    case(
        "routes: [{route: GET /a, to: u, auth: admin}]",
        &[
            "routes[0].auth: `admin` is no policy | write `auth: public`, `auth: signed-in`, or the claims that must hold: `auth: {user_type: admin}`",
        ],
    ),
    case(
        "routes: [{route: GET /a, to: u, auth: public, strip_prefix: /a}]",
        &[
            "routes[0].strip_prefix: there is no key `strip_prefix` | did you mean `rewrite`?",
        ],
    ),
    case(
        r#"routes: [{route: "GET /a/{id}", to: u, auth: public, rewrite: "/b/{ids}"}]"#,
        &[
            "routes[0].rewrite: the path `/a/{id}` has no part `{ids}` | did you mean `id`?",
        ],
    ),
    case(
        "routes: [{route: GET /a, to: u, auth: public, rate_limit: 5/s per ip}]",
        &[
            "routes[0].rate_limit: there is no key `rate_limit` | did you mean `limit`?",
        ],
    ),
    case(
        "routes: [{route: GET /a, to: u, auth: public, limit: 5/s}]",
        &[
            "routes[0].limit: `5/s` is not a limit; write it like `600/min per ip`, `20/s per user` or `1000/h per header x-api-key`",
        ],
    ),
    case(
        "routes: [{route: GET /a, to: u, auth: public, body_limit: 1M}]",
        &[
            "routes[0].body_limit: `1M` is not a size; write it like 64KiB, 1MiB or 10MB",
        ],
    ),
    case(
        "routes: [{route: GET /a, to: u, auth: public, timeout: 5s}]",
        &[
            "routes[0].timeout: `key: value` pairs are wanted here, not a single value",
        ],
    ),
    case(
        "routes: [{route: GET /a, to: u, auth: public, timeout: {head: 5 seconds}}]",
        &[
            "routes[0].timeout.head: `5 seconds` is not a duration; write it like 250ms, 30s, 15m, 2h or 7d",
        ],
    ),
    case(
        "routes: [{route: GET /a, to: u, auth: public, timeout: {read: 5s}}]",
        &[
            "routes[0].timeout.read: there is no key `read` | did you mean `head`?",
        ],
    ),
    case(
        "routes: [{route: GET /a, to: u, auth: public, then: issue_token}]",
        &[
            "routes[0].then: there is no hook `issue_token` | did you mean `issue-token`?",
        ],
    ),
    case(
        r#"routes: [{route: GET /a, to: u, auth: public, cors: "*"}]"#,
        &[
            "routes[0].cors: `key: value` pairs are wanted here, not a single value",
        ],
    ),
    case(
        "routes: [{route: GET /a, to: u, auth: public, cors: {origins: app.example}}]",
        &[
            "routes[0].cors.origins: `app.example` is not an origin; write it like https://app.example.com, without a path",
        ],
    ),
    case(
        "routes: [{route: GET /a, to: u, auth: public}, {route: GET /a, to: u, auth: signed-in}]",
        &[
            "routes[1]: GET /a also belongs to the route `GET /a`",
        ],
    ),
    case(
        r#"upstreams: {u: {targets: ["http://u:1"], balance: round-robin}}"#,
        &[
            "upstreams.u.balance: `round-robin` is not a kind of balancing; there are round_robin, least_in_flight, p2c, {hash: a-header} and {hash: caller} | did you mean `round_robin`?",
        ],
    ),
    case(
        r#"upstreams: {u: {targets: ["http://u:1"], balance: least_conn}}"#,
        &[
            "upstreams.u.balance: `least_conn` is not a kind of balancing; there are round_robin, least_in_flight, p2c, {hash: a-header} and {hash: caller} | did you mean `least_in_flight`?",
        ],
    ),
    case(
        r#"upstreams: {u: {targets: ["u:8002"]}}"#,
        &[
            "upstreams.u.targets[0]: `u:8002` is not a target: it must begin with http:// or https://; did you mean `http://u:8002`?",
        ],
    ),
    case(
        r#"upstreams: {u: {targets: [":24101"]}}"#,
        &[
            "upstreams.u.targets[0]: `:24101` is not a target: it must begin with http:// or https://; did you mean `http://127.0.0.1:24101`?",
        ],
    ),
    case(
        r#"upstreams: {u: {targets: ["http://u:1/api"]}}"#,
        &[
            "upstreams.u.targets[0]: `http://u:1/api` is not a target: it has a path; the path is set by a route, with `rewrite`; write it like http://users:8002",
        ],
    ),
    case(
        r#"upstreams: {u: {url: "http://u:1"}}"#,
        &[
            "upstreams.u.url: there is no key `url` | did you mean `targets`?",
        ],
    ),
    case(
        r#"upstreams: {u: {targets: ["http://u:1"], health: health}}"#,
        &[
            "upstreams.u.health: the path must begin with `/`",
        ],
    ),
    case(
        r#"upstreams: {u: {targets: ["http://u:1"], breaker: on}}"#,
        &[
            "upstreams.u.breaker: `key: value` pairs are wanted here, not a single value",
        ],
    ),
    case(
        r#"upstreams: {u: {targets: ["${U_URL}"]}}"#,
        &[
            "upstreams.u.targets[0]: the environment variable U_URL is not set; set it, or give a default: ${U_URL:-…}",
        ],
    ),
    without(
        "upstreams",
        r#"upstream: {u: {targets: ["http://u:1"]}}
routes: [{route: GET /a, to: u, auth: public}]"#,
        &[
            "upstream: there is no key `upstream` | did you mean `upstreams`?",
        ],
    ),
    without(
        "tokens",
        r#"token: {issuer: i, audience: a}
routes: [{route: GET /a, to: u, auth: signed-in}]"#,
        &[
            "token: there is no key `token` | did you mean `tokens`?",
        ],
    ),
    without(
        "tokens",
        "routes: [{route: GET /a, to: u, auth: signed-in}]",
        &[
            "routes[0].auth: this needs a token, but the file has no `tokens` section",
        ],
    ),
    case(
        r#"tokens: {issuer: i, audience: a, keys: "${KEYS}"}"#,
        &[
            "tokens.keys: the environment variable KEYS is not set; set it, or give a default: ${KEYS:-…}",
        ],
    ),
    case(
        "tokens: {issuer: i, audience: a, ttl: 1 hour}",
        &[
            "tokens.ttl: `1 hour` is not a duration; write it like 250ms, 30s, 15m, 2h or 7d",
        ],
    ),
    case(
        "listen: :24101",
        &[
            "listen: `:24101` is not an address and a port; did you mean `127.0.0.1:24101` (for this machine only) or `0.0.0.0:24101` (for every network)?",
        ],
    ),
    case(
        "listen: localhost:8001",
        &[
            "listen: `localhost:8001` is not an address and a port; did you mean `127.0.0.1:8001`?",
        ],
    ),
    case(
        "listen: 8001",
        &[
            "listen: `8001` is not an address and a port; did you mean `127.0.0.1:8001` (for this machine only) or `0.0.0.0:8001` (for every network)?",
        ],
    ),
    case(
        "admin: ${ADMIN}",
        &[
            "admin: the environment variable ADMIN is not set; set it, or give a default: ${ADMIN:-…}",
        ],
    ),
    case(
        "lissen: 127.0.0.1:1",
        &[
            "lissen: there is no key `lissen` | did you mean `listen`?",
        ],
    ),
    case(
        "version: 2",
        &[
            "version: this gateway reads version 1, not `2`",
        ],
    ),
    case(
        "trusted_proxies: [10.0.0.0/33]",
        &[
            "trusted_proxies[0]: `10.0.0.0/33` is not a network like 10.0.0.0/8",
        ],
    ),
    case(
        "builtin: {docs: docs}",
        &[
            "builtin.docs: the path must begin with `/`",
        ],
    ),
    case(
        "tests: [{request: /a, expect: 404}, {request: GET /a, expect: ok}]",
        &[
            "tests[0].request: `/a` must be a method and a path, like `GET /api/users/7`",
            "tests[1].expect: `ok` is not a status like 403; for more than that, write `{to: …}`",
        ],
    ),
    case(
        "routes: [{route: GET /a/*, to: u, auth: public}]",
        &[
            "routes[0].route: `*` is no parameter here: `{name}` is one segment, and `{name...}` at the end is all the rest; did you mean `/a/{rest...}`?",
        ],
    ),
    case(
        r#"routes: [{route: "GET /a/:id", to: u, auth: public}]"#,
        &[
            "routes[0].route: `:id` is no parameter here: `{name}` is one segment, and `{name...}` at the end is all the rest; did you mean `/a/{id}`?",
        ],
    ),
    case(
        r#"routes: [{route: "GET /a/{id:[0-9]+}", to: u, auth: public}]"#,
        &[
            "routes[0].route: `{id:[0-9]+}` is no parameter here: `{name}` is one segment, and `{name...}` at the end is all the rest; did you mean `/a/{id}`?",
        ],
    ),
    case(
        r#"routes: [{route: "GET /a/{id}", to: u, auth: public, rewrite: "/b/:id"}]"#,
        &[
            "routes[0].rewrite: `:id` is no parameter here: `{name}` is one segment, and `{name...}` at the end is all the rest; did you mean `/b/{id}`?",
        ],
    ),
    case(
        r#"routes: [{route: "GET /a/{id}", to: u, auth: public, request_headers: {set: {x-id: "{id}"}}}]"#,
        &[
            "routes[0].request_headers.set.x-id: `{id}` would be sent as it is: values of headers have no parameters. Only `rewrite` can use parts of the path; claims of the caller are sent by `identity`",
        ],
    ),
    case(
        r#"routes: [{route: GET /a, to: u, auth: {role: "!admin"}}]"#,
        &[
            "routes[0].auth.role: `!admin` would be compared as it is; there is no negation: name the values that are accepted",
        ],
    ),
    case(
        r#"routes: [{route: GET /a, to: u, auth: {role: "*"}}]"#,
        &[
            "routes[0].auth.role: `*` would be compared as it is; there is no wildcard: name the values that are accepted, or write `auth: signed-in`",
        ],
    ),
    case(
        r#"routes: [{route: GET /a, to: u, auth: {url: "http://auth:1"}}]"#,
        &[
            "routes[0].auth.url: `url` would be the name of a claim; for a decision by a program of your own, write `{hook: NAME}`",
        ],
    ),
    case(
        r#"routes: [{route: GET /a, to: u, auth: {or: [{a: b}]}}]"#,
        &[
            "routes[0].auth.or: `or` would be the name of a claim; for alternatives write `any: [{group: a}, {user_type: admin}]`",
        ],
    ),
    case(
        r#"routes: [{route: GET /a, to: u, auth: {scope: "a:read"}}]"#,
        &[
            "routes[0].auth.scope: `scope` would be the name of a claim; its scopes are compared one by one with `scopes: [orders:read]`",
        ],
    ),
    case(
        r#"routes: [{route: GET /a, to: u, auth: {scopes: "a:read a:write"}}]"#,
        &[
            "routes[0].auth.scopes: `a:read a:write` is no scope; several scopes are a list: `[orders:read, orders:write]`",
        ],
    ),
    case(
        r#"routes: [{route: GET /a, to: u, auth: {any: {a: b}}}]"#,
        &[
            "routes[0].auth.any: this is no list of claims; write it like `[{user_type: admin}, {group: ops}]`",
        ],
    ),
    case(
        r#"routes: [{route: "GET /a/{user_id}", to: u, auth: {sub: "{userid}"}}]"#,
        &[
            "routes[0].auth.sub: the path `/a/{user_id}` has no part `{userid}` | did you mean `user_id`?",
        ],
    ),
    case(
        r#"routes: [{route: GET /a, to: u, auth: {/a//b: c}}]"#,
        &[
            "routes[0].auth./a//b: `/a//b` names no claim; write `user_type`, or `/realm_access/roles` for a nested one",
        ],
    ),
    case(
        r#"server_timing: {sub: "{user_id}"}"#,
        &[
            "server_timing.sub: `{user_id}` is a parameter of a path, and there is no path here",
        ],
    ),
    case(
        r#"routes: [{route: GET /a, to: u, auth: public, from: "${NOTHING:-}"}]"#,
        &[
            "routes[0].from: no network is named here, so that nobody could use the route; leave `from` out for everybody",
        ],
    ),
    case(
        "routes: [{route: GET /a, to: u, auth: public, not_from: [10.0.0.0/33]}]",
        &[
            "routes[0].not_from[0]: `10.0.0.0/33` is not a network like 10.0.0.0/8",
        ],
    ),
    case(
        "routes: [{route: GET /a, to: u, auth: public, timeout: {head: 30}}]",
        &[
            "routes[0].timeout.head: `30` has no unit; did you mean `30s`?",
        ],
    ),
];

fn told(case: &Case) -> Vec<String> {
    let is_there = |name: &str| case.yaml.lines().any(|line| line.starts_with(&format!("{name}:")));
    let added = SECTIONS.iter().filter(|(name, _)| *name != case.without && !is_there(name));
    let head: String = added.map(|(name, value)| format!("{name}: {value}\n")).collect();
    let found = mistakes(&format!("{head}{}\n", case.yaml));
    let line = |mistake: &gateway::config::Mistake| {
        let help = mistake.help.as_ref().map(|help| format!(" | {help}")).unwrap_or_default();
        format!("{}: {}{help}", mistake.path, mistake.message)
    };
    found.iter().map(line).collect()
}

#[test]
fn typical_mistakes_are_explained() {
    let differing: Vec<String> = CASES
        .iter()
        .filter(|case| told(case) != case.said)
        .map(|case| format!("{}\n    {:#?}", case.yaml, told(case)))
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert!(CASES.len() >= 35);
}
