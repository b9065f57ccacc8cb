//! TLS in both directions.

use super::{HEAD, UPSTREAMS, mistakes};

#[test]
fn mistakes_about_tls_are_reported() {
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
fn mistakes_about_tls_to_upstreams_are_reported() {
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
