//! `POST /api/orders`.

use chassis::testing::{call, get, post};
use serde_json::json;

use crate::fixture::{ANN, in_memory, new_order};

#[test]
fn an_order_is_answered_with_its_address_and_state() {
    let service = in_memory();
    let answer = ANN.sends(
        service.addr(),
        post("/api/orders", &json!({"address": " 1 Main Street\nSpringfield ", "item": "a book", "note": 1})),
    );
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("location"), Some("/api/orders/1"));
    assert_eq!(answer.header("etag"), Some("\"v1\""));
    let order = answer.json();
    let created_at = order["created_at"].as_str().unwrap();
    assert!(created_at.starts_with("20") && created_at.ends_with('Z'), "{created_at}");
    let expected = json!({
        "id": 1, "address": "1 Main Street\nSpringfield", "item": "a book", "status": "pending", "created_by": 7,
        "created_at": created_at, "updated_at": created_at,
    });
    assert_eq!(order, expected);
    assert_eq!(ANN.gets(service.addr(), "/api/orders/1").json(), expected);
}

#[test]
fn the_lines_of_an_address_end_the_same_way_whoever_sends_it() {
    let service = in_memory();
    let body = json!({"address": "1 Main Street\r\nSpringfield", "item": "a book"});
    let answer = ANN.sends(service.addr(), post("/api/orders", &body));
    assert_eq!((answer.status, &answer.json()["address"]), (201, &json!("1 Main Street\nSpringfield")));
    let body = json!({"address": "1 Main Street\rSpringfield", "item": "a\r\nbook"});
    let answer = ANN.sends(service.addr(), post("/api/orders", &body));
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 2, "{}", answer.text());
}

#[test]
fn every_order_has_a_number_of_its_own() {
    let service = in_memory();
    let ids: Vec<i64> = (0..5).map(|_| ANN.orders(service.addr(), "a book")["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
}

#[test]
fn every_wrong_field_is_named() {
    let service = in_memory();
    for (body, errors) in [
        (json!({}), json!([["/address", "is required"], ["/item", "is required"]])),
        (json!({"address": null, "item": 3}), json!([["/address", "must not be null"], ["/item", "must be a string"]])),
        (json!({"address": " \n ", "item": "ok"}), json!([["/address", "must not be empty"]])),
        (json!({"address": "ok", "item": "a".repeat(201)}), json!([["/item", "must have at most 200 characters"]])),
        (json!({"address": "a".repeat(501), "item": "ok"}), json!([["/address", "must have at most 500 characters"]])),
        (
            json!({"address": "a\0b", "item": "a\nb"}),
            json!([
                ["/address", "must not contain control characters"],
                ["/item", "must not contain control characters"]
            ]),
        ),
        (json!(["address", "item"]), json!([["", "must be a JSON object"]])),
    ] {
        let answer = ANN.sends(service.addr(), post("/api/orders", &body));
        assert_eq!((answer.status, answer.problem().as_str()), (422, "validation_failed"), "{body}");
        let problem = answer.json();
        let named = problem["errors"].as_array().unwrap().iter().map(|e| json!([e["pointer"], e["detail"]]));
        assert_eq!(json!(named.collect::<Vec<_>>()), errors, "{body}");
    }
    assert_eq!(ANN.gets(service.addr(), "/api/orders").json(), json!([]), "nothing of that was kept");
}

#[test]
fn the_longest_texts_are_kept_whole() {
    let service = in_memory();
    let (address, item) = ("é\n".repeat(249) + "éé", "書".repeat(200));
    let answer = ANN.sends(service.addr(), post("/api/orders", &json!({"address": address, "item": item})));
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.json()["address"], address);
    assert_eq!(ANN.gets(service.addr(), "/api/orders/1").json()["item"], item);
}

#[test]
fn a_body_that_is_not_json_is_a_bad_request() {
    let service = in_memory();
    for body in ["", "{", "{\"address\": }", "address=a&item=b", "\u{feff}{}"] {
        let answer = ANN.sends(service.addr(), call("POST", "/api/orders").body("application/json", body.as_bytes()));
        assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed_json"), "{body:?}");
    }
}

#[test]
fn another_media_type_is_refused_with_a_hint() {
    let service = in_memory();
    for media_type in ["application/x-www-form-urlencoded", "text/plain", ""] {
        let answer = ANN.sends(service.addr(), call("POST", "/api/orders").body(media_type, b"{}"));
        assert_eq!((answer.status, answer.problem().as_str()), (415, "unsupported_media_type"), "{media_type}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("application/json"), "{media_type}");
    }
}

#[test]
fn a_body_over_64_kib_is_too_large() {
    let service = in_memory();
    let answer = ANN.sends(service.addr(), new_order(&"a".repeat(64 * 1024)));
    assert_eq!((answer.status, answer.problem().as_str()), (413, "payload_too_large"));
    assert_eq!(ANN.gets(service.addr(), "/api/orders").json(), json!([]));
}

#[test]
fn other_methods_are_answered_with_those_that_exist() {
    let service = in_memory();
    for (target, allow) in [
        ("/api/orders", "GET, HEAD, OPTIONS, POST"),
        ("/api/orders/1", "GET, HEAD, OPTIONS, PATCH"),
        ("/api/orders/1/cancel", "OPTIONS, POST"),
    ] {
        let answer = ANN.sends(service.addr(), call("DELETE", target));
        assert_eq!((answer.status, answer.problem().as_str()), (405, "method_not_allowed"), "{target}");
        assert_eq!(answer.header("allow"), Some(allow));
        let answer = ANN.sends(service.addr(), call("OPTIONS", target));
        assert_eq!((answer.status, answer.header("allow")), (204, Some(allow)));
    }
}

#[test]
fn an_unknown_path_is_not_found() {
    let service = in_memory();
    for target in ["/", "/api", "/api/orders/", "/api/orders/1/confirm", "/orders"] {
        let answer = ANN.sends(service.addr(), get(target));
        assert_eq!((answer.status, answer.problem().as_str()), (404, "not_found"), "{target}");
    }
}
