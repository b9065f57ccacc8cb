//! Tokens and identity: forged tokens, spoofed headers, services called directly, secrets in logs.

use std::{fs, time::SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::testing::{Call, Signer, User, get, post};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::fixture::Stack;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn now() -> u64 {
    chassis::identity::unix_seconds(SystemTime::now())
}

#[test]
fn forged_tokens_open_nothing() {
    let (stack, _folder) = Stack::new();
    let good = stack.token("demo");
    let parts: Vec<&str> = good.split('.').collect();
    let decoded: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[0]).unwrap()).unwrap();
    let kid = decoded["kid"].as_str().unwrap();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let admin = json!({"iss": "microservices-app", "aud": "api", "sub": "1", "user_type": "admin", "exp": now() + 60});
    let jwks = stack.send(&get("/.well-known/jwks.json")).json();
    let public = URL_SAFE_NO_PAD.decode(jwks["keys"][0]["x"].as_str().unwrap()).unwrap();
    let hs256 = |kid: &str, secret: &[u8]| {
        let header =
            Header { typ: Some("at+jwt".to_owned()), kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, &admin, &EncodingKey::from_secret(secret)).unwrap()
    };
    for (why, token) in [
        ("alg none", format!("{}.{}.", encode(&json!({"alg": "none", "typ": "at+jwt", "kid": kid})), encode(&admin))),
        ("other claims", format!("{}.{}.{}", parts[0], encode(&admin), parts[2])),
        ("the public key as secret", hs256(kid, &public)),
        ("the public key as text", hs256(kid, jwks["keys"][0]["x"].as_str().unwrap().as_bytes())),
        ("a path as kid", hs256("../../../../dev/null", b"")),
        ("an empty signature", format!("{}.{}.", parts[0], parts[1])),
    ] {
        let answer = stack.send(&get("/api/users").bearer(&token));
        assert_eq!((answer.status, answer.problem().as_str()), (401, "token_invalid"), "{why}");
    }
    assert_eq!(stack.send(&get("/api/orders").bearer(&good)).status, 200);
}

#[test]
fn with_a_shared_secret_only_what_was_meant_for_us_and_now_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(folder.path(), &[("GATEWAY_JWT_SECRET", SECRET)]);
    assert_eq!(stack.send(&get("/.well-known/jwks.json")).json(), json!({"keys": []}));
    let issued = stack.token("demo");
    let kid = jsonwebtoken::decode_header(&issued).unwrap().kid;
    let header = Header { typ: Some("at+jwt".to_owned()), kid, ..Header::new(Algorithm::HS256) };
    let good = json!({"iss": "microservices-app", "aud": "api", "sub": "2", "user_type": "default", "exp": now() + 60});
    let with = |claim: &str, value: Value| {
        let mut claims = good.clone();
        claims[claim] = value;
        claims
    };
    let status = |header: &Header, claims: &Value| {
        let token = jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap();
        let answer = stack.send(&get("/api/orders").bearer(&token));
        (answer.status, if answer.status == 200 { String::new() } else { answer.problem() })
    };
    assert_eq!(status(&header, &good), (200, String::new()));
    let invalid = || (401, "token_invalid".to_owned());
    assert_eq!(status(&header, &with("iss", json!("another"))), invalid());
    assert_eq!(status(&header, &with("aud", json!("another"))), invalid());
    assert_eq!(status(&header, &with("exp", Value::Null)), invalid());
    assert_eq!(status(&header, &with("exp", json!(now() - 30))), (401, "token_expired".to_owned()));
    assert_eq!(status(&Header { typ: Some("JWT".to_owned()), ..header.clone() }, &good), invalid());
    assert_eq!(status(&Header { typ: Some("refresh+jwt".to_owned()), ..header.clone() }, &good), invalid());
    assert_eq!(status(&Header { alg: Algorithm::HS512, ..header }, &good), invalid());
}

#[test]
fn a_token_lives_as_long_as_the_setting_says() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(folder.path(), &[("ACCESS_TOKEN_TTL", "90s")]);
    assert_eq!(stack.login("demo", "b").json()["expires_in"], 90);
}

#[test]
fn identity_headers_of_a_client_change_nothing() {
    let (stack, _folder) = Stack::new();
    let demo = stack.token("demo");
    let spoof = |call: Call| {
        call.header("request-user-id", "1")
            .header("Request_User_Id", "1")
            .header("REQUEST-USER-TYPE", "admin")
            .header("gateway-assertion", "x")
            .header("Connection", "request-user-id, gateway-assertion")
    };
    let placed = stack.send(&spoof(post("/api/orders", &json!({"address": "a", "item": "b"})).bearer(&demo)));
    assert_eq!((placed.status, &placed.json()["created_by"]), (201, &json!(2)));
    assert_eq!(stack.send(&spoof(get("/api/users").bearer(&demo))).status, 403);
    assert_eq!(stack.send(&spoof(get("/api/users"))).status, 401);
}

#[test]
fn the_services_answer_only_the_gateway() {
    let (stack, folder) = Stack::new();
    let key = |name: &str| fs::read_to_string(folder.path().join("data/keys").join(name)).unwrap().trim().to_owned();
    let (users_key, admin) = (key("users.key"), User { id: 1, user_type: "admin" }.assertion());
    for (addr, path) in [(stack.users, "/api/users"), (stack.orders, "/api/orders"), (stack.users, "/nothing")] {
        let direct = get(path).header("request-user-id", "1").header("request-user-type", "admin").send(addr);
        assert_eq!((direct.status, direct.problem().as_str()), (401, "assertion_invalid"), "{path}");
    }
    let users = Signer::new("users", &users_key).sign(&admin);
    assert_eq!(get("/api/users").header("gateway-assertion", &users).send(stack.users).status, 200);
    for (why, answer) in [
        ("for another service", get("/api/orders").header("gateway-assertion", &users).send(stack.orders)),
        ("with another service's key", {
            let forged = Signer::new("orders", &users_key).sign(&admin);
            get("/api/orders").header("gateway-assertion", &forged).send(stack.orders)
        }),
        ("contradicted", {
            get("/api/users").header("gateway-assertion", &users).header("request-user-id", "2").send(stack.users)
        }),
    ] {
        assert_eq!((answer.status, answer.problem().as_str()), (401, "assertion_invalid"), "{why}");
    }
    for addr in [stack.users, stack.orders] {
        for path in ["/health/live", "/health/ready", "/metrics", "/openapi.json"] {
            assert_eq!(get(path).send(addr).status, 200, "{path}");
        }
    }
}

#[test]
fn no_secret_is_in_any_log_line() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(folder.path(), &[("RUST_LOG", "trace")]);
    assert_eq!(stack.login("admin", "not the right password").status, 401);
    let token = stack.token("admin");
    assert_eq!(stack.send(&get("/api/users").bearer(&token)).status, 200);
    let log = stack.kill();
    assert!(log.len() > 1000, "the log is not empty: {log}");
    let keys =
        ["users.key", "orders.key"].map(|name| fs::read_to_string(folder.path().join("data/keys").join(name)).unwrap());
    for secret in ["not the right password", "$2b$", keys[0].trim(), keys[1].trim()] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
