//! Changing passwords: one's own, for which the current one is asked, and those of others by an admin.

use std::{
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use chassis::{
    identity::Assertion,
    testing::{Answer, Call, User, post},
};
use serde_json::{Value, json};

use crate::{
    fixture::{DEMO, Folder, GATEWAY, PASSWORD, Users, demo, production},
    hashing::login_from,
};

const NEW_PASSWORD: &str = "another four words entirely";

/// A change of the own password by a user who is no admin, from an address.
fn change_from(address: &str, id: i64, current: &str, new: &str) -> Call {
    let client_ip: IpAddr = address.parse().unwrap();
    let assertion = Assertion { client_ip: Some(client_ip), ..User { id, user_type: "default" }.assertion() };
    let body = json!({"current_password": current, "new_password": new});
    post("/api/me/password", &body).header("gateway-assertion", &GATEWAY.sign(&assertion))
}

fn change(users: &Users, id: i64, current: &str, new: &str) -> Answer {
    users.send(&change_from("198.51.100.7", id, current, new))
}

fn reset(users: &Users, id: i64, body: &Value) -> Answer {
    users.admin(post(&format!("/api/users/{id}/password"), body))
}

/// The fields that are wrong, with what is wrong about each.
fn errors(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!((answer.status, answer.problem().as_str()), (422, "validation_failed"), "{}", answer.text());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let errors = answer.json()["errors"].clone();
    errors.as_array().unwrap().iter().map(|error| (text(&error["pointer"]), text(&error["detail"]))).collect()
}

#[test]
fn users_change_their_own_password_and_only_the_new_one_signs_in() {
    let users = Users::demo();
    let ann = users.create("ann");
    let changed = change(&users, ann, PASSWORD, NEW_PASSWORD);
    assert_eq!((changed.status, changed.text().as_str()), (204, ""), "{}", changed.text());
    assert_eq!(users.login("ann", PASSWORD).status, 401);
    assert_eq!(users.login("ann", NEW_PASSWORD).status, 200);
    let read = users.get(ann);
    assert_eq!(read.header("etag"), Some("\"v2\""), "others see that the account has changed");
    assert!(read.json()["updated_at"].as_str() > read.json()["created_at"].as_str());
    let users = users.restart(demo);
    assert_eq!(users.login("ann", PASSWORD).status, 401);
    assert_eq!(users.login("ann", NEW_PASSWORD).status, 200);
}

#[test]
fn a_wrong_current_password_changes_nothing_after_the_work_of_a_failed_login() {
    let users = Users::start(Folder::new(), |path| users::Settings { bcrypt_cost: 11, ..demo(path) }).unwrap();
    for wrong in ["wrong", "", "b\0", &"b".repeat(72)] {
        let rounds = users.metric("users_bcrypt_rounds_total");
        let refused = change(&users, DEMO.id, wrong, NEW_PASSWORD);
        assert_eq!(errors(&refused), [("/current_password".to_owned(), "is not the current password".to_owned())]);
        assert_eq!(users.metric("users_bcrypt_rounds_total") - rounds, f64::from(1 << 11), "{wrong:?}");
    }
    assert_eq!(users.get(DEMO.id).header("etag"), Some("\"v1\""));
    assert_eq!(users.login("demo", "b").status, 200);
}

#[test]
fn a_new_password_that_the_policy_refuses_is_named_before_anything_is_hashed() {
    let users = Users::start(Folder::new(), production).unwrap();
    let annika = users.create("annika");
    let rounds = users.metric("users_bcrypt_rounds_total");
    for new in ["too short", "passwordpassword", "this is Annika's own", &"x".repeat(72), "with a NUL inside\0"] {
        let pointers = |answer: &Answer| errors(answer).into_iter().map(|(pointer, _)| pointer).collect::<Vec<_>>();
        assert_eq!(pointers(&change(&users, annika, PASSWORD, new)), ["/new_password"], "{new:?}");
        assert_eq!(pointers(&reset(&users, annika, &json!({"new_password": new}))), ["/new_password"], "{new:?}");
    }
    let named = errors(&users.admin(post("/api/me/password", &json!({"current_password": 1}))));
    let must = |pointer: &str, detail: &str| (pointer.to_owned(), detail.to_owned());
    assert_eq!(named, [must("/current_password", "must be a string"), must("/new_password", "is required")]);
    let named = errors(&reset(&users, annika, &json!({"password": NEW_PASSWORD})));
    assert_eq!(named, [must("/new_password", "is required")]);
    assert_eq!(users.metric("users_bcrypt_rounds_total"), rounds);
}

#[test]
fn guesses_at_the_current_password_are_slowed_down_like_sign_ins_and_together_with_them() {
    let users = Users::demo();
    // The delays double, so that one of them is longer than two calls take on however busy a machine.
    loop {
        let started = Instant::now();
        let guess = change(&users, DEMO.id, "guess", NEW_PASSWORD);
        let delay = guess.header("retry-after").map_or(0, |seconds| seconds.parse().unwrap());
        let least = Duration::from_secs(u64::saturating_sub(delay, 1));
        if least < Duration::from_secs(2) {
            continue;
        }
        assert_eq!((guess.status, guess.problem().as_str()), (429, "rate_limited"));
        let right = change(&users, DEMO.id, "b", NEW_PASSWORD);
        let sign_in = users.send(&login_from("198.51.100.7", "demo", "b"));
        if started.elapsed() < least {
            assert_eq!((right.status, sign_in.status), (429, 429), "else it would be found by trying");
            break;
        }
    }
    assert_eq!(users.send(&login_from("203.0.113.9", "demo", "b")).status, 200, "nothing was changed");
    assert_eq!(users.send(&login_from("198.51.100.7", "test", "test")).status, 200, "another account");
}

#[test]
fn of_two_who_change_one_password_at_once_one_is_told_that_it_has_changed() {
    let users = Users::demo();
    let addr = users.addr();
    let new = ["the first of two passwords", "the second of two passwords"];
    let changes = new.map(|new| thread::spawn(move || change_from("198.51.100.7", 3, "test", new).send(addr)));
    let answers = changes.map(|change| change.join().unwrap());
    let won = answers.iter().position(|answer| answer.status == 204).unwrap();
    assert_eq!(errors(&answers[1 - won])[0].0, "/current_password");
    assert_eq!(users.login("test", new[won]).status, 200);
    assert_eq!(users.login("test", new[1 - won]).status, 401);
}

#[test]
fn an_admin_sets_the_password_of_another_user() {
    let users = Users::demo();
    let ann = users.create("ann");
    let answer = reset(&users, ann, &json!({"new_password": NEW_PASSWORD}));
    assert_eq!((answer.status, answer.text().as_str()), (204, ""), "{}", answer.text());
    assert_eq!(reset(&users, DEMO.id, &json!({"new_password": NEW_PASSWORD})).status, 204, "also of a protected one");
    let users = users.restart(demo);
    for name in ["ann", "demo"] {
        assert_eq!(users.login(name, NEW_PASSWORD).status, 200, "{name}");
    }
    assert_eq!(users.login("ann", PASSWORD).status, 401);
    assert_eq!(users.get(ann).header("etag"), Some("\"v2\""));
    for id in ["99", "none", "01"] {
        let missing = users.admin(post(&format!("/api/users/{id}/password"), &json!({"new_password": NEW_PASSWORD})));
        assert_eq!((missing.status, missing.problem().as_str()), (404, "not_found"), "{id}");
    }
}

#[test]
fn an_admin_gives_the_current_password_to_change_its_own() {
    let users = Users::demo();
    let refused = reset(&users, 1, &json!({"new_password": NEW_PASSWORD}));
    assert_eq!((refused.status, refused.problem().as_str()), (403, "current_password_required"));
    assert_eq!(refused.json()["detail"], "your own password is changed by POST /api/me/password");
    assert_eq!(users.login("admin", "a").status, 200, "nothing was changed");
    let body = json!({"current_password": "a", "new_password": NEW_PASSWORD});
    assert_eq!(users.admin(post("/api/me/password", &body)).status, 204);
    assert_eq!(users.login("admin", NEW_PASSWORD).status, 200);
}

#[test]
fn a_deleted_user_has_no_password_to_change() {
    let users = Users::demo();
    let ann = users.create("ann");
    assert_eq!(users.delete(ann).status, 204);
    let refused = change(&users, ann, PASSWORD, NEW_PASSWORD);
    assert_eq!((refused.status, refused.problem().as_str()), (401, "token_invalid"));
    assert_eq!(reset(&users, ann, &json!({"new_password": NEW_PASSWORD})).problem(), "not_found");
}
