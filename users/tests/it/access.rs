//! Access: requests that did not come through the gateway, and callers without permission.

use std::time::{Duration, SystemTime};

use chassis::testing::{Call, Signer, call, get, post};
use serde_json::json;

use crate::fixture::{ADMIN, DEMO, GATEWAY, KEY, PASSWORD, Users, as_admin, new_user};

/// How many of the calls anybody may make.
const ANYBODY: usize = 2;
/// How many calls follow that everybody may make who is signed in.
const SIGNED_IN: usize = 6;

fn every_call() -> Vec<Call> {
    vec![
        post("/api/login", &json!({"username": "admin", "password": "a"})),
        post("/api/token/refresh", &json!({"refresh_token": "x"})),
        call("POST", "/api/logout"),
        get("/api/sessions"),
        call("DELETE", "/api/sessions/AAAAAAAAAAAAAAAAAAAAAA"),
        get("/api/me"),
        call("PATCH", "/api/me").json(&json!({"full_name": "Someone else"})),
        post("/api/me/password", &json!({"current_password": "a", "new_password": PASSWORD})),
        get("/api/users"),
        call("HEAD", "/api/users"),
        post("/api/users", &new_user("ann", "admin")),
        get("/api/users/1"),
        call("PUT", "/api/users/3").json(&json!({"user_type": "admin"})),
        call("PATCH", "/api/users/3").json(&json!({"user_type": "admin"})),
        call("DELETE", "/api/users/3"),
        post("/api/users/3/password", &json!({"new_password": PASSWORD})),
        get("/api/users/3/sessions"),
        call("DELETE", "/api/users/3/sessions"),
    ]
}

#[test]
fn a_service_called_directly_refuses_everything() {
    let users = Users::demo();
    let good = GATEWAY.sign(&ADMIN.assertion());
    let unsigned = format!("{}.", good.rsplit_once('.').unwrap().0);
    for (why, token) in [
        ("of another key", Signer::new("users", &"x".repeat(32)).sign(&ADMIN.assertion())),
        ("for another service", Signer::new("orders", KEY).sign(&ADMIN.assertion())),
        ("expired", GATEWAY.sign_at(&ADMIN.assertion(), SystemTime::now() - Duration::from_secs(600))),
        ("without signature", unsigned),
        ("no token at all", "admin".to_owned()),
    ] {
        for call in every_call() {
            let refused = users.send(&call.header("gateway-assertion", &token));
            assert_eq!(refused.status, 401, "{why}: {}", refused.text());
        }
        assert_eq!(users.send(&get("/api/users").header("gateway-assertion", &token)).problem(), "assertion_invalid");
    }
    for call in every_call() {
        let call = call.header("request-user-id", "1").header("request-user-type", "admin");
        assert_eq!(users.send(&call).status, 401, "{call:?}");
    }
    let twice = get("/api/users").header("gateway-assertion", &good).header("gateway-assertion", &good);
    assert_eq!(users.send(&twice).problem(), "assertion_invalid");
    assert_eq!(users.get(3).json()["user_type"], "default", "nothing was changed");
}

#[test]
fn another_identity_header_must_agree_with_the_assertion() {
    let users = Users::demo();
    let with = |name: &str, value: &str| as_admin(get("/api/users")).header(name, value);
    assert_eq!(users.send(&with("request-user-id", "1")).status, 200);
    assert_eq!(users.send(&with("request-user-id", "2")).problem(), "assertion_invalid");
    assert_eq!(users.send(&with("request-user-type", "default")).problem(), "assertion_invalid");
}

#[test]
fn only_an_admin_manages_users() {
    let users = Users::demo();
    for call in every_call().into_iter().skip(ANYBODY + SIGNED_IN) {
        let refused = users.send(&GATEWAY.signed(call.clone(), Some(DEMO)));
        assert_eq!(refused.status, 403, "{call:?}");
        let refused = users.send(&GATEWAY.signed(call.clone(), None));
        assert_eq!(refused.status, 401, "nobody is signed in: {call:?}");
    }
    let refused = users.send(&GATEWAY.signed(get("/api/users/1"), Some(DEMO)));
    assert_eq!(refused.problem(), "insufficient_scope");
    let refused = users.send(&GATEWAY.signed(get("/api/users/none"), Some(DEMO)));
    assert_eq!(refused.problem(), "insufficient_scope", "who may not ask does not learn what exists");
}
