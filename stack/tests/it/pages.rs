//! What anyone may see: health, keys, documentation.

use chassis::testing::get;
use serde_json::{Value, json};

use crate::fixture::Stack;

#[test]
fn the_public_pages_are_there() {
    let (stack, _folder) = Stack::new();
    for path in ["/health/live", "/health/ready", "/docs/", "/docs/swagger-ui-bundle.js", "/openapi.json"] {
        assert_eq!(stack.send(&get(path)).status, 200, "{path}");
    }
    let key = &stack.send(&get("/.well-known/jwks.json")).json()["keys"][0];
    assert_eq!((&key["kty"], &key["crv"], &key["use"]), (&json!("OKP"), &json!("Ed25519"), &json!("sig")));
    assert_eq!(stack.send(&get("/metrics")).problem(), "not_found", "metrics are not public");
}

#[test]
fn the_document_of_the_whole_says_what_each_call_needs() {
    let (stack, _folder) = Stack::new();
    let document = stack.send(&get("/openapi.json")).json();
    let paths = document["paths"].as_object().unwrap();
    for (path, methods) in [
        ("/api/login", &["post"][..]),
        ("/api/token/refresh", &["post"]),
        ("/api/logout", &["post"]),
        ("/api/sessions", &["get"]),
        ("/api/sessions/{session_id}", &["delete"]),
        ("/api/me", &["get", "patch"]),
        ("/api/me/password", &["post"]),
        ("/api/users", &["get", "post"]),
        ("/api/users/{user_id}", &["delete", "get", "patch", "put"]),
        ("/api/users/{user_id}/password", &["post"]),
        ("/api/users/{user_id}/sessions", &["delete", "get"]),
        ("/api/orders", &["get", "post"]),
        ("/api/orders/{order_id}", &["get", "patch"]),
        ("/api/orders/{order_id}/cancel", &["post"]),
    ] {
        let found: Vec<&String> = paths[path].as_object().unwrap().keys().filter(|key| *key != "parameters").collect();
        assert_eq!(found, methods, "{path}");
    }
    assert_eq!(paths["/api/login"]["post"]["security"], json!([]));
    assert_eq!(paths["/api/users"]["get"]["security"], json!([{"bearer": []}]));
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    assert_every_reference_resolves(&document, &document);
}

fn assert_every_reference_resolves(document: &Value, part: &Value) {
    match part {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            }
            object.values().for_each(|value| assert_every_reference_resolves(document, value));
        }
        Value::Array(items) => items.iter().for_each(|value| assert_every_reference_resolves(document, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn a_request_keeps_its_id_through_every_service() {
    let (stack, _folder) = Stack::new();
    let call = get("/api/orders/999").bearer(&stack.token("demo")).header("X-Request-Id", "trace-me-1");
    let answer = stack.send(&call);
    assert_eq!(answer.header("x-request-id"), Some("trace-me-1"));
    assert_eq!(
        answer.json()["request_id"],
        "trace-me-1",
        "the service answered with the id that the gateway passed on"
    );
}
