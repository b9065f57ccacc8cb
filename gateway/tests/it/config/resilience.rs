//! Balance, health checks, breakers and retries.

use super::{HEAD, mistakes, with_routes};

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
