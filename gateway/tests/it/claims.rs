//! Policies over claims as identity providers write them: lists, scopes, nested claims, alternatives, and a claim that equals
//! a parameter of the path. Served, explained, tested and planned.

use std::fs;

use chassis::testing::get;
use serde_json::{Value, json};

use crate::{
    commands::{gateway, stderr},
    fixture::{Gateway, SECRET, Upstream, own_token},
};

const ROUTES: &str = r#"
  - {route: GET /roles, to: u, auth: {/realm_access/roles: [admin, ops]}}
  - {route: GET /namespaced, to: u, auth: {"https://shop.example/roles": admin}}
  - {route: GET /read, to: u, auth: {scopes: "orders:read"}}
  - {route: GET /both, to: u, auth: {scopes: ["orders:read", "orders:write"], user_type: admin}}
  - {route: GET /either, to: u, auth: {any: [{groups: staff}, {all: [{user_type: admin}, {scopes: all}]}]}}
  - {route: "GET /users/{user_id}/orders", to: u, auth: {sub: "{user_id}"}}
  - {route: "GET /mine/{user_id}", to: u, auth: {any: [{sub: "{user_id}"}, {user_type: admin}]}}
  - {route: "GET /tenants/{tenant}/{path...}", to: u, auth: {/app/tenants: "{tenant}"}}
"#;

/// Path, claims of the token, and the status; for refusals with a part of the challenge.
fn cases() -> Vec<(&'static str, Value, u16, &'static str)> {
    vec![
        ("/roles", json!({"realm_access": {"roles": ["user", "ops"]}}), 200, ""),
        ("/roles", json!({"realm_access": {"roles": ["user"]}}), 403, "error=\"insufficient_scope\""),
        ("/roles", json!({"realm_access.roles": ["ops"], "roles": ["ops"]}), 403, ""),
        ("/namespaced", json!({"https://shop.example/roles": ["admin"]}), 200, ""),
        ("/read", json!({"scope": "openid orders:read"}), 200, ""),
        ("/read", json!({"scp": ["orders:read"]}), 200, ""),
        ("/read", json!({"scp": "orders:write orders:read"}), 200, ""),
        ("/read", json!({"scope": "orders:readall"}), 403, "scope=\"orders:read\""),
        ("/read", json!({}), 403, ""),
        ("/both", json!({"scope": "orders:write orders:read", "user_type": "admin"}), 200, ""),
        ("/both", json!({"scope": "orders:write", "user_type": "admin"}), 403, "scope=\"orders:read orders:write\""),
        ("/both", json!({"scope": "orders:write orders:read"}), 403, ""),
        ("/either", json!({"groups": ["a", "staff"]}), 200, ""),
        ("/either", json!({"user_type": "admin", "scope": "all"}), 200, ""),
        ("/either", json!({"user_type": "admin"}), 403, ""),
        ("/users/7/orders", json!({"sub": "7"}), 200, ""),
        ("/users/%37/orders", json!({"sub": "7"}), 200, ""),
        ("/users/a%40b.example/orders", json!({"sub": "a@b.example"}), 200, ""),
        ("/users/a%20b/orders", json!({"sub": "a b"}), 200, ""),
        ("/users/8/orders", json!({"sub": "7"}), 403, ""),
        ("/users/77/orders", json!({"sub": "7"}), 403, ""),
        ("/users/x/../8/orders", json!({"sub": "x"}), 403, ""),
        ("/mine/8", json!({"sub": "7", "user_type": "admin"}), 200, ""),
        ("/mine/8", json!({"sub": "7", "user_type": "default"}), 403, ""),
        ("/tenants/2/a/b", json!({"app": {"tenants": [1, 2]}}), 200, ""),
        ("/tenants/3/a/b", json!({"app": {"tenants": [1, 2]}}), 403, ""),
    ]
}

#[test]
fn policies_read_claims_as_identity_providers_write_them() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(&upstream, ROUTES);
    for (path, claims, status, challenge) in cases() {
        let answer = get(path).bearer(&own_token(&claims)).send(gateway.addr());
        assert_eq!(answer.status, status, "{path} {claims}: {}", answer.text());
        let shown = answer.header("www-authenticate").unwrap_or_default();
        assert!(shown.contains(challenge), "{path} {claims}: {shown}");
    }
}

/// Runs a command on a file with these routes.
fn on(routes: &str, more: &str, args: &[&str]) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    let head = "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\ntokens: {issuer: test, audience: api}\n\
                upstreams: {u: {targets: [\"http://u:1\"]}}\n";
    fs::write(dir.path().join("g.yaml"), format!("{head}routes:{routes}{more}")).unwrap();
    let output = gateway(dir.path(), args, &[("GATEWAY_JWT_SECRET", SECRET), ("GATEWAY_CONFIG", "g.yaml")]);
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output))
}

#[test]
fn explain_decides_as_the_gateway_and_shows_how() {
    for (path, claims, status, _) in cases() {
        let (_, shown) = on(ROUTES, "", &["explain", "GET", path, "--token", &own_token(&claims)]);
        assert_eq!(shown.contains("goes to u"), status == 200, "{path} {claims}: {shown}");
    }
    for (path, caller, lines) in [
        ("/roles", "/realm_access/roles=ops", "/realm_access/roles must be admin or ops, and is \"ops\": allowed\n"),
        ("/read", "scope=a b", "the scopes must include orders:read, and are \"a b\": denied\n"),
        ("/users/a%20b/orders", "sub=7", "sub must be {user_id} (\"a b\"), and is \"7\": denied\n"),
        (
            "/either",
            "user_type=admin",
            "        one of these must hold: denied\n          groups must be staff, and is absent: denied\n          \
             all of these must hold: denied\n            user_type must be admin, and is \"admin\": allowed\n            \
             the scopes must include all, and are absent: denied\n",
        ),
    ] {
        let (_, shown) = on(ROUTES, "", &["explain", "GET", path, "--as", caller]);
        assert!(shown.contains(lines), "{path} {caller}: {shown}");
    }
}

#[test]
fn tests_in_the_file_can_have_nested_claims_and_check_hints_at_dots() {
    let tests = r#"
tests:
  - {request: GET /roles, as: {/realm_access/roles: [user, ops]}, expect: {to: u}}
  - {request: GET /roles, as: {/realm_access/roles: user}, expect: 403}
  - {request: GET /users/7/orders, as: {sub: "7"}, expect: {to: u}}
"#;
    assert_eq!(on(ROUTES, tests, &["test"]).0, 0, "{}", on(ROUTES, tests, &["test"]).1);
    let dotted = "\n  - {route: GET /d, to: u, auth: {any: [{realm_access.roles: a}, {\"https://a.example/b\": c}]}}\n";
    let (code, shown) = on(dotted, "", &["check"]);
    let hint =
        "hint: `GET /d` asks for a claim named `realm_access.roles`; a nested one is written `/realm_access/roles`\n";
    assert_eq!((code, shown.matches("hint").count()), (0, 1), "{shown}");
    assert!(shown.contains(hint), "{shown}");
}

#[test]
fn plan_tells_narrower_from_wider() {
    let route = |auth: &str| format!("\n  - {{route: \"GET /a/{{x}}/{{y}}\", to: u, auth: {auth}}}\n");
    for (old, new, wider, change) in [
        ("{any: [{a: b}, {c: d}]}", "{a: b}", false, "now needs a=b (was a=b or c=d)"),
        ("{a: b}", "{any: [{a: b}, {c: d}]}", true, "now needs a=b or c=d (was a=b)"),
        ("{scopes: [a, b]}", "{scopes: a}", true, "now needs scopes=a (was scopes=a+b)"),
        ("{sub: \"{x}\"}", "{sub: \"{y}\"}", true, "now needs sub={y} (was sub={x})"),
        ("signed-in", "{sub: \"{x}\"}", false, "now needs sub={x} (was signed-in)"),
        ("{a: b, c: d}", "{any: [{a: b, c: d}, {e: f}]}", true, "now needs (a=b, c=d) or e=f (was a=b, c=d)"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let head = "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\ntokens: {issuer: test, audience: api}\n\
                    upstreams: {u: {targets: [\"http://u:1\"]}}\nroutes:";
        fs::write(dir.path().join("old.yaml"), format!("{head}{}", route(old))).unwrap();
        fs::write(dir.path().join("new.yaml"), format!("{head}{}", route(new))).unwrap();
        let output = gateway(dir.path(), &["plan", "old.yaml", "new.yaml"], &[("GATEWAY_JWT_SECRET", SECRET)]);
        let shown = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(if wider { 2 } else { 0 }), "{old} {new}: {shown}{}", stderr(&output));
        assert!(shown.contains(change), "{old} {new}: {shown}");
    }
}

#[test]
fn identity_headers_carry_nested_claims_and_lists() {
    let upstream = Upstream::echo();
    let sections = format!(
        "identity:\n  headers:\n    x-user: sub\n    x-country: /address/country\n    \
         x-groups: {{claim: /realm_access/roles, join: \",\"}}\n    x-list: groups\n\
         tokens: {{issuer: test, audience: api}}\nupstreams: {{u: {{targets: [\"http://{}\"]}}}}\nroutes:\n  \
         - {{route: GET /x, to: u, auth: signed-in}}\n",
        upstream.addr
    );
    let gateway = Gateway::with_tokens(&sections, &[("GATEWAY_JWT_SECRET", SECRET.to_owned())]);
    let token = own_token(&json!({
        "sub": "7", "address": {"country": "PT"}, "realm_access": {"roles": ["user", "ops,admin", "ops"]}, "groups": ["a"],
    }));
    let forged = |name: &str| get("/x").header(name, "forged").bearer(&token).send(gateway.addr()).status;
    assert_eq!(["x-groups", "X_Groups", "x-list", "x-country"].map(forged), [200; 4]);
    for received in upstream.received() {
        let header = |name: &str| received.header(name).join("|");
        assert_eq!(["x-user", "x-country", "x-groups", "x-list"].map(header), ["7", "PT", "user,ops", ""]);
    }
}
