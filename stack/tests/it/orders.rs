//! A user places and lists orders.

use chassis::testing::{call, get, post};
use serde_json::{Value, json};

use crate::fixture::Stack;

fn order(stack: &Stack, token: &str, item: &str) -> Value {
    let answer = stack.send(&post("/api/orders", &json!({"address": "1 Main St", "item": item})).bearer(token));
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("location"), Some(format!("/api/orders/{}", answer.json()["id"]).as_str()));
    assert!(answer.header("etag").is_some());
    answer.json()
}

#[test]
fn a_user_places_an_order_and_sees_only_their_own() {
    let (stack, _folder) = Stack::new();
    let (demo, test) = (stack.token("demo"), stack.token("test"));
    let book = order(&stack, &demo, "Book");
    let members: Vec<&String> = book.as_object().unwrap().keys().collect();
    assert_eq!(members, ["address", "created_at", "created_by", "id", "item", "status", "updated_at"]);
    assert_eq!((&book["created_by"], &book["status"]), (&json!(2), &json!("pending")));
    let pen = order(&stack, &demo, "Pen");
    assert_eq!(stack.send(&get("/api/orders").bearer(&demo)).json(), json!([pen, book]), "newest first");
    assert_eq!(stack.send(&get("/api/orders").bearer(&test)).json(), json!([]));

    let path = format!("/api/orders/{}", book["id"]);
    assert_eq!(stack.send(&get(&path).bearer(&demo)).json(), book);
    assert_eq!(stack.send(&get(&path).bearer(&stack.token("admin"))).json(), book);
    let hidden = stack.send(&get(&path).bearer(&test));
    let absent = stack.send(&get("/api/orders/999").bearer(&test));
    assert_eq!((hidden.status, hidden.problem()), (absent.status, absent.problem()));
    assert_eq!(hidden.status, 404);
}

#[test]
fn orders_come_in_pages_whose_cursors_cannot_be_forged() {
    let (stack, _folder) = Stack::new();
    let demo = stack.token("demo");
    let placed: Vec<Value> = (0..5).map(|n| order(&stack, &demo, &format!("item {n}"))["id"].clone()).collect();
    let mut seen = Vec::new();
    let mut next = Some("/api/orders?limit=2".to_owned());
    while let Some(path) = next {
        let page = stack.send(&get(&path).bearer(&demo));
        assert_eq!(page.status, 200, "{}", page.text());
        seen.extend(page.json().as_array().unwrap().iter().map(|order| order["id"].clone()));
        next = page.header("link").map(|link| link[1..link.find('>').unwrap()].to_owned());
        if let Some(path) = &next {
            let others = stack.send(&get(path).bearer(&stack.token("test")));
            assert_eq!((others.status, others.problem().as_str()), (400, "bad_request"), "another's cursor");
        }
    }
    seen.reverse();
    assert_eq!(seen, placed);
}

#[test]
fn wrong_orders_are_refused_and_say_why() {
    let (stack, _folder) = Stack::new();
    let demo = stack.token("demo");
    for (call, status, code) in [
        (post("/api/orders", &json!({"address": "", "item": 5})).bearer(&demo), 422, "validation_failed"),
        (post("/api/orders", &json!({"address": "a", "item": "b"})), 401, "token_missing"),
        (call("POST", "/api/orders").body("text/plain", b"x").bearer(&demo), 415, "unsupported_media_type"),
        (call("POST", "/api/orders").body("application/json", b"x").bearer(&demo), 400, "malformed_json"),
        (get("/api/orders?limit=501").bearer(&demo), 400, "bad_request"),
        (get("/api/orders?cursor=x").bearer(&demo), 400, "bad_request"),
        (get("/api/orders/x").bearer(&demo), 404, "not_found"),
        (get("/api/orders?user_id=1").bearer(&demo), 403, "insufficient_scope"),
        (call("DELETE", "/api/orders").bearer(&demo), 405, "method_not_allowed"),
    ] {
        let answer = stack.send(&call);
        assert_eq!((answer.status, answer.problem().as_str()), (status, code), "{call:?}");
    }
}

#[test]
fn a_new_user_with_the_id_of_nobody_sees_nobodys_orders() {
    let (stack, _folder) = Stack::new();
    let admin = stack.token("admin");
    let eve = stack.create(&admin, "eve").json();
    order(&stack, &stack.token("eve"), "Book");
    let path = format!("/api/users/{}", eve["id"]);
    assert_eq!(stack.send(&call("DELETE", &path).bearer(&admin)).status, 204);
    let again = stack.create(&admin, "eve").json();
    assert_ne!(again["id"], eve["id"]);
    assert_eq!(stack.send(&get("/api/orders").bearer(&stack.token("eve"))).json(), json!([]));
}

#[test]
fn events_are_not_for_clients_of_the_gateway() {
    let (stack, _folder) = Stack::new();
    let answer = stack.send(&get("/internal/events").bearer(&stack.token("admin")));
    assert_eq!((answer.status, answer.problem().as_str()), (404, "not_found"));
}

#[test]
fn an_order_is_cancelled_by_its_owner_and_goes_on_by_an_admin() {
    let (stack, _folder) = Stack::new();
    let (demo, test, admin) = (stack.token("demo"), stack.token("test"), stack.token("admin"));
    let paths =
        [order(&stack, &demo, "Book"), order(&stack, &demo, "Pen")].map(|order| format!("/api/orders/{}", order["id"]));
    let cancel = |token: &str| stack.send(&call("POST", &format!("{}/cancel", paths[0])).bearer(token));
    let confirm = |path: &str, token: &str| {
        stack
            .send(&call("PATCH", path).json(&json!({"status": "confirmed"})).bearer(token).header("If-Match", "\"v1\""))
    };
    assert_eq!((cancel(&test).status, confirm(&paths[1], &demo).status), (404, 403));
    let confirmed = confirm(&paths[1], &admin);
    assert_eq!((confirmed.status, confirmed.header("etag")), (200, Some("\"v2\"")), "{}", confirmed.text());
    assert_eq!(confirm(&paths[1], &admin).problem(), "precondition_failed");
    assert_eq!(cancel(&demo).json()["status"], "cancelled");
    assert_eq!(confirm(&paths[0], &admin).problem(), "precondition_failed");
    let pending = stack.send(&get("/api/orders?status=confirmed").bearer(&demo));
    assert_eq!(pending.json(), json!([confirmed.json()]));
}
