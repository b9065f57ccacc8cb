//! The YAML: every mistake at once, each with its line.

use proptest::prelude::*;

use gateway::config::{
    Config,
    mistake::{Mistake, render},
};

fn mistakes(yaml: &str) -> Vec<Mistake> {
    let environment = |name: &str| match name {
        "GATEWAY_JWT_SECRET" => Some("s".repeat(32)),
        "INTERNAL_KEY" => Some("k".repeat(32)),
        _ => None,
    };
    Config::load(yaml, &environment).err().unwrap_or_default()
}

const HEAD: &str = "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\n";
const TOKENS: &str = "tokens: {issuer: i, audience: a}\n";
const UPSTREAMS: &str = "upstreams: {users: {targets: [\"http://users:1\"]}}\n";

fn with_routes(routes: &str) -> Vec<Mistake> {
    mistakes(&format!("{HEAD}{TOKENS}{UPSTREAMS}routes:\n{routes}"))
}

#[test]
fn every_mistake_is_reported_at_once_with_its_line() {
    let yaml = "\
version: 2
listen: nowhere
admin: 127.0.0.1:0
lissen: 1
tokens: {issuer: i, audience: a, ttl: 0s}
upstreams:
  users: {targets: [ftp://x], max_in_flight: 0}
routes:
  - {route: POST /login, to: user, auth: public, then: issue-tokn}
  - {route: GET /x, to: users}
  - {route: get /y, to: users, auth: publc}
";
    let found: Vec<(usize, String)> = mistakes(yaml).into_iter().map(|m| (m.place.line, m.path.clone())).collect();
    let found: Vec<(usize, &str)> = found.iter().map(|(line, path)| (*line, path.as_str())).collect();
    assert_eq!(
        found,
        [
            (1, "version"),
            (2, "listen"),
            (4, "lissen"),
            (5, "tokens.ttl"),
            (7, "upstreams.users.targets[0]"),
            (7, "upstreams.users.max_in_flight"),
            (9, "routes[0].to"),
            (9, "routes[0].then"),
            (10, "routes[1]"),
            (11, "routes[2].route"),
            (11, "routes[2].auth"),
        ]
    );
}

#[test]
fn a_mistake_shows_its_line_a_caret_and_what_was_meant() {
    let yaml = format!("{HEAD}{UPSTREAMS}routes:\n  - {{route: GET /x, to: usrs, auth: public}}\n");
    let shown = render(&mistakes(&yaml)[0], "gateway.yaml", &yaml);
    assert_eq!(
        shown,
        "gateway.yaml:6:25: routes[0].to: there is no upstream `usrs`\n  \
         |\n6 |   - {route: GET /x, to: usrs, auth: public}\n  \
         |                         ^^^^ did you mean `users`?"
    );
}

#[test]
fn a_route_that_says_nothing_about_auth_is_refused() {
    let found = with_routes("  - {route: GET /x, to: users}\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].message.contains("`auth` is missing"), "{found:?}");
}

#[test]
fn what_the_gateway_could_not_do_is_refused() {
    for (routes, message) in [
        (
            "  - {route: GET /x, to: users, auth: public}\n  - {route: 'GET /x', to: users, auth: public}",
            "also belongs to",
        ),
        (
            "  - {route: 'GET /a/{x}', to: users, auth: public}\n  - {route: '* /a/{y}', to: users, auth: public}",
            "also belongs to",
        ),
        ("  - {route: GET /{x}, to: users, auth: public}", "not valid YAML"),
        ("  - {route: GET x, to: users, auth: public}", "must begin with `/`"),
        ("  - {route: /x, to: users, auth: public}", "methods and a path"),
        ("  - {route: GET /x, to: users, auth: {}}", "no claim is named"),
        ("  - {route: GET /x, to: users, auth: {role: []}}", "nobody could pass"),
        ("  - {route: GET /x, to: users, auth: [public]}", "no policy"),
        ("  - {route: GET /x, to: users, auth: public, limit: 5/min per user}", "no callers to count"),
        ("  - {route: GET /x, to: users, auth: public, limit: lots}", "is not a limit"),
        ("  - {route: 'GET /x/{a}', to: users, auth: public, rewrite: '/{b}'}", "has no part `{b}`"),
        ("  - {route: GET /x, to: users, auth: public, body_limit: big}", "is not a size"),
        ("  - {route: GET /x, to: users, auth: public, websockets: true}", "there is no key `websockets`"),
        ("  - {route: GET /x, to: users, auth: public, websocket: maybe}", "is not `true` or `false`"),
        ("  - {route: POST /x, to: users, auth: public, websocket: true}", "a WebSocket begins with GET"),
        ("  - {route: GET /x, to: users, auth: public, path: {encoded_slash: yes}}", "is not `keep` or `refuse`"),
        ("  - {route: GET /x, to: users, auth: public, path: {merge_slashes: no}}", "is not `true` or `false`"),
        ("  - {route: GET /x, to: users, auth: public, path: {slashes: keep}}", "there is no key `slashes`"),
        ("  - {route: GET /x, to: users, auth: public, then: nothing}", "there is no hook"),
        ("  - {route: GET /x, to: users, auth: public, forward_authorization: yes}", "is not `true` or `false`"),
    ] {
        let found = with_routes(routes);
        assert_eq!(found.len(), 1, "{routes}: {found:#?}");
        assert!(found[0].message.contains(message), "{routes}: {found:?}");
    }
}

#[test]
fn two_routes_that_one_request_could_match_are_refused_with_what_to_do() {
    let two = |first: &str, second: &str| {
        with_routes(&format!(
            "  - {{route: GET /x, to: users, auth: public, when: {first}}}\n  \
               - {{route: GET /x, to: users, auth: public, when: {second}}}\n"
        ))
    };
    let found = two("{headers: {a: x}}", "{headers: {b: x}}");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].message.contains("GET /x also belongs to the route `GET /x (a: x)`"), "{found:?}");
    assert!(found[0].help.as_ref().unwrap().contains("name `a` here too"), "{found:?}");
    assert_eq!(two("{host: A.example.com}", "{host: a.example.com}").len(), 1);
    for (first, second) in [
        ("{headers: {a: x}}", "{headers: {a: y}}"),
        ("{headers: {a: x}}", "{headers: {a: x, b: x}}"),
        ("{host: a.example.com}", "{host: '*.example.com'}"),
        ("{host: a.example.com}", "{}"),
    ] {
        assert!(two(first, second).is_empty(), "{first} {second}");
    }
}

#[test]
fn what_a_route_may_not_say_about_headers_and_origins_is_refused() {
    for (keys, message) in [
        ("when: {host: 'a.example.com:80'}", "is not a host"),
        ("when: {headers: {host: x}}", "a key of its own"),
        ("when: {headers: {Request_User_Id: '1'}}", "says who calls"),
        ("when: {headers: {authorization: x}}", "says who calls"),
        ("when: {headers: {connection: close}}", "about one connection"),
        ("when: {headers: {X: a, x: b}}", "is there twice"),
        ("when: {headers: {x: ''}}", "no header has the value"),
        ("when: {hosts: a}", "there is no key `hosts`"),
        ("request_headers: {set: {request-user-id: '1'}}", "only the gateway may say that"),
        ("request_headers: {set: {X_Tenant: '1'}}", "only the gateway may say that"),
        ("request_headers: {add: {Host: x}}", "written by the gateway itself"),
        ("request_headers: {remove: [x-forwarded-for]}", "written by the gateway itself"),
        ("request_headers: {set: {content-length: 0}}", "where the message ends"),
        ("response_headers: {set: {Transfer-Encoding: chunked}}", "where the message ends"),
        ("response_headers: {set: {connection: close}}", "where the message ends"),
        ("response_headers: {remove: ['a b']}", "is no header name"),
        ("response_headers: {set: {x: [1]}}", "a single value is wanted"),
        ("response_headers: {put: {x: 1}}", "there is no key `put`"),
        ("cors: {}", "`origins` is missing"),
        ("cors: on", "pairs are wanted here"),
        ("cors: {origins: []}", "no origin is named"),
        ("cors: {origins: 'https://a.example/'}", "is not an origin"),
        ("cors: {origins: a.example}", "is not an origin"),
        ("cors: {origins: ['*', 'https://a.example']}", "must stand alone"),
        ("cors: {origins: '*', credentials: true}", "there can be no credentials"),
        ("cors: {origins: 'https://a.example', credentials: true, headers: '*'}", "name the headers"),
        ("cors: {origins: '*', methods: [FLY]}", "is not a method"),
        ("cors: {origins: '*', methods: []}", "no method is named"),
        ("cors: {origins: '*', max_age: 0s}", "longer than zero"),
    ] {
        let yaml = format!(
            "{HEAD}{TOKENS}{UPSTREAMS}identity: {{headers: {{x-tenant: tenant}}}}\n\
             routes:\n  - {{route: GET /x, to: users, auth: public, {keys}}}\n"
        );
        let found = mistakes(&yaml);
        assert_eq!(found.len(), 1, "{keys}: {found:#?}");
        assert!(found[0].message.contains(message), "{keys}: {found:?}");
    }
}

#[test]
fn routes_may_not_hide_the_pages_of_the_gateway() {
    let yaml = format!(
        "{HEAD}{UPSTREAMS}builtin: {{docs: /docs, health: /health}}\nroutes:\n  \
         - {{route: GET /docs, to: users, auth: public}}\n  \
         - {{route: GET /health/live, to: users, auth: public}}\n  \
         - {{route: \"* /{{rest...}}\", to: users, auth: public}}\n"
    );
    let found = mistakes(&yaml);
    assert_eq!(found.iter().map(|m| m.place.line).collect::<Vec<_>>(), [7, 8], "{found:#?}");
}

#[test]
fn an_alias_hides_no_route() {
    let yaml = format!(
        "{HEAD}{UPSTREAMS}aliases: {{/api/v1: /api}}\nroutes:\n  - {{route: GET /api/v1/x, to: users, auth: public}}\n"
    );
    assert!(mistakes(&yaml)[0].message.contains("never reached"));
}

#[test]
fn tokens_need_a_section_and_one_key() {
    let yaml = format!("{HEAD}{UPSTREAMS}routes: [{{route: GET /x, to: users, auth: signed-in}}]\n");
    assert!(mistakes(&yaml)[0].message.contains("no `tokens` section"));
    let both = format!("{HEAD}{UPSTREAMS}tokens: {{issuer: i, audience: a, keys: /keys}}\nroutes: []\n");
    assert!(mistakes(&both)[0].message.contains("keep one of them"));
    let neither = Config::load(&format!("{HEAD}{TOKENS}{UPSTREAMS}routes: []\n"), &|_| None).unwrap_err();
    assert!(neither[0].message.contains("no key to sign tokens"), "{neither:?}");
    let short = |name: &str| (name == "GATEWAY_JWT_SECRET").then(|| "short".to_owned());
    let short = Config::load(&format!("{HEAD}{TOKENS}{UPSTREAMS}routes: []\n"), &short).unwrap_err();
    assert!(short[0].message.contains("at least 32 bytes"), "{short:?}");
}

#[test]
fn an_upstream_that_wants_assertions_needs_a_key() {
    let yaml = format!("{HEAD}upstreams: {{u: {{targets: [\"http://u:1\"], assertion: users}}}}\nroutes: []\n");
    assert!(mistakes(&yaml).is_empty());
    let found = Config::load(&yaml, &|_| None).unwrap_err();
    assert!(found[0].message.contains("set USERS_INTERNAL_KEY or USERS_INTERNAL_KEY_FILE"), "{found:?}");
}

#[test]
fn a_missing_variable_is_a_mistake_and_a_default_is_not() {
    let yaml = format!("{HEAD}upstreams: {{u: {{targets: [\"${{U_URL}}\"]}}}}\nroutes: []\n");
    let found = mistakes(&yaml);
    assert!(found[0].message.contains("U_URL is not set"), "{found:?}");
    assert!(mistakes(&yaml.replace("${U_URL}", "${U_URL:-http://u:1}")).is_empty());
}

#[test]
fn the_configuration_of_this_stack_has_no_mistakes() {
    let environment = |name: &str| match name {
        "GATEWAY_KEY_DIR" => Some("keys".to_owned()),
        "INTERNAL_KEY" => Some("k".repeat(32)),
        "USERS_SERVICE_URL" | "ORDERS_SERVICE_URL" => Some("http://127.0.0.1:1".to_owned()),
        _ => None,
    };
    let config = Config::load(gateway::STACK_YAML, &environment).unwrap();
    let public: Vec<_> =
        config.routes.iter().filter(|route| route.policy.is_public()).map(|route| &route.name).collect();
    assert_eq!(public, ["POST /api/login"]);
}

#[test]
fn resilience_is_spelled_short_or_long() {
    let upstreams = "upstreams:\n  \
        a: {targets: [\"http://a:1\", {url: \"http://b:1\", weight: 3}], health: /ready, balance: p2c, breaker: off}\n  \
        b: {targets: [\"http://a:1\"], balance: {hash: x-cart}, max_ejected: 50%, \
            health: {path: /h, interval: 5s, timeout: 1s, healthy: 2, unhealthy: 4}, \
            breaker: {failures: 3, share: 40%, requests: 10, window: 5s, open: 1s}}\n";
    let routes = "defaults: {retry: {attempts: 3, budget: 10%}, timeout: {total: 5s}}\nroutes:\n  \
        - {route: GET /a, to: a, auth: public, retry: {methods: [PUT, DELETE], idempotency_key: true}}\n  \
        - {route: GET /b, to: b, auth: public, retry: off, timeout: {total: 1s}}\n";
    let config = Config::load(&format!("{HEAD}{upstreams}{routes}"), &|_| None).unwrap_or_else(|e| panic!("{e:#?}"));
    let [a, b] = &config.upstreams[..] else { panic!("{:?}", config.upstreams) };
    let weights: Vec<u32> = a.targets.iter().map(|target| target.weight).collect();
    assert_eq!((weights, a.breaker.is_none()), (vec![1, 3], true));
    assert_eq!(a.health.as_ref().map(|health| health.path.as_str()), Some("/ready"));
    assert_eq!(b.health.as_ref().map(|health| (health.healthy, health.unhealthy)), Some((2, 4)));
    assert_eq!((b.breaker.as_ref().map(|breaker| breaker.failed_percent), b.ejected_percent_max), (Some(40), 50));
    let [a, b] = &config.routes[..] else { panic!("{:?}", config.routes) };
    assert_eq!((a.retry.attempts, a.retry.budget_percent, a.retry.methods.len()), (3, 10, 2));
    assert!(a.retry.idempotency_key && !b.retry.idempotency_key);
    assert_eq!((b.retry.attempts, a.timeouts.total, b.timeouts.total).0, 1);
    assert!(a.timeouts.total > b.timeouts.total);
}

#[test]
fn what_would_not_work_in_resilience_is_a_mistake() {
    for (upstream, path) in [
        ("targets: [{url: \"http://a:1\", weight: 0}]", "u.targets[0].weight"),
        ("targets: [{url: \"http://a:1\", weigth: 1}]", "u.targets[0].weigth"),
        ("targets: [{weight: 1}]", "u.targets[0]"),
        ("targets: [\"http://a:1\"], balance: random", "u.balance"),
        ("targets: [\"http://a:1\"], balance: {hash: \"a b\"}", "u.balance.hash"),
        ("targets: [\"http://a:1\"], health: ready", "u.health"),
        ("targets: [\"http://a:1\"], health: {interval: 1s}", "u.health"),
        ("targets: [\"http://a:1\"], health: {path: /a, healthy: 0}", "u.health.healthy"),
        ("targets: [\"http://a:1\"], breaker: {share: 0%}", "u.breaker.share"),
        ("targets: [\"http://a:1\"], breaker: {share: 50}", "u.breaker.share"),
        ("targets: [\"http://a:1\"], max_ejected: 101%", "u.max_ejected"),
    ] {
        let found = mistakes(&format!("{HEAD}upstreams: {{u: {{{upstream}}}}}\nroutes: []\n"));
        let paths: Vec<&str> = found.iter().map(|mistake| mistake.path.as_str()).collect();
        assert_eq!(paths, [format!("upstreams.{path}")], "{upstream}: {found:#?}");
    }
    let many = vec!["\"http://a:1\""; 65].join(", ");
    let found = mistakes(&format!("{HEAD}upstreams: {{u: {{targets: [{many}]}}}}\nroutes: []\n"));
    assert!(found.len() == 1 && found[0].message.contains("too many"), "{found:#?}");
    for (retry, path) in [
        ("{attempts: 0}", ".attempts"),
        ("{attempts: 6}", ".attempts"),
        ("{budget: 20}", ".budget"),
        ("{methods: [POST]}", ".methods[0]"),
        ("{methods: [GET]}", ".methods[0]"),
        ("never", ""),
    ] {
        let found = with_routes(&format!("  - {{route: GET /x, to: users, auth: public, retry: {retry}}}\n"));
        let paths: Vec<&str> = found.iter().map(|mistake| mistake.path.as_str()).collect();
        assert_eq!(paths, [format!("routes[0].retry{path}")], "{retry}: {found:#?}");
    }
}

fn with_tokens(tokens: &str) -> Vec<Mistake> {
    mistakes(&format!(
        "{HEAD}tokens: {tokens}\n{UPSTREAMS}routes:\n  - {{route: POST /login, to: users, auth: public, then: issue-token}}\n"
    ))
}

#[test]
fn mistakes_about_tokens_are_told() {
    let also = |issuer: &str| format!("{{issuer: i, audience: a, also: [{issuer}]}}");
    for (tokens, message) in [
        (also("{issuer: x, audience: a}"), "`jwks` is missing"),
        (also("{issuer: x, audience: a, jwks: 'ftp://x/y'}"), "neither an http(s) address nor a file"),
        (also("{issuer: x, audience: a, jwks: 'http://x', typ: jwt}"), "no rule for `typ`"),
        (also("{issuer: x, audience: a, jwks: 'http://x', refresh: 0s}"), "longer than zero"),
        (also("{issuer: x, audience: a, jwks: 'http://x', ttl: 5m}"), "there is no key `ttl`"),
        (also("{issuer: i, audience: a, jwks: 'http://x'}"), "the issuer `i` is there twice"),
        ("{issuer: i, audience: a, publish_for: soon}".to_owned(), "not a duration"),
        ("{issuer: i, audience: a, jwks: 'http://x', keys: k}".to_owned(), "there is no key `keys`"),
    ] {
        let found = with_tokens(&tokens);
        assert!(found.iter().any(|mistake| mistake.message.contains(message)), "{tokens}: {found:?}");
    }
    let found = with_tokens("{issuer: i, audience: a, jwks: 'https://idp.example/jwks.json'}");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.contains("with a key of our own"), "only who has a key issues tokens: {found:?}");
    assert_eq!(with_tokens(&also("{issuer: x, audience: a, jwks: keys.json, typ: any, ca: ca.pem, refresh: 1m}")), []);
}

#[test]
fn hooks_that_are_not_registered_are_mistakes() {
    for (route, help) in [
        ("auth: public, then: issue-tokn", "did you mean `issue-token`?"),
        ("auth: public, then: nothing", "there are: issue-token"),
        ("auth: {hook: own}", "none is registered here"),
        ("auth: signed-in, decoder: own", "none is registered here"),
        ("auth: signed-in, headers_from: [own]", "none is registered here"),
    ] {
        let found = with_routes(&format!("  - {{route: GET /x, to: users, {route}}}\n"));
        assert_eq!(found.len(), 1, "{route}: {found:#?}");
        assert!(found[0].message.contains("there is no hook"), "{found:?}");
        assert!(found[0].help.as_deref().is_some_and(|text| text.contains(help)), "{route}: {found:?}");
    }
}

#[test]
fn a_hook_may_not_write_what_only_the_gateway_writes() {
    let host = actix_http::header::HOST;
    let builder = gateway::Gateway::builder().headers("bad", &[host], |_| async { Ok(Vec::new()) });
    let yaml = format!("{HEAD}{UPSTREAMS}routes: [{{route: GET /x, to: users, auth: public, headers_from: bad}}]\n");
    let error = builder.load_text("test.yaml", &yaml, &|_| None).unwrap_err().to_string();
    assert!(error.contains("this hook sets `host`, which only the gateway writes"), "{error}");
}

#[test]
fn mistakes_about_tls_are_told() {
    let with_tls = |tls: &str| {
        let route = "routes: [{route: GET /x, to: users, auth: public}]";
        mistakes(&format!("{HEAD}tls: {tls}\n{UPSTREAMS}{route}\n"))
    };
    for (tls, message) in [
        ("{cert: a.pem}", "`key` is missing"),
        ("{cert: a.pem, key: a.key, min_version: 1.1}", "not a version of TLS that is safe"),
        ("{cert: a.pem, key: a.key, verify: false}", "there is no key `verify`"),
        ("{certificates: []}", "at least one certificate"),
        ("{certificates: [{cert: a.pem}]}", "`key` is missing"),
        ("{certificates: [{cert: a.pem, key: a.key}], cert: b.pem}", "there is no key `cert`"),
    ] {
        let found = with_tls(tls);
        assert!(found.iter().any(|mistake| mistake.message.contains(message)), "{tls}: {found:?}");
    }
    assert_eq!(with_tls("{cert: a.pem, key: a.key, min_version: 1.3, client_ca: ca.pem}"), []);
    assert_eq!(with_tls("{certificates: [{cert: a.pem, key: a.key}, {cert: b.pem, key: b.key}]}"), []);
}

#[test]
fn mistakes_about_tls_to_upstreams_are_told() {
    let with_upstream = |upstream: &str| {
        let route = "routes: [{route: GET /x, to: u, auth: public}]";
        mistakes(&format!("{HEAD}upstreams: {{u: {{{upstream}}}}}\n{route}\n"))
    };
    for (upstream, message) in [
        ("targets: ['https://a', 'http://b']", "make two upstreams of them"),
        ("targets: ['http://a'], tls: {ca: ca.pem}", "no target begins with https://"),
        ("targets: ['https://a'], tls: {cert: c.pem}", "`cert` and `key` belong together"),
        ("targets: ['https://a'], tls: {server_name: 'a b'}", "not the name of a server"),
        ("targets: ['https://a'], tls: {verify: false}", "there is no key `verify`"),
    ] {
        let found = with_upstream(upstream);
        assert_eq!(found.len(), 1, "{upstream}: {found:?}");
        assert!(found[0].message.contains(message), "{upstream}: {found:?}");
    }
    let all = "targets: ['https://a', 'https://b:8443'], tls: {ca: c, cert: d, key: e, server_name: f.test}";
    assert_eq!(with_upstream(all), []);
    assert_eq!(with_upstream("targets: ['https://a']"), []);
}

#[test]
fn limits_that_would_not_work_are_mistakes() {
    for (limit, path) in [
        ("[1/min per ip, 1 per ip]", "routes[0].limit[1]"),
        ("1/min per user", "routes[0].limit"),
        ("1/min per header a b", "routes[0].limit"),
        ("1/min per header", "routes[0].limit"),
        ("[1/s per ip, 2/s per ip, 3/s per ip, 4/s per ip, 5/s per ip]", "routes[0].limit"),
    ] {
        let found = with_routes(&format!("  - {{route: GET /x, to: users, auth: public, limit: {limit}}}\n"));
        let paths: Vec<&str> = found.iter().map(|mistake| mistake.path.as_str()).collect();
        assert_eq!(paths, [path], "{limit}: {found:#?}");
    }
    for (limits, path) in [
        ("{connections: 0}", "limits.connections"),
        ("{head_bytes: 1MiB}", "limits.head_bytes"),
        ("{head_timeout: 0s}", "limits.head_timeout"),
        ("{conections: 1}", "limits.conections"),
    ] {
        let found = mistakes(&format!("{HEAD}{UPSTREAMS}limits: {limits}\nroutes: []\n"));
        let paths: Vec<&str> = found.iter().map(|mistake| mistake.path.as_str()).collect();
        assert_eq!(paths, [path], "{limits}: {found:#?}");
    }
}

/// Every mistake stands somewhere in the file, where an editor can show it, and can be rendered.
fn has_places(source: &str) {
    for mistake in mistakes(source) {
        let place = mistake.place;
        let lines = source.lines().count().max(1);
        assert!((1..=lines).contains(&place.line), "{mistake:?}\n{source}");
        let characters = source.lines().nth(place.line - 1).unwrap_or_default().chars().count();
        assert!((1..=characters + 1).contains(&place.column), "{mistake:?}\n{source}");
        assert!(render(&mistake, "g.yaml", source).contains(&mistake.message));
    }
}

#[test]
fn what_no_configuration_needs_is_refused_before_it_costs_memory() {
    for opened in ["[", "{a: ", "- ", "? ", "? - "] {
        assert!(mistakes(&opened.repeat(100))[0].message.contains("nested deeper"), "{opened}");
        // Where the parser itself gives up first, that is a mistake like any other.
        assert_eq!(mistakes(&opened.repeat(100_000)).len(), 1, "{opened}");
    }
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        laughs.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", ")));
    }
    assert!(mistakes(&laughs)[0].message.contains("more than 1000000 values"));
}

proptest! {
    #[test]
    fn no_text_makes_check_panic(source in "(\\PC|\n|\t|[\\[\\]{}:,&*!|>'\"%@`#-]|: |- |  ){0,200}") {
        has_places(&source);
    }

    /// The file of this stack with something cut out of it and something else in its place.
    #[test]
    fn no_change_of_a_good_file_makes_check_panic(
        at in 0..gateway::STACK_YAML.len(),
        cut in 0..60_usize,
        put in prop_oneof![
            "\\PC{0,12}",
            Just("\n".to_owned()),
            Just("{".to_owned()),
            Just("[".to_owned()),
            Just(": ".to_owned()),
            Just("${".to_owned()),
            Just("null".to_owned()),
            Just("{a: [b]}".to_owned()),
            Just("'*".to_owned()),
        ],
    ) {
        let characters: Vec<char> = gateway::STACK_YAML.chars().collect();
        let at = at.min(characters.len());
        let end = (at + cut).min(characters.len());
        let source: String = characters[..at].iter().copied().chain(put.chars()).chain(characters[end..].iter().copied()).collect();
        has_places(&source);
    }
}
