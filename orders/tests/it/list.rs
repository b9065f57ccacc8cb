//! `GET /api/orders`.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use chassis::testing::{Clock, Process, call, post};
use serde_json::json;

use crate::{
    fixture::{ADMIN, ANN, BOB, Folder, StopOnDrop, ids, in_folder, in_memory, next_page},
    process::command,
};

#[test]
fn everybody_sees_their_own_orders_newest_first() {
    let service = in_memory();
    for item in ["first", "second"] {
        ANN.orders(service.addr(), item);
        BOB.orders(service.addr(), item);
    }
    let answer = ANN.gets(service.addr(), "/api/orders");
    let orders = answer.json();
    assert_eq!(ids(orders.as_array().unwrap()), [3, 1]);
    assert_eq!((&orders[0]["item"], &orders[1]["item"]), (&json!("second"), &json!("first")));
    assert_eq!(orders[0], ANN.gets(service.addr(), "/api/orders/3").json(), "an order looks the same everywhere");
    assert_eq!(answer.header("link"), None);
    assert_eq!(ADMIN.gets(service.addr(), "/api/orders").json(), json!([]), "an admin's own are none");
}

#[test]
fn an_admin_may_list_the_orders_of_another_user() {
    let service = in_memory();
    (0..3).for_each(|_| drop(ANN.orders(service.addr(), "a book")));
    let first = ADMIN.gets(service.addr(), "/api/orders?user_id=7&limit=2");
    assert_eq!(ids(first.json().as_array().unwrap()), [3, 2]);
    let next = next_page(&first).unwrap();
    assert!(next.contains("user_id=7"), "{next}");
    assert_eq!(ids(ADMIN.gets(service.addr(), &next).json().as_array().unwrap()), [1]);

    assert_eq!(ids(ANN.gets(service.addr(), "/api/orders?user_id=7").json().as_array().unwrap()), [3, 2, 1]);
    let refused = BOB.gets(service.addr(), "/api/orders?user_id=7");
    assert_eq!((refused.status, refused.problem().as_str()), (403, "insufficient_scope"));
}

#[test]
fn a_page_links_to_the_next_one_only_where_there_is_more() {
    let service = in_memory();
    (0..4).for_each(|_| drop(ANN.orders(service.addr(), "a book")));
    let first = ANN.gets(service.addr(), "/api/orders?limit=2");
    assert_eq!(ids(first.json().as_array().unwrap()), [4, 3]);
    let next = next_page(&first).unwrap();
    assert!(next.starts_with("/api/orders?limit=2&cursor="), "{next}");
    let second = ANN.gets(service.addr(), &next);
    assert_eq!(ids(second.json().as_array().unwrap()), [2, 1]);
    assert_eq!(next_page(&second), None, "the last page was full, and there is nothing behind it");
    assert_eq!(next_page(&ANN.gets(service.addr(), "/api/orders?limit=4")), None);
}

#[test]
fn a_page_has_100_orders_unless_asked_otherwise() {
    let service = in_memory();
    thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(|| (0..26).for_each(|_| drop(ANN.orders(service.addr(), "a book"))))));
    });
    assert_eq!(ANN.gets(service.addr(), "/api/orders").json().as_array().unwrap().len(), 100);
    assert_eq!(ANN.gets(service.addr(), "/api/orders?limit=500").json().as_array().unwrap().len(), 104);
}

#[test]
fn a_wrong_parameter_is_a_bad_request() {
    let service = in_memory();
    for query in
        ["limit=0", "limit=501", "limit=ten", "limit=", "limit=1&limit=1", "cursor=", "cursor=abc", "user_id=x"]
    {
        let answer = ADMIN.gets(service.addr(), &format!("/api/orders?{query}"));
        assert_eq!((answer.status, answer.problem().as_str()), (400, "bad_request"), "{query}");
    }
}

#[test]
fn a_list_can_be_filtered_by_status_and_by_time() {
    let folder = Folder::new();
    let (clock, service) =
        (Clock::new(folder.path()), |clock: &Clock| Process::serve(clock.attach_to(&mut command(&folder))));
    clock.set(-3600);
    let program = service(&clock);
    let addr = program.addr();
    let old: Vec<_> = (0..3).map(|_| ANN.orders(addr, "old")).collect();
    BOB.orders(addr, "of somebody else");
    clock.set(0);
    (0..3).for_each(|_| drop(ANN.orders(addr, "new")));
    for id in [2, 6] {
        assert_eq!(ANN.sends(addr, call("POST", &format!("/api/orders/{id}/cancel"))).status, 200);
    }
    let (first, last) = (old[0]["created_at"].as_str().unwrap(), old[2]["created_at"].as_str().unwrap());
    let in_another_zone = format!("{}%2B00:00", last.trim_end_matches('Z'));
    for (query, expected) in [
        (String::new(), vec![7, 6, 5, 3, 2, 1]),
        ("&status=cancelled".to_owned(), vec![6, 2]),
        ("&status=pending".to_owned(), vec![7, 5, 3, 1]),
        ("&status=shipped".to_owned(), vec![]),
        (format!("&created_after={last}"), vec![7, 6, 5]),
        (format!("&created_after={in_another_zone}"), vec![7, 6, 5]),
        (format!("&created_before={last}"), vec![2, 1]),
        (format!("&created_after={first}&created_before={last}"), vec![2]),
        (format!("&created_after={first}&status=pending"), vec![7, 5, 3]),
    ] {
        for limit in [1, 2, 100] {
            assert_eq!(ids(&ANN.lists_filtered(addr, limit, &query)), expected, "{query}");
        }
        assert_eq!(ids(&ADMIN.lists_filtered(addr, 2, &format!("&user_id=7{query}"))), expected, "{query}");
    }
    program.terminate();
}

#[test]
fn a_filter_that_is_not_valid_is_refused_and_named() {
    let service = in_memory();
    for (query, said) in [
        ("status=", "`status` must be pending, confirmed, shipped, delivered or cancelled"),
        ("status=Pending", "`status` must be"),
        ("status=pending&status=shipped", "`status` is given more than once"),
        ("created_after=yesterday", "`created_after` must be a time like 2026-01-31T23:59:59Z (RFC 3339)"),
        ("created_before=2026-01-31", "`created_before` must be a time"),
        ("created_before=2026-01-31T00:00:00+01:00", "write `+` as %2B"),
    ] {
        let answer = ANN.gets(service.addr(), &format!("/api/orders?{query}"));
        assert_eq!((answer.status, answer.problem().as_str()), (400, "bad_request"), "{query}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(said), "{}", answer.text());
    }
}

#[test]
fn a_cursor_is_valid_with_its_own_filters_only() {
    let service = in_memory();
    (0..3).for_each(|_| drop(ANN.orders(service.addr(), "a book")));
    let next = next_page(&ANN.gets(service.addr(), "/api/orders?limit=1&status=pending")).unwrap();
    assert!(next.contains("status=pending"), "{next}");
    assert_eq!(ids(ANN.gets(service.addr(), &next).json().as_array().unwrap()), [2]);
    for other in ["", "&status=shipped", "&status=pending&created_after=2000-01-01T00:00:00Z"] {
        let answer = ANN.gets(service.addr(), &next.replace("&status=pending", other));
        assert_eq!((answer.status, answer.problem().as_str()), (400, "bad_request"), "{other}");
    }
}

#[test]
fn an_unknown_parameter_is_refused_and_named() {
    let service = in_memory();
    ANN.orders(service.addr(), "a book");
    for (target, named) in [
        ("/api/orders?state=shipped", "`state`; there are `limit`, `cursor`, `user_id`, `status`, `created_after`"),
        ("/api/orders?limit=2&q=book&Limit=3", "`Limit`, `q`; there are"),
        ("/api/orders/1?fields=id", "`fields`; there are none here"),
    ] {
        let refused = ANN.gets(service.addr(), target);
        assert_eq!((refused.status, refused.problem().as_str()), (400, "bad_request"), "{target}");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(named), "{detail}");
    }
    let body = json!({"address": "1 Main Street", "item": "a pen"});
    assert_eq!(ANN.sends(service.addr(), post("/api/orders?dry_run=true", &body)).problem(), "bad_request");
    assert_eq!(ANN.lists_all(service.addr(), 100).len(), 1, "nothing was made");
}

#[test]
fn a_cursor_that_was_changed_or_belongs_to_another_user_is_refused() {
    let service = in_memory();
    (0..2).for_each(|_| drop(ANN.orders(service.addr(), "a book")));
    BOB.orders(service.addr(), "a pen");
    let next = next_page(&ANN.gets(service.addr(), "/api/orders?limit=1")).unwrap();
    assert_eq!(ANN.gets(service.addr(), &next).status, 200);

    let others = BOB.gets(service.addr(), &next);
    assert_eq!((others.status, others.problem().as_str()), (400, "bad_request"));
    let cursor = next.split("cursor=").nth(1).unwrap();
    for at in 0..cursor.len() {
        let mut changed = cursor.to_owned();
        changed.replace_range(at..=at, if &cursor[at..=at] == "A" { "B" } else { "A" });
        let answer = ANN.gets(service.addr(), &format!("/api/orders?cursor={changed}"));
        assert_eq!(answer.status, 400, "the character at {at} was changed");
    }
}

#[test]
fn pages_repeat_and_skip_nothing_while_orders_are_made() {
    let folder = Folder::new();
    let service = in_folder(&folder);
    let addr = service.addr();
    (0..60).for_each(|_| drop(ANN.orders(addr, "before")));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for user in [ANN, ANN, BOB] {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    user.orders(addr, "meanwhile");
                }
            });
        }
        let _stop = StopOnDrop(&stop);
        for limit in [1, 7, 20] {
            let orders = ANN.lists_all(addr, limit);
            let seen: HashSet<i64> = ids(&orders).into_iter().collect();
            assert_eq!(seen.len(), orders.len(), "something came twice with pages of {limit}");
            assert!((1..=60).all(|id| seen.contains(&id)), "something was skipped with pages of {limit}");
            assert!(orders.iter().all(|order| order["created_by"] == 7));
            assert!(orders.is_sorted_by(
                |a, b| (a["created_at"].as_str(), a["id"].as_i64()) > (b["created_at"].as_str(), b["id"].as_i64())
            ));
        }
    });
    let all = ANN.lists_all(addr, 500);
    assert_eq!(ANN.lists_all(addr, 3), all, "the size of the pages makes no difference");
}

#[test]
fn a_clock_that_is_set_back_changes_no_order_of_pages_also_after_a_restart() {
    let (folder, control) = (Folder::new(), Folder::new());
    let clock = Clock::new(control.path());
    let start = || Process::serve(clock.attach_to(&mut command(&folder)));
    let program = start();
    ANN.orders(program.addr(), "first");
    clock.set(-3600);
    ANN.orders(program.addr(), "second");
    clock.set(-1800);
    ANN.orders(program.addr(), "third");
    program.kill();
    clock.set(-7200);
    let program = start();
    ANN.orders(program.addr(), "fourth");

    let orders = ANN.lists_all(program.addr(), 100);
    assert_eq!(ids(&orders), [4, 3, 2, 1]);
    assert!(orders.is_sorted_by(|a, b| a["created_at"].as_str() >= b["created_at"].as_str()), "{orders:?}");
    assert_eq!(ANN.lists_all(program.addr(), 1), orders, "pages");
    clock.set(60);
    let later = ANN.orders(program.addr(), "fifth");
    assert!(later["created_at"].as_str() > orders[0]["created_at"].as_str(), "time goes on: {later}");
    program.terminate();
}
