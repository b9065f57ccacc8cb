//! Who may come from where: `from` and `not_from`. Served, explained, tested and planned.

use std::fs;

use chassis::testing::get;

use crate::{
    commands::{gateway, stderr},
    fixture::{Gateway, Upstream},
};

const ROUTES: &str = r#"defaults: {not_from: [192.0.2.66]}
routes:
  - {route: GET /everywhere, to: u, auth: public, not_from: []}
  - {route: GET /default, to: u, auth: public}
  - {route: GET /office, to: u, auth: public, from: ["10.0.0.0/8, 192.0.2.0/24", "2001:db8::/32"]}
  - {route: GET /private, to: u, auth: signed-in, from: 10.0.0.0/8, not_from: [10.6.0.0/16]}
"#;

/// Path, address of the client, and the code of the refusal.
const CASES: [(&str, &str, Option<&str>); 12] = [
    ("/everywhere", "192.0.2.66", None),
    ("/default", "192.0.2.66", Some("address_refused")),
    ("/default", "192.0.2.67", None),
    ("/office", "10.1.2.3", None),
    ("/office", "::ffff:10.1.2.3", None),
    ("/office", "192.0.2.66", Some("address_refused")),
    ("/office", "2001:db8::7", None),
    ("/office", "198.51.100.1", Some("address_refused")),
    // Nobody is asked for a token who may not come at all.
    ("/private", "11.0.0.1", Some("address_refused")),
    ("/private", "10.6.0.1", Some("address_refused")),
    ("/private", "10.7.0.1", Some("token_missing")),
    ("/private", "::1", Some("address_refused")),
];

#[test]
fn a_route_is_for_the_addresses_that_it_names() {
    let upstream = Upstream::echo();
    let sections = format!("upstreams: {{u: {{targets: [\"http://{}\"]}}}}\n{ROUTES}", upstream.addr);
    let behind_a_proxy = Gateway::start(&format!("trusted_proxies: [127.0.0.1]\n{sections}"), &[]);
    for (path, client, code) in CASES {
        let answer = get(path).header("X-Forwarded-For", client).send(behind_a_proxy.addr());
        let shown = if answer.status == 200 { None } else { Some(answer.problem()) };
        assert_eq!(shown.as_deref(), code, "{path} {client}");
        assert!(code != Some("address_refused") || answer.status == 403, "{path} {client}");
    }
    // Nobody is believed who is no proxy.
    let alone = Gateway::start(&sections, &[]);
    let forged = get("/office").header("X-Forwarded-For", "10.1.2.3").send(alone.addr());
    assert_eq!((forged.status, forged.problem().as_str()), (403, "address_refused"));
}

/// Runs a command on a file with these sections, and on an older one.
fn on(old: &str, new: &str, args: &[&str]) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    let head = "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\ntokens: {issuer: test, audience: api, keys: k}\n\
                upstreams: {u: {targets: [\"http://u:1\"]}}\n";
    fs::write(dir.path().join("old.yaml"), format!("{head}{old}")).unwrap();
    fs::write(dir.path().join("g.yaml"), format!("{head}{new}")).unwrap();
    let output = gateway(dir.path(), args, &[("GATEWAY_CONFIG", "g.yaml")]);
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output))
}

#[test]
fn the_commands_decide_by_address_as_the_gateway_does() {
    for (path, client, code) in CASES {
        let (_, shown) = on("", ROUTES, &["explain", "GET", path, "--from", client]);
        assert!(shown.contains(code.unwrap_or("goes to u")), "{path} {client}: {shown}");
    }
    let tests = "tests:\n  - {request: GET /office, from: 10.1.2.3, expect: {to: u}}\n  \
                 - {request: GET /office, expect: 403}\n";
    let (code, shown) = on("", &format!("{ROUTES}{tests}"), &["test"]);
    assert_eq!(code, 0, "{shown}");
}

#[test]
fn plan_tells_narrower_from_wider_addresses() {
    let route = |more: &str| format!("routes:\n  - {{route: GET /x, to: u, auth: public{more}}}\n");
    for (old, new, wider, change) in [
        ("", ", from: 10.0.0.0/8", false, "may be used from 10.0.0.0/8 (was everywhere)"),
        (", from: 10.0.0.0/8", "", true, "may be used from everywhere (was 10.0.0.0/8)"),
        (", not_from: 10.6.0.0/16", ", not_from: 10.0.0.0/8", false, "everywhere but 10.0.0.0/8"),
        (
            ", from: 10.1.0.0/16",
            ", from: [10.0.0.0/8], not_from: [10.6.0.0/16]",
            true,
            "10.0.0.0/8 but not 10.6.0.0/16",
        ),
    ] {
        let (code, shown) = on(&route(old), &route(new), &["plan", "old.yaml", "g.yaml"]);
        assert_eq!(code, if wider { 2 } else { 0 }, "{old} {new}: {shown}");
        assert!(shown.contains(change), "{old} {new}: {shown}");
    }
}
