//! `GET /api/orders/{id}`.

use chassis::testing::get;

use crate::fixture::{ADMIN, ANN, BOB, head, in_memory};

#[test]
fn an_order_exists_for_its_owner_and_for_admins_only() {
    let service = in_memory();
    ANN.orders(service.addr(), "a book");
    assert_eq!(ANN.gets(service.addr(), "/api/orders/1").json()["item"], "a book");
    assert_eq!(ADMIN.gets(service.addr(), "/api/orders/1").json()["item"], "a book");
    let others = BOB.gets(service.addr(), "/api/orders/1");
    let absent = BOB.gets(service.addr(), "/api/orders/2");
    for answer in [&others, &absent] {
        assert_eq!((answer.status, answer.problem().as_str()), (404, "not_found"));
        assert_eq!(answer.header("etag"), None);
    }
    assert_eq!(others.json()["detail"], absent.json()["detail"], "nothing tells them apart");
}

#[test]
fn a_known_state_is_not_sent_again() {
    let service = in_memory();
    ANN.orders(service.addr(), "a book");
    for (condition, status) in
        [("\"v1\"", 304), ("W/\"v1\"", 304), ("*", 304), ("\"v2\", \"v1\"", 304), ("\"v2\"", 200)]
    {
        let answer = ANN.sends(service.addr(), get("/api/orders/1").header("If-None-Match", condition));
        assert_eq!(answer.status, status, "{condition}");
        assert_eq!(answer.header("etag"), Some("\"v1\""), "{condition}");
        assert_eq!(answer.body.is_empty(), status == 304, "{condition}");
    }
    let answer = ANN.sends(service.addr(), get("/api/orders/1").header("If-None-Match", "v1"));
    assert_eq!((answer.status, answer.problem().as_str()), (400, "bad_request"));
    let answer = BOB.sends(service.addr(), get("/api/orders/1").header("If-None-Match", "*"));
    assert_eq!(answer.status, 404, "a condition tells nobody that an order exists");
}

#[test]
fn an_id_that_is_no_number_names_nothing() {
    let service = in_memory();
    ANN.orders(service.addr(), "a book");
    for id in ["one", "01", "+1", "1.0", "-1", "0", "9223372036854775808", "1%00", "%31%20"] {
        let answer = ANN.gets(service.addr(), &format!("/api/orders/{id}"));
        assert_eq!((answer.status, answer.problem().as_str()), (404, "not_found"), "{id}");
    }
}

#[test]
fn head_is_answered_like_get_without_the_body() {
    let service = in_memory();
    ANN.orders(service.addr(), "a book");
    for target in ["/api/orders/1", "/api/orders"] {
        let (get, head) = (ANN.gets(service.addr(), target), ANN.sends(service.addr(), head(target)));
        assert_eq!((head.status, head.header("etag")), (200, get.header("etag")), "{target}");
        assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()), "{target}");
        assert!(head.body.is_empty(), "{target}");
    }
    assert_eq!(BOB.sends(service.addr(), head("/api/orders/1")).status, 404);
}
