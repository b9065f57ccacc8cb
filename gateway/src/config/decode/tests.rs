//! What correct YAML is decoded to. That mistakes are found and shown is tested from outside, in `tests/it/config`.

use crate::config::Config;

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
