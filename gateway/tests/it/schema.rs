//! The JSON Schema and the tables of the documentation: current, and of one mind with the decoder.

use std::sync::LazyLock;

use gateway::config::{self, Config};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

/// Compiled once: it has hundreds of regular expressions.
static SCHEMA: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::draft202012::new(&config::schema()).unwrap());

const HEAD: &str = "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\n";
const TOKENS: &str = "tokens: {issuer: i, audience: a}\n";
const UPSTREAMS: &str = "upstreams: {u: {targets: ['http://u:1']}}\n";

/// The file as an editor sees it: scalars have the types of the core schema of YAML 1.2.
fn as_editors_see_it(source: &str) -> Value {
    fn json(yaml: &Yaml<'_>) -> Value {
        match yaml {
            Yaml::Value(Scalar::Null) => Value::Null,
            Yaml::Value(Scalar::Boolean(flag)) => Value::from(*flag),
            Yaml::Value(Scalar::Integer(number)) => Value::from(*number),
            Yaml::Value(Scalar::FloatingPoint(number)) => Value::from(number.into_inner()),
            Yaml::Value(Scalar::String(text)) => Value::from(text.as_ref()),
            Yaml::Sequence(items) => items.iter().map(json).collect(),
            Yaml::Mapping(entries) => {
                let entry =
                    |(key, value): (&Yaml<'_>, &Yaml<'_>)| (json(key).as_str().unwrap().to_owned(), json(value));
                Value::from(entries.iter().map(entry).collect::<Map<_, _>>())
            }
            Yaml::Representation(..) | Yaml::Tagged(..) | Yaml::Alias(_) | Yaml::BadValue => panic!("{yaml:?}"),
        }
    }
    json(&Yaml::load_from_str(source).unwrap()[0])
}

fn decodes(source: &str) -> Result<(), String> {
    let environment = |name: &str| match name {
        "GATEWAY_JWT_SECRET" => Some("s".repeat(32)),
        "INTERNAL_KEY" => Some("k".repeat(32)),
        "USERS_SERVICE_URL" | "ORDERS_SERVICE_URL" => Some("http://127.0.0.1:1".to_owned()),
        "ON" => Some("true".to_owned()),
        "FEW" => Some("3".to_owned()),
        _ => None,
    };
    Config::load(source, &environment).map(|_| ()).map_err(|mistakes| format!("{mistakes:#?}"))
}

/// Both say the same about a file; what they say is as expected.
fn agree(source: &str, right: bool) {
    let instance = as_editors_see_it(source);
    let errors: Vec<String> =
        SCHEMA.iter_errors(&instance).map(|error| format!("{}: {error}", error.instance_path)).collect();
    let decoded = decodes(source);
    assert_eq!(errors.is_empty(), right, "the schema: {errors:#?}\n{source}");
    assert_eq!(decoded.is_ok(), right, "the decoder: {decoded:?}\n{source}");
}

#[test]
fn the_schema_in_the_repository_is_current() {
    let kept: Value = serde_json::from_str(include_str!("../../gateway.schema.json")).unwrap();
    assert!(kept == config::schema(), "run `gateway schema > gateway/gateway.schema.json`");
}

#[test]
fn the_tables_of_the_documentation_are_current() {
    let documentation = include_str!("../../../docs/configuration.md");
    assert!(
        documentation.contains(&config::reference()),
        "put the output of `gateway schema --markdown` into docs/configuration.md:\n{}",
        config::reference()
    );
}

#[test]
fn schema_and_decoder_agree_about_the_file_of_this_stack() {
    agree(gateway::STACK_YAML, true);
}

#[test]
fn schema_and_decoder_agree_about_sections() {
    let routes = "routes: []\n";
    for (sections, right) in [
        (format!("{HEAD}{UPSTREAMS}{routes}"), true),
        (format!("{HEAD}{UPSTREAMS}"), false),
        (format!("{HEAD}{routes}"), false),
        (format!("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n{UPSTREAMS}{routes}"), false),
        (format!("{HEAD}{UPSTREAMS}{routes}").replace("version: 1", "version: 2"), false),
        (format!("{HEAD}{UPSTREAMS}{routes}").replace("version: 1", "version: \"1\""), true),
        (format!("{HEAD}{UPSTREAMS}{routes}lissen: x\n"), false),
        (format!("{HEAD}{UPSTREAMS}{routes}tokens:\nbuiltin:\ndefaults:\ntests:\nidentity:\n"), true),
        (format!("{HEAD}{UPSTREAMS}routes:\n"), false),
        (format!("{HEAD}{UPSTREAMS}routes: {{}}\n"), false),
        (format!("{HEAD}{UPSTREAMS}routes: [x]\n"), false),
        (format!("{HEAD}upstreams: {{}}\n{routes}"), true),
        (format!("{HEAD}upstreams: []\n{routes}"), false),
    ] {
        agree(&sections, right);
    }
    for (section, right) in [
        ("admin_hosts: [gateway, '*.example.com']", true),
        ("admin_hosts: {a: b}", false),
        ("trusted_proxies: 10.0.0.0/8", true),
        ("trusted_proxies: [10.0.0.0/8, '::1']", true),
        ("trusted_proxies: {a: b}", false),
        ("tls: {cert: /c.pem, key: /k.pem, min_version: 1.3}", true),
        ("tls: {cert: /c.pem, key: /k.pem, min_version: 1.1}", false),
        ("tls: {certificates: [{cert: /c.pem, key: /k.pem}], client_ca: /ca.pem, min_version: '1.2'}", true),
        ("tls: {certificates: []}", false),
        ("tls: {certificates: [{cert: /c.pem}]}", false),
        ("tls: {cert: /c.pem}", false),
        ("tls: {cert: /c.pem, key: /k.pem, certificates: [{cert: /c.pem, key: /k.pem}]}", false),
        ("tokens: {issuer: {}, audience: a}", false),
        ("aliases: {/v1: /api}", true),
        ("aliases: {/v1: api}", false),
        ("aliases: /v1", false),
        ("builtin: {docs: /docs, health: off, jwks: ~}", true),
        ("builtin: {docs: docs}", false),
        ("builtin: {docks: /docs}", false),
        ("defaults: {timeout: {connect: 1s, head: 1m}, body_limit: 64 KiB}", true),
        ("defaults: {timeout: 5s}", false),
        ("defaults: {timeout: {totally: 5s}}", false),
        ("defaults: {body_limit: 1.5MiB}", false),
        ("defaults: {body_rate: 1KiB/s}", true),
        ("defaults: {body_rate: \"off\"}", true),
        ("defaults: {body_rate: 240}", false),
        ("defaults: {body_rate: 0B/s}", false),
        ("defaults: {body_limit: 1024, response_headers: {remove: server}, cors: {origins: '*'}}", true),
        ("defaults: {request_headers: {set: {a: [b]}}}", false),
        ("limits: {connections: 10, head_bytes: 8KiB, head_timeout: 1s, write_timeout: 1s}", true),
        ("limits: {streams: 1000, write_rate: 1KiB/s}", true),
        ("limits: {streams: 1001}", false),
        ("limits: {connections: 0}", false),
        ("access_log: on", true),
        ("access_log: {sample: 10%}", true),
        ("access_log: {sample: 0%}", false),
        ("access_log: {}", false),
        ("access_log: all", false),
        ("server_timing: off", true),
        ("server_timing: {user_type: admin}", true),
        ("server_timing: {}", false),
        ("server_timing: admin", false),
        ("tests: [{request: GET /x, expect: 404}]", true),
        ("tests: [{request: GET /x, expect: '404'}]", true),
        ("tests: [{request: GET /x, expect: 700}]", false),
        ("tests: [{request: GET /x, expect: ok}]", false),
        ("tests: [{request: GET /x, expect: {}}]", true),
        ("tests: [{request: GET /x, expect: {status: 404, headers: {a: ~, b: 1}}}]", true),
        ("tests: [{request: GET /x, expect: {statuss: 404}}]", false),
        ("tests: [{request: GET /x, expect: {path: x}}]", false),
        ("tests: [{request: GET /x, expect: [404]}]", false),
        ("tests: [{request: /x, expect: 404}]", false),
        ("tests: [{request: GET /x}]", false),
        ("tests: [{request: GET /x, as: {sub: 7, g: [a, b]}, headers: {a: b}, body: x, expect: 404}]", true),
        ("tests: [{request: GET /x, as: {}, expect: 404}]", false),
        ("tests: [{request: GET /x, as: admin, expect: 404}]", false),
        ("tests: [{request: GET /x, headers: {a: ~}, expect: 404}]", false),
        ("tests: {request: GET /x, expect: 404}", false),
    ] {
        agree(&format!("{HEAD}{UPSTREAMS}{routes}{section}\n"), right);
    }
}

#[test]
fn schema_and_decoder_agree_about_tokens() {
    let routes = "routes: []\n";
    for (section, right) in [
        ("tokens: {issuer: i, audience: 7, ttl: 60m}", true),
        ("tokens: {issuer: i, audience: a, ttl: 60}", false),
        ("tokens: {issuer: i, audience: a, ttl: 0s}", false),
        ("tokens: {issuer: i, audience: a, ttl: 1 hour}", false),
        ("tokens: {issuer: i}", false),
        ("tokens: {issuer: i, audience: a, sessions: {from: u, path: /e, unreachable: accept, after: 5s}}", true),
        ("tokens: {issuer: i, audience: a, sessions: {from: u, path: /e, unreachable: refuse}}", true),
        ("tokens: {issuer: i, audience: a, sessions: {from: u, path: /e}}", false),
        ("tokens: {issuer: i, audience: a, sessions: {from: u, path: /e, unreachable: open}}", false),
        ("tokens: {issuer: i, audience: a, sessions: {from: u, path: e, unreachable: accept}}", false),
        ("tokens: {issuer: i, audience: a, jwks: /k.json, sessions: {from: u, path: /e, unreachable: accept}}", false),
        (
            "tokens: {issuer: i, audience: a, publish_for: 1m, other_issuers: [{issuer: j, audience: a, jwks: /keys.json}]}",
            true,
        ),
        ("tokens: {issuer: i, audience: a, jwks: 'https://i/jwks', typ: any, refresh: 1m, ca: /ca.pem}", true),
        ("tokens: {discovery: 'https://i.test', audience: a}", true),
        ("tokens: {discovery: 'https://i.test', audience: a, issuer: i}", false),
        ("tokens: {discovery: /keys.json, audience: a}", false),
        ("tokens: {issuer: i, audience: a, jwks: /keys.json, ttl: 1m}", false),
        ("tokens: {issuer: i, audience: a, jwks: /keys.json, typ: id}", false),
        ("tokens: {issuer: i, audience: a, refresh: 1m}", false),
        ("tokens: {issuer: i, audience: a, other_issuers: [{issuer: j, audience: a}]}", false),
        ("tokens: {issuer: i, audience: a, also: [{issuer: j, audience: a, jwks: /keys.json}]}", false),
    ] {
        agree(&format!("{HEAD}{UPSTREAMS}{routes}{section}\n"), right);
    }
}

#[test]
fn schema_and_decoder_agree_about_identity() {
    for (section, right) in [
        ("identity: {headers: {x-user: sub}}", true),
        ("identity: {headers: {x-groups: {claim: /realm_access/roles, join: ','}}}", true),
        ("identity: {headers: {x-groups: {claim: groups}}}", true),
        ("identity: {headers: {x-groups: {join: ','}}}", false),
        ("identity: {headers: {x-groups: {claims: groups}}}", false),
        ("identity: {headers: {x-user: [sub]}}", false),
        ("identity: {}", false),
        ("identity: {headers: {}, header: {}}", false),
    ] {
        agree(&format!("{HEAD}{UPSTREAMS}routes: []\n{section}\n"), right);
    }
}

#[test]
fn schema_and_decoder_agree_about_upstreams() {
    for (upstream, right) in [
        ("{targets: 'http://u:1'}", true),
        ("{targets: ['http://u:1', 'http://v:1']}", true),
        ("{targets: '${USERS_SERVICE_URL}'}", true),
        ("{targets: []}", false),
        ("{targets: [u]}", false),
        ("{}", false),
        ("http://u:1", false),
        ("{targets: 'http://u:1', assertion: users, openapi: /openapi.json}", true),
        ("{targets: 'http://u:1', openapi: openapi.json}", false),
        ("{targets: 'http://u:1', max_in_flight: 1}", true),
        ("{targets: 'http://u:1', max_in_flight: '${FEW}'}", true),
        ("{targets: 'http://u:1', max_in_flight: 0}", false),
        ("{targets: 'http://u:1', max_in_flight: 1.5}", false),
        ("{targets: 'http://u:1', max_in_flight: many}", false),
        ("{targets: 'http://u:1', connect_timeout: 250ms}", true),
        ("{targets: 'http://u:1', conect_timeout: 250ms}", false),
        ("{targets: [{url: 'http://u:1', weight: 3}, 'http://v:1']}", true),
        ("{targets: [{url: 'http://u:1', weight: 0}]}", false),
        ("{targets: [{weight: 3}]}", false),
        ("{targets: {url: 'http://u:1'}}", false),
        ("{targets: 'https://u:1', tls: {ca: /ca.pem, cert: /c.pem, key: /k.pem, server_name: u.example}}", true),
        ("{targets: 'ftp://u:1'}", false),
        ("{targets: 'https://u:1', tls: {insecure: true}}", false),
        ("{targets: 'http://u:1', balance: p2c}", true),
        ("{targets: 'http://u:1', balance: {hash: caller}}", true),
        ("{targets: 'http://u:1', balance: random}", false),
        ("{targets: 'http://u:1', balance: {by: caller}}", false),
        ("{targets: 'http://u:1', health: /health}", true),
        ("{targets: 'http://u:1', health: off}", true),
        ("{targets: 'http://u:1', health: {path: /h, interval: 2s, timeout: 1s, healthy: 1, unhealthy: 2}}", true),
        ("{targets: 'http://u:1', health: {interval: 2s}}", false),
        ("{targets: 'http://u:1', health: [/h]}", false),
        ("{targets: 'http://u:1', breaker: off}", true),
        ("{targets: 'http://u:1', breaker: {failures: 5, share: 50%, requests: 20, window: 10s, open: 5s}}", true),
        ("{targets: 'http://u:1', breaker: {share: 0%}}", false),
        ("{targets: 'http://u:1', breaker: {share: 101%}}", false),
        ("{targets: 'http://u:1', breaker: on}", false),
        ("{targets: 'http://u:1', max_ejected: 0%}", true),
        ("{targets: 'http://u:1', max_ejected: 50}", false),
    ] {
        agree(&format!("{HEAD}upstreams: {{u: {upstream}}}\nroutes: []\n"), right);
    }
}

#[test]
fn schema_and_decoder_agree_about_routes() {
    for (route, right) in [
        ("route: GET /x, to: u, auth: public", true),
        ("route: '* /x/{p...}', to: u, auth: signed-in", true),
        ("route: 'GET,POST /x', to: u, auth: {user_type: admin, group: [a, b]}", true),
        ("route: GET /x, to: u, auth: {/realm_access/roles: [a, b], scopes: 'orders:read', group: c}", true),
        ("route: 'GET /x/{id}', to: u, auth: {sub: '{id}'}", true),
        ("route: GET /x, to: u, auth: {any: [{group: a}, {all: [{b: c}, {scopes: [d]}]}]}", true),
        ("route: GET /x, to: u, auth: {any: []}", false),
        ("route: GET /x, to: u, auth: {any: [{}]}", false),
        ("route: GET /x, to: u, auth: {any: {group: a}}", false),
        ("route: GET /x, to: u, auth: {any: [{all: [{any: [{a: b}]}]}]}", false),
        ("route: GET /x, to: u, auth: {scopes: []}", false),
        ("route: GET /x, to: u", false),
        ("route: GET /x, to: u, auth: ~", false),
        ("route: GET /x, to: u, auth: publc", false),
        ("route: GET /x, to: u, auth: {}", false),
        ("route: GET /x, to: u, auth: {role: []}", false),
        ("route: GET /x, to: u, auth: [public]", false),
        ("route: GET /x, auth: public", false),
        ("route: get /x, to: u, auth: public", false),
        ("route: FLY /x, to: u, auth: public", false),
        ("route: /x, to: u, auth: public", false),
        ("route: GET x, to: u, auth: public", false),
        ("route: GET /x, to: u, auth: public, atuh: public", false),
        ("route: GET /x, to: u, auth: public, limit: 600/min per ip", true),
        ("route: GET /x, to: u, auth: public, limit: [600/min per ip, 5/day per header x-api-key]", true),
        ("route: GET /x, to: u, auth: public, limit: [600/min per ip, 5 per ip]", false),
        ("route: GET /x, to: u, auth: public, limit: 600/min", false),
        ("route: GET /x, to: u, auth: public, limit: 600", false),
        ("route: POST /x, to: u, auth: public, then: issue-token", true),
        ("route: POST /x, to: u, auth: public, then: [issue-token]", false),
        ("route: 'GET /x/{a}', to: u, auth: public, rewrite: '/{a}'", true),
        ("route: GET /x, to: u, auth: public, rewrite: y", false),
        ("route: GET /x, to: u, auth: public, timeout: {head: 5s, idle: 5m}", true),
        ("route: GET /x, to: u, auth: public, timeout: {head: 30}", false),
        ("route: GET /x, to: u, auth: public, timeout: {connect: 5s}", false),
        ("route: GET /x, to: u, auth: public, forward_authorization: true", true),
        ("route: GET /x, to: u, auth: public, forward_authorization: True", true),
        ("route: GET /x, to: u, auth: public, forward_authorization: '${ON}'", true),
        ("route: GET /x, to: u, auth: public, forward_authorization: yes", false),
        ("route: GET /x, to: u, auth: public, when: {host: '*.example.com', headers: {a: 1}}", true),
        ("route: GET /x, to: u, auth: public, when: {}", true),
        ("route: GET /x, to: u, auth: public, when: example.com", false),
        ("route: GET /x, to: u, auth: public, when: {method: GET}", false),
        ("route: GET /x, to: u, auth: public, when: {headers: {a: [1]}}", false),
        ("route: GET /x, to: u, auth: public, request_headers: {set: {a: b}, add: {a: 1}, remove: [c, d]}", true),
        ("route: GET /x, to: u, auth: public, request_headers: {sett: {a: b}}", false),
        ("route: GET /x, to: u, auth: public, response_headers: {remove: {a: b}}", false),
        ("route: GET /x, to: u, auth: public, timeout: {total: 5s}, retry: off", true),
        ("route: GET /x, to: u, auth: public, retry: {attempts: 5, methods: PUT, idempotency_key: true}", true),
        ("route: GET /x, to: u, auth: public, retry: {attempts: 6}", false),
        ("route: GET /x, to: u, auth: public, retry: {methods: [POST]}", false),
        ("route: GET /x, to: u, auth: public, retry: {budget: 20}", false),
        ("route: GET /x, to: u, auth: public, retry: 3", false),
        (
            "route: GET /x, to: u, auth: public, websocket: true, path: {encoded_slash: keep, merge_slashes: false}",
            true,
        ),
        ("route: GET /x, to: u, auth: public, websocket: [true]", false),
        ("route: GET /x, to: u, auth: public, path: /x", false),
        ("route: GET /x, to: u, auth: public, path: {encoded_slash: decode}", false),
        ("route: GET /x, to: u, auth: public, path: {merge_slashes: 1}", false),
        ("route: GET /x, to: u, auth: public, cors: off", true),
        ("route: GET /x, to: u, auth: public, cors: on", false),
        ("route: GET /x, to: u, auth: public, cors: {}", false),
        ("route: GET /x, to: u, auth: public, cors: {origins: []}", false),
        (
            "route: GET /x, to: u, auth: public, cors: {origins: 'https://a.example', credentials: true, max_age: 1h}",
            true,
        ),
        ("route: GET /x, to: u, auth: public, cors: {origins: '*', credentials: maybe}", false),
        ("route: GET /x, to: u, auth: public, cors: {origins: '*', methods: []}", false),
        ("route: GET /x, to: u, auth: public, cors: {origins: '*', header: [a]}", false),
        ("route: GET /x, auth: public, respond: {}", true),
        ("route: GET /x, auth: public, to: ~, respond: {status: 410, body: x, content_type: text/html}", true),
        ("route: GET /x, auth: public, to: u, respond: ~", true),
        ("route: GET /x, auth: public, to: u, respond: {}", false),
        ("route: GET /x, auth: public, to: ~, respond: ~", false),
        ("route: GET /x, auth: public, respond: {status: 199}", false),
        ("route: GET /x, auth: public, respond: {type: a/b}", false),
    ] {
        agree(&format!("{HEAD}{TOKENS}{UPSTREAMS}routes:\n  - {{{route}}}\n"), right);
    }
}
