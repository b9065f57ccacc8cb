//! `POST /api/orders/{id}/cancel` and `PATCH /api/orders/{id}`.

use std::thread;

use chassis::testing::{Answer, Call, call};
use serde_json::json;

use crate::fixture::{ADMIN, ANN, BOB, Folder, User, in_folder, in_memory};

fn cancel(id: i64) -> Call {
    call("POST", &format!("/api/orders/{id}/cancel"))
}

fn set_status(id: i64, status: &str) -> Call {
    call("PATCH", &format!("/api/orders/{id}")).json(&json!({"status": status}))
}

fn outcome(answer: &Answer) -> (u16, String) {
    (answer.status, if answer.status < 400 { String::new() } else { answer.problem() })
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[test]
fn an_owner_cancels_an_order_and_finds_it_cancelled_after_a_restart() {
    let folder = Folder::new();
    let service = in_folder(&folder);
    let order = ANN.orders(service.addr(), "a book");
    let answer = ANN.sends(service.addr(), cancel(1));
    assert_eq!((answer.status, answer.header("etag")), (200, Some("\"v2\"")), "{}", answer.text());
    let cancelled = answer.json();
    let mut expected = order.clone();
    expected["status"] = json!("cancelled");
    expected["updated_at"] = cancelled["updated_at"].clone();
    assert_eq!(cancelled, expected);
    assert!(cancelled["updated_at"].as_str() > order["updated_at"].as_str(), "{cancelled}");
    service.stop().unwrap();

    let service = in_folder(&folder);
    let answer = ANN.gets(service.addr(), "/api/orders/1");
    assert_eq!((answer.header("etag"), answer.json()), (Some("\"v2\""), cancelled));
}

#[test]
fn somebody_elses_order_cannot_be_cancelled_and_does_not_exist() {
    let service = in_memory();
    ANN.orders(service.addr(), "a book");
    let (others, absent) = (BOB.sends(service.addr(), cancel(1)), BOB.sends(service.addr(), cancel(2)));
    assert_eq!((outcome(&others), outcome(&absent)), (refused(404, "not_found"), refused(404, "not_found")));
    assert_eq!(others.json()["detail"], absent.json()["detail"], "nothing tells them apart");
    let guessed = BOB.sends(service.addr(), cancel(1).header("If-Match", "\"v7\""));
    assert_eq!(outcome(&guessed), refused(404, "not_found"), "not 412, which would tell that it exists");
    assert_eq!(ANN.gets(service.addr(), "/api/orders/1").json()["status"], "pending");
    assert_eq!(ADMIN.sends(service.addr(), cancel(1)).json()["status"], "cancelled");
}

#[test]
fn an_admin_takes_an_order_step_by_step_to_its_delivery() {
    let service = in_memory();
    ANN.orders(service.addr(), "a book");
    for (version, status) in [(2, "confirmed"), (3, "shipped"), (4, "delivered")] {
        let answer = ADMIN.sends(service.addr(), set_status(1, status));
        assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some(status)), "{}", answer.text());
        assert_eq!(answer.header("etag"), Some(format!("\"v{version}\"").as_str()));
    }
    for call in [set_status(1, "cancelled"), set_status(1, "pending"), set_status(1, "delivered"), cancel(1)] {
        let answer = ADMIN.sends(service.addr(), call);
        assert_eq!(outcome(&answer), refused(409, "wrong_state"));
        assert!(answer.json()["detail"].as_str().unwrap().starts_with("the order is delivered, and cannot become "));
    }
}

#[test]
fn a_status_is_for_admins_only() {
    let service = in_memory();
    ANN.orders(service.addr(), "a book");
    for id in [1, 2] {
        assert_eq!(
            outcome(&ANN.sends(service.addr(), set_status(id, "confirmed"))),
            refused(403, "insufficient_scope")
        );
    }
    assert_eq!(outcome(&set_status(1, "confirmed").send(service.addr())), refused(401, "assertion_invalid"));
    assert_eq!(outcome(&cancel(1).send(service.addr())), refused(401, "assertion_invalid"));
    assert_eq!(ANN.gets(service.addr(), "/api/orders/1").header("etag"), Some("\"v1\""));
}

#[test]
fn a_change_that_is_no_change_is_refused_with_its_reason() {
    let service = in_memory();
    ANN.orders(service.addr(), "a book");
    let patch = |body| call("PATCH", "/api/orders/1").json(&body);
    for (call, expected) in [
        (patch(json!({})), refused(422, "validation_failed")),
        (patch(json!({"status": "paid"})), refused(422, "validation_failed")),
        (patch(json!({"status": null})), refused(422, "validation_failed")),
        (call("PATCH", "/api/orders/1"), refused(415, "unsupported_media_type")),
        (call("PATCH", "/api/orders/1?force=true").json(&json!({"status": "confirmed"})), refused(400, "bad_request")),
        (call("POST", "/api/orders/1/cancel?force=true"), refused(400, "bad_request")),
        (set_status(2, "confirmed"), refused(404, "not_found")),
        (cancel(2), refused(404, "not_found")),
        (call("POST", "/api/orders/one/cancel"), refused(404, "not_found")),
        (cancel(1).header("If-Match", "v1"), refused(400, "bad_request")),
    ] {
        assert_eq!(outcome(&ADMIN.sends(service.addr(), call.clone())), expected, "{call:?}");
    }
    assert_eq!(ANN.gets(service.addr(), "/api/orders/1").header("etag"), Some("\"v1\""));
}

#[test]
fn a_change_is_made_only_to_the_version_that_its_caller_has_seen() {
    let service = in_memory();
    ANN.orders(service.addr(), "a book");
    for (condition, expected) in [
        ("\"v2\"", refused(412, "precondition_failed")),
        ("W/\"v1\"", refused(412, "precondition_failed")),
        ("\"v0\", \"v1\"", (200, String::new())),
        ("\"v1\"", refused(412, "precondition_failed")),
        ("*", refused(409, "wrong_state")),
    ] {
        let answer = ADMIN.sends(service.addr(), set_status(1, "confirmed").header("If-Match", condition));
        assert_eq!(outcome(&answer), expected, "{condition}");
    }
    let answer = ANN.sends(service.addr(), cancel(1).header("If-Match", "\"v1\""));
    assert_eq!(outcome(&answer), refused(412, "precondition_failed"));
    assert_eq!(ANN.sends(service.addr(), cancel(1).header("If-Match", "\"v2\"")).status, 200);
}

#[test]
fn of_changes_to_one_version_at_once_exactly_one_is_made() {
    let service = in_memory();
    ANN.orders(service.addr(), "a book");
    let addr = service.addr();
    let made: usize = thread::scope(|scope| {
        let send = |user: User, call: Call| {
            let call = user.asks(call.header("If-Match", "\"v1\""));
            scope.spawn(move || call.send(addr).status)
        };
        let threads: Vec<_> =
            (0..10).flat_map(|_| [send(ANN, cancel(1)), send(ADMIN, set_status(1, "confirmed"))]).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|status| *status == 200).count()
    });
    assert_eq!(made, 1);
    assert_eq!(ANN.gets(addr, "/api/orders/1").header("etag"), Some("\"v2\""));
}
