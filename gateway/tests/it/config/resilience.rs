//! Balance, health checks, breakers and retries.

use gateway::config::Config;

use super::{HEAD, mistakes, with_routes};

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
