//! `Idempotency-Key` of `POST /api/orders`: a request that is sent again creates nothing.

use std::thread;

use chassis::testing::{Answer, Call, Clock, Process, call, post};
use serde_json::json;

use crate::{
    fixture::{ADMIN, ANN, BOB, Folder, ids, in_folder, in_memory, new_order},
    process::command,
};

const KEY: &str = "8e03978e-40d5-43dd-bc93-6894a57f9324";

fn keyed(item: &str, key: &str) -> Call {
    new_order(item).header("Idempotency-Key", key)
}

/// What a client sees of an answer that may be a replay.
fn shown(answer: &Answer) -> (u16, Option<&str>, Option<&str>, String) {
    (answer.status, answer.header("location"), answer.header("etag"), answer.text())
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

#[test]
fn a_request_that_is_sent_again_is_answered_as_the_first_time_also_after_a_restart() {
    let folder = Folder::new();
    let service = in_folder(&folder);
    let first = ANN.sends(service.addr(), keyed("a book", KEY));
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, None), "{}", first.text());
    let again = ANN.sends(service.addr(), keyed("a book", &format!("\"{KEY}\"")));
    assert_eq!((shown(&again), is_replay(&again)), (shown(&first), true), "in quotes it is the same key");
    service.stop().unwrap();
    let service = in_folder(&folder);
    let again = ANN.sends(service.addr(), keyed("a book", KEY));
    assert_eq!((shown(&again), is_replay(&again)), (shown(&first), true));
    assert_eq!(ids(&ANN.lists_all(service.addr(), 100)), [1]);
    assert_eq!(ANN.sends(service.addr(), keyed("a book", "another")).json()["id"], 2);
    assert_eq!(ANN.orders(service.addr(), "a book")["id"], 3, "without a key each request is one of its own");
}

#[test]
fn an_answer_is_the_first_one_although_the_order_has_changed() {
    let service = in_memory();
    let first = ANN.sends(service.addr(), keyed("a book", KEY));
    assert_eq!(ANN.sends(service.addr(), call("POST", "/api/orders/1/cancel")).status, 200);
    let again = ANN.sends(service.addr(), keyed("a book", KEY));
    assert_eq!((shown(&again), is_replay(&again)), (shown(&first), true));
    assert_eq!(ANN.gets(service.addr(), "/api/orders/1").json()["status"], "cancelled");
}

#[test]
fn a_key_with_another_body_is_refused_and_belongs_to_one_user() {
    let service = in_memory();
    ANN.sends(service.addr(), keyed("a book", KEY));
    let address = post("/api/orders", &json!({"address": "2 Main Street", "item": "a book"}));
    for other in [keyed("a pen", KEY), address.header("Idempotency-Key", KEY)] {
        let answer = ANN.sends(service.addr(), other);
        assert_eq!((answer.status, answer.problem().as_str()), (422, "idempotency_key_reused"));
    }
    for user in [BOB, ADMIN] {
        let answer = user.sends(service.addr(), keyed("a pen", KEY));
        assert_eq!((answer.status, is_replay(&answer)), (201, false), "{}", answer.text());
    }
    assert_eq!(ids(&ANN.lists_all(service.addr(), 100)), [1]);
}

#[test]
fn the_same_key_fifty_times_at_once_makes_one_order_and_fifty_equal_answers() {
    let folder = Folder::new();
    // Two services on one database: what one of them has made, the other knows.
    let services = [in_folder(&folder), in_folder(&folder)];
    let answers: Vec<Answer> = thread::scope(|scope| {
        let threads: Vec<_> = (0..50)
            .map(|n| {
                let addr = services[n % 2].addr();
                scope.spawn(move || ANN.sends(addr, keyed("a book", KEY)))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| shown(answer) == shown(&answers[0])));
    assert_eq!((answers[0].status, answers.iter().filter(|answer| is_replay(answer)).count()), (201, 49));
    assert_eq!(ids(&ANN.lists_all(services[0].addr(), 100)), [1]);
}

#[test]
fn a_request_that_was_refused_leaves_its_key_free() {
    let service = in_memory();
    let wrong = post("/api/orders", &json!({"address": "1 Main Street"})).header("Idempotency-Key", KEY);
    assert_eq!(ANN.sends(service.addr(), wrong).problem(), "validation_failed");
    let answer = ANN.sends(service.addr(), keyed("a book", KEY));
    assert_eq!((answer.status, is_replay(&answer)), (201, false), "{}", answer.text());
}

#[test]
fn a_key_that_is_not_valid_is_refused() {
    let service = in_memory();
    for call in [
        keyed("a book", ""),
        keyed("a book", "\"\""),
        keyed("a book", "\"half"),
        keyed("a book", &"k".repeat(256)),
        keyed("a book", "ключ"),
        keyed("a book", KEY).header("Idempotency-Key", KEY),
    ] {
        let answer = ANN.sends(service.addr(), call);
        assert_eq!((answer.status, answer.problem().as_str()), (400, "bad_request"));
        assert!(answer.json()["detail"].as_str().unwrap().starts_with("`Idempotency-Key` "), "{}", answer.text());
    }
    assert_eq!(ANN.lists_all(service.addr(), 100), Vec::<serde_json::Value>::new());
}

#[test]
fn a_key_is_forgotten_after_a_day() {
    const HOUR: i64 = 60 * 60;
    let folder = Folder::new();
    let clock = Clock::new(folder.path());
    clock.set(-25 * HOUR);
    let program = Process::serve(clock.attach_to(&mut command(&folder)));
    let addr = program.addr();
    assert_eq!(ANN.sends(addr, keyed("a book", "old")).json()["id"], 1);
    clock.set(-23 * HOUR);
    assert_eq!(ANN.sends(addr, keyed("a book", "new")).json()["id"], 2);
    clock.set(0);
    for (key, expected) in [("new", 2), ("old", 3), ("old", 3)] {
        assert_eq!(ANN.sends(addr, keyed("a book", key)).json()["id"], expected, "{key}");
    }
    program.terminate();
}
