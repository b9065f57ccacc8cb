//! Signing in.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::testing::{call, get, post, until};
use serde_json::{Value, json};

use crate::fixture::Stack;

#[test]
fn a_login_answers_a_token_with_the_documented_claims() {
    let (stack, _folder) = Stack::new();
    let answer = stack.login("admin", "a");
    assert_eq!((answer.status, answer.header("cache-control")), (201, Some("no-store")));
    let body = answer.json();
    assert_eq!(
        body.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["access_token", "expires_in", "refresh_expires_in", "refresh_token", "token_type"]
    );
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("bearer"), &json!(3600)));
    let part = |index: usize| -> Value {
        let token = body["access_token"].as_str().unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
    };
    let (header, claims) = (part(0), part(1));
    let jwks = stack.send(&get("/.well-known/jwks.json")).json();
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("EdDSA")));
    assert_eq!(header["kid"], jwks["keys"][0]["kid"]);
    for (claim, value) in [
        ("iss", json!("microservices-app")),
        ("aud", json!("api")),
        ("sub", json!("1")),
        ("user_type", json!("admin")),
        ("id", json!(1)),
    ] {
        assert_eq!(claims[claim], value, "{claim}");
    }
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
    assert!(claims["jti"].is_string() && claims["sid"].is_string());
    assert_eq!(claims["amr"], json!(["pwd"]));
    assert!(claims["iat"].as_u64().unwrap() - claims["auth_time"].as_u64().unwrap() <= 5);
}

#[test]
fn an_unknown_name_and_a_wrong_password_look_the_same() {
    let (stack, _folder) = Stack::new();
    let unknown = stack.login("nobody", "a");
    let wrong = stack.login("admin", "b");
    assert_eq!((unknown.status, unknown.problem().as_str()), (401, "invalid_credentials"));
    let shape = |answer: &chassis::testing::Answer| {
        let mut headers: Vec<_> = answer.headers.iter().map(|(name, _)| name.clone()).collect();
        headers.sort();
        (answer.status, headers, crate::fixture::without(answer.json(), &["request_id"]))
    };
    assert_eq!(shape(&unknown), shape(&wrong));
    let long = stack.login("admin", &"a".repeat(100));
    assert_eq!(shape(&long), shape(&wrong));
}

#[test]
fn bad_logins_say_what_is_wrong() {
    let (stack, _folder) = Stack::new();
    let missing = stack.send(&post("/api/login", &json!({"username": 5})));
    assert_eq!((missing.status, missing.problem().as_str()), (422, "validation_failed"));
    let pointers: Vec<Value> =
        missing.json()["errors"].as_array().unwrap().iter().map(|e| e["pointer"].clone()).collect();
    assert_eq!(pointers, ["/username", "/password"]);
    for (call, status, code) in [
        (call("POST", "/api/login").body("application/json", b"{"), 400, "malformed_json"),
        (call("POST", "/api/login").body("application/json", b"[]"), 422, "validation_failed"),
        (
            call("POST", "/api/login").body("application/x-www-form-urlencoded", b"username=a"),
            415,
            "unsupported_media_type",
        ),
        (call("POST", "/api/login").body("application/json", &[b' '; 70_000]), 413, "payload_too_large"),
        (call("POST", "/api/login").body("application/json", &vec![b' '; 2 << 20]), 413, "payload_too_large"),
        (get("/api/login"), 405, "method_not_allowed"),
    ] {
        let answer = stack.send(&call);
        assert_eq!((answer.status, answer.problem().as_str()), (status, code));
    }
}

#[test]
fn guessing_is_limited_and_the_limit_is_a_setting() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(folder.path(), &[("LOGIN_LIMIT", "2/hour per ip")]);
    let statuses: Vec<u16> = (0..3).map(|_| stack.login("admin", "x").status).collect();
    assert_eq!(statuses, [401, 401, 429]);
    let refused = stack.login("admin", "a");
    assert_eq!(refused.problem(), "rate_limited");
    assert!(refused.header("retry-after").is_some());
}

#[test]
fn every_path_also_exists_as_version_1() {
    let (stack, _folder) = Stack::new();
    let answer = stack.send(&post("/api/v1/login", &json!({"username": "demo", "password": "b"})));
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(stack.send(&get("/api/v1/orders").bearer(&token)).text(), "[]");
}

#[test]
fn a_client_that_goes_away_takes_its_sign_in_with_it() {
    let (stack, _folder) = Stack::new();
    let metric = |name: &str| get("/metrics").send(stack.users).metric(name).unwrap();
    let guess = post("/api/login", &json!({"username": "admin", "password": "guess"}));
    let clients: Vec<_> = (0..30).map(|_| guess.begin(stack.gateway)).collect();
    until("they wait for a core", || metric("users_bcrypt_waiting") > 20.0);
    let before = metric("users_bcrypt_wait_seconds_count");
    drop(clients);
    until("they have left", || metric("users_bcrypt_waiting") == 0.0);
    let computed = metric("users_bcrypt_wait_seconds_count") - before;
    assert!(computed < 15.0, "{computed} were computed for nobody");
    assert_eq!(stack.login("admin", "a").status, 201);
}
