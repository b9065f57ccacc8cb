//! What correct YAML is decoded to. That mistakes are found and shown is tested from outside, in `tests/it/config`.

use std::collections::BTreeSet;

use crate::config::{
    Config, Mistake,
    keys::{
        file::{
            AccessLogKeys, BuiltinKeys, DefaultTimeoutKeys, DefaultsKeys, IdentityClaimKeys, IdentityKeys, LimitsKeys,
            RootKeys,
        },
        routes::{
            CorsKeys, ExpectKeys, HeaderEditsKeys, PathKeys, RedirectKeys, RespondKeys, RouteKeys, TestKeys,
            TimeoutKeys, WhenKeys,
        },
        shape::{KeyInfo, Need, Section, Shape},
        tls::{CertificateKeys, CertificatesByNameKeys, OneCertificateKeys, UpstreamTlsKeys},
        tokens::{
            DiscoveredIssuerKeys, DiscoveredTokensKeys, ExternalIssuerKeys, ExternalTokensKeys, OwnTokensKeys,
            SessionsKeys,
        },
        upstreams::{BalanceKeys, BreakerKeys, HealthKeys, RetryKeys, TargetKeys, UpstreamKeys},
    },
};

const HEAD: &str = "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\n";

#[test]
fn a_variable_names_several_networks_or_none() {
    let yaml = format!("{HEAD}trusted_proxies: ${{PROXIES:-}}\nupstreams: {{}}\nroutes: []\n");
    let load = |proxies: Option<&'static str>| {
        Config::load(&yaml, &move |name| proxies.filter(|_| name == "PROXIES").map(ToOwned::to_owned))
    };
    let networks =
        |proxies| -> Vec<String> { load(proxies).unwrap().trusted_proxies.iter().map(ToString::to_string).collect() };
    assert_eq!(networks(None), [""; 0]);
    assert_eq!(networks(Some("10.0.0.0/8")), ["10.0.0.0/8"]);
    assert_eq!(networks(Some("10.0.0.0/8, fd00::/8,192.0.2.1")), ["10.0.0.0/8", "fd00::/8", "192.0.2.1/32"]);
    let found = load(Some("10.0.0.0/8,nowhere")).unwrap_err();
    assert!(found[0].message.contains("`nowhere` is not a network"), "{found:?}");
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

/// Every section, in a file with what it requires. `@` is the place for another key of it.
const SECTIONS: [(&str, &Section); 35] = [
    ("@", &RootKeys::SECTION),
    ("identity: {@}", &IdentityKeys::SECTION),
    ("identity: {headers: {a: {claim: b, @}}}", &IdentityClaimKeys::SECTION),
    ("builtin: {@}", &BuiltinKeys::SECTION),
    ("limits: {@}", &LimitsKeys::SECTION),
    ("access_log: {@}", &AccessLogKeys::SECTION),
    ("defaults: {@}", &DefaultsKeys::SECTION),
    ("defaults: {timeout: {@}}", &DefaultTimeoutKeys::SECTION),
    ("defaults: {retry: {@}}", &RetryKeys::SECTION),
    ("tokens: {issuer: i, audience: a, @}", &OwnTokensKeys::SECTION),
    ("tokens: {issuer: i, audience: a, sessions: {from: u, path: /e, unreachable: accept, @}}", &SessionsKeys::SECTION),
    ("tokens: {issuer: i, audience: a, jwks: f, @}", &ExternalTokensKeys::SECTION),
    (
        "tokens: {issuer: i, audience: a, other_issuers: [{issuer: j, audience: a, jwks: f, @}]}",
        &ExternalIssuerKeys::SECTION,
    ),
    ("tokens: {discovery: 'https://i.test', audience: a, @}", &DiscoveredTokensKeys::SECTION),
    (
        "tokens: {issuer: i, audience: a, other_issuers: [{discovery: 'https://j.test', audience: a, @}]}",
        &DiscoveredIssuerKeys::SECTION,
    ),
    ("tls: {cert: c, key: k, @}", &OneCertificateKeys::SECTION),
    ("tls: {certificates: [{cert: c, key: k}], @}", &CertificatesByNameKeys::SECTION),
    ("tls: {certificates: [{cert: c, key: k, @}]}", &CertificateKeys::SECTION),
    ("upstreams: {u: {targets: 'https://a:1', @}}", &UpstreamKeys::SECTION),
    ("upstreams: {u: {targets: [{url: 'http://a:1', @}]}}", &TargetKeys::SECTION),
    ("upstreams: {u: {targets: 'https://a:1', tls: {@}}}", &UpstreamTlsKeys::SECTION),
    ("upstreams: {u: {targets: 'http://a:1', balance: {hash: caller, @}}}", &BalanceKeys::SECTION),
    ("upstreams: {u: {targets: 'http://a:1', health: {path: /h, @}}}", &HealthKeys::SECTION),
    ("upstreams: {u: {targets: 'http://a:1', breaker: {@}}}", &BreakerKeys::SECTION),
    ("routes: [{route: GET /x, to: u, auth: public, @}]", &RouteKeys::SECTION),
    ("routes: [{route: GET /x, auth: public, respond: {body: x, @}}]", &RespondKeys::SECTION),
    ("routes: [{route: GET /x, auth: public, redirect: {to: /y, @}}]", &RedirectKeys::SECTION),
    ("routes: [{route: GET /x, to: u, auth: public, path: {@}}]", &PathKeys::SECTION),
    ("routes: [{route: GET /x, to: u, auth: public, timeout: {@}}]", &TimeoutKeys::SECTION),
    ("routes: [{route: GET /x, to: u, auth: public, retry: {@}}]", &RetryKeys::SECTION),
    ("routes: [{route: GET /x, to: u, auth: public, when: {@}}]", &WhenKeys::SECTION),
    ("routes: [{route: GET /x, to: u, auth: public, request_headers: {@}}]", &HeaderEditsKeys::SECTION),
    ("routes: [{route: GET /x, to: u, auth: public, cors: {origins: 'https://a.test', @}}]", &CorsKeys::SECTION),
    ("tests: [{request: GET /x, expect: 404, @}]", &TestKeys::SECTION),
    ("tests: [{request: GET /x, expect: {@}}]", &ExpectKeys::SECTION),
];

/// Loads the file of a section, with this key in it.
fn load(file: &str, key: &str) -> Result<Config, Vec<Mistake>> {
    let mut yaml = format!("{HEAD}{}\n", file.replace('@', key));
    for (section, line) in [("upstreams", "upstreams: {u: {targets: 'http://a:1'}}\n"), ("routes", "routes: []\n")] {
        if !yaml.contains(&format!("{section}:")) {
            yaml.push_str(line);
        }
    }
    Config::load(&yaml, &|name| (name == "GATEWAY_JWT_SECRET").then(|| "s".repeat(32)))
}

/// Every section that a value can have, and those below it.
fn sections(shape: &Shape) -> BTreeSet<&'static str> {
    match shape {
        Shape::Table(section) => {
            let below = section.keys.iter().flat_map(|key| sections(&key.shape));
            below.chain([section.name]).collect()
        }
        Shape::List(inner, _) | Shape::Map(inner, _) => sections(inner),
        Shape::Either(shapes) => shapes.iter().flat_map(sections).collect(),
        Shape::Text | Shape::Form(_) | Shape::Whole(..) | Shape::Flag | Shape::Words(_) | Shape::Null => {
            BTreeSet::new()
        }
    }
}

#[test]
fn the_tests_of_sections_leave_none_out() {
    let tested: BTreeSet<&str> = SECTIONS.iter().map(|(_, section)| section.name).collect();
    assert_eq!(tested, sections(&Shape::Table(&RootKeys::SECTION)));
}

/// The default of a key, where the description gives it as YAML.
fn default_yaml(key: &KeyInfo) -> Option<&'static str> {
    let (Need::Default(text) | Need::Inherited(text)) = key.need else { return None };
    text.strip_prefix('`')?.strip_suffix('`').filter(|yaml| !yaml.starts_with("defaults."))
}

/// What can be compared of a configuration. Maps in it have no order, but sections of the file do not become maps.
fn shown(config: &Config) -> String {
    let Config { admin_hosts, tls, trusted_proxies, tokens, builtin, limits, upstreams, routes, observe, .. } = config;
    format!(
        "{admin_hosts:?}{tls:#?}{trusted_proxies:?}{tokens:#?}{builtin:?}{limits:?}{upstreams:#?}{routes:#?}{observe:?}"
    )
}

#[test]
fn the_default_that_is_described_is_the_one_that_is_decoded() {
    let mut count = 0;
    for (file, section) in SECTIONS {
        for key in section.keys {
            let Some(default) = default_yaml(key) else { continue };
            count += 1;
            let without = load(file, "").unwrap_or_else(|mistakes| panic!("{file}: {mistakes:#?}"));
            let with = load(file, &format!("{}: {default}", key.name));
            let with = with.unwrap_or_else(|mistakes| panic!("{file} {}: {mistakes:#?}", key.name));
            assert_eq!(shown(&with), shown(&without), "{file}: the default of `{}` is not {default}", key.name);
        }
    }
    assert!(count >= 40, "{count} defaults are YAML");
}

#[test]
fn every_key_that_is_described_is_decoded() {
    for (file, section) in SECTIONS {
        // Those in the file are decoded: it is valid with them and would not be without.
        let is_in_file = |key: &KeyInfo| [HEAD, file].iter().any(|text| text.contains(&format!("{}:", key.name)));
        for key in section.keys.iter().filter(|key| !is_in_file(key)) {
            // No key has a list in a list as its value.
            let Err(mistakes) = load(file, &format!("{}: [[x]]", key.name)) else {
                panic!("{file}: `{}` is ignored", key.name)
            };
            let is_reported =
                mistakes.iter().any(|mistake| mistake.path.split(['.', '[']).any(|part| part == key.name));
            assert!(is_reported, "{file}: `{}`: {mistakes:#?}", key.name);
        }
    }
}
