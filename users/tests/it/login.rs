//! Signing in.

use std::{fs, thread};

use chassis::testing::{Answer, get, post};
use serde_json::json;

use crate::fixture::{Folder, GATEWAY, PASSWORD, USER_FIELDS, Users, demo, login, members};

/// Everything of an answer that a client could tell two users apart by.
fn shown(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let mut headers: Vec<_> = answer.headers.iter().filter(|(name, _)| name != "date").cloned().collect();
    // Their order is that of a hash table.
    headers.sort();
    (answer.status, headers, answer.text())
}

#[test]
fn a_right_password_answers_the_user_without_its_hash_and_a_session() {
    let users = Users::demo();
    let answer = users.login("admin", "a");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let mut user = answer.json();
    let session = user.as_object_mut().unwrap().remove("session").unwrap();
    assert_eq!(members(&user), USER_FIELDS);
    assert_eq!(members(&session), ["authenticated_at", "expires_in", "id", "methods", "refresh_token"]);
    assert_eq!((&user["id"], &user["user_type"]), (&json!(1), &json!("admin")));
    assert_eq!(users.login("demo", "b").json()["id"], 2);
    assert_eq!(users.login("test", "test").json()["id"], 3);
}

#[test]
fn any_spelling_of_the_name_signs_in() {
    let users = Users::demo();
    for name in ["ADMIN", " admin ", "ａｄｍｉｎ"] {
        assert_eq!(users.login(name, "a").status, 200, "{name}");
    }
}

#[test]
fn an_unknown_name_and_a_wrong_password_get_the_same_answer_after_the_same_work() {
    let users = Users::demo();
    let mut seen = Vec::new();
    for (name, password) in [
        ("admin", "wrong"),
        ("nobody", "wrong"),
        ("nobody", "a"),
        ("", "a"),
        ("admin", ""),
        ("no\u{0}body", "a"),
        (&"x".repeat(300), "a"),
        ("admin", &"a".repeat(72)),
        ("admin", "a\0"),
    ] {
        let before = users.metric("users_bcrypt_rounds_total");
        let answer = users.send(&login(name, password).header("x-request-id", "the-same"));
        let rounds = users.metric("users_bcrypt_rounds_total") - before;
        assert_eq!(answer.problem(), "invalid_credentials");
        seen.push((shown(&answer), rounds as u64));
    }
    assert_eq!((seen[0].0.0, seen[0].1), (401, 1 << 10));
    assert!(seen.iter().all(|answer| answer == &seen[0]), "{seen:#?}");
}

#[test]
fn users_with_imported_hashes_of_other_costs_cannot_be_told_from_unknown_ones() {
    // Costs 4 and 11 of the password `a`, where new hashes have cost 10.
    let file = r#"[
        {"id": 1, "username": "cheap", "user_type": "admin", "hashed_password": "CHEAP"},
        {"id": 2, "username": "dear", "user_type": "default", "hashed_password": "DEAR"}
    ]"#;
    let hash = |cost| bcrypt::hash("a", cost).unwrap();
    let file = file.replace("CHEAP", &hash(4)).replace("DEAR", &hash(11));
    let users = Users::start(Folder::with_users(&file), demo).unwrap();
    for name in ["cheap", "dear", "nobody"] {
        let before = users.metric("users_bcrypt_rounds_total");
        assert_eq!(users.login(name, "wrong").status, 401);
        assert_eq!(users.metric("users_bcrypt_rounds_total") - before, f64::from(1 << 11), "{name}");
    }
}

#[test]
fn a_login_renews_a_hash_of_another_cost_and_nothing_that_clients_see() {
    let users = Users::demo();
    let before = users.get(1);
    let costly = |path: &std::path::Path| users::Settings { bcrypt_cost: 11, ..demo(path) };
    let users = users.restart(costly);
    assert_eq!(users.login("admin", "wrong").status, 401);
    assert_eq!(users.folder.read("users.log"), "", "a wrong password renews nothing");
    assert_eq!(users.login("admin", "a").status, 200);
    assert_eq!(users.folder.read("users.log").matches("$2b$11$").count(), 1);
    let after = users.get(1);
    assert_eq!((after.header("etag"), after.json()), (before.header("etag"), before.json()));
    let users = users.restart(costly);
    assert_eq!(users.login("admin", "a").status, 200, "the renewed hash is of the same password");
}

#[test]
fn a_password_of_71_bytes_differs_from_a_longer_one_that_begins_with_it() {
    let users = Users::demo();
    let longest = "é".repeat(35) + "x";
    let body = json!({"username": "long", "password": longest, "user_type": "default"});
    assert_eq!(users.admin(post("/api/users", &body)).status, 201);
    assert_eq!(users.login("long", &longest).status, 200);
    assert_eq!(users.login("long", &(longest.clone() + "y")).status, 401);
    assert_eq!(users.login("long", &(longest.clone() + "\0")).status, 401);
    for wrong in [longest.clone() + "y", "a\0b".to_owned()] {
        let body = json!({"username": "other", "password": wrong, "user_type": "default"});
        assert_eq!(users.admin(post("/api/users", &body)).problem(), "validation_failed");
    }
    let huge = users.login("long", &"x".repeat(1024 * 1024));
    assert_eq!((huge.status, huge.problem().as_str()), (413, "payload_too_large"));
}

#[test]
fn the_policy_of_today_is_not_asked_at_login() {
    let users = Users::demo().restart(|path| users::Settings { password_min: 15, ..demo(path) });
    assert_eq!(users.login("admin", "a").status, 200);
}

#[test]
fn a_missing_or_wrong_field_is_named() {
    let users = Users::demo();
    for (body, pointers) in [
        (json!({}), vec!["/username", "/password"]),
        (json!({"username": "admin"}), vec!["/password"]),
        (json!({"username": 1, "password": null}), vec!["/username", "/password"]),
        (json!([]), vec![""]),
    ] {
        let answer = users.send(&GATEWAY.signed(post("/api/login", &body), None));
        assert_eq!((answer.status, answer.problem().as_str()), (422, "validation_failed"), "{body}");
        let errors = answer.json()["errors"].clone();
        let named: Vec<_> = errors.as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
        assert_eq!(named, pointers, "{body}");
    }
}

#[test]
fn a_deleted_or_renamed_user_signs_in_no_more() {
    let users = Users::demo();
    let ann = users.create("ann");
    assert_eq!(users.login("ann", PASSWORD).status, 200);
    assert_eq!(users.patch(ann, &json!({"username": "anna"})).status, 200);
    assert_eq!(users.login("ann", PASSWORD).status, 401);
    assert_eq!(users.login("anna", PASSWORD).status, 200);
    assert_eq!(users.delete(ann).status, 204);
    assert_eq!(users.login("anna", PASSWORD).status, 401);
}

#[test]
fn many_logins_at_once_are_served_or_get_retry_after_while_readers_are_served() {
    let users = Users::demo();
    let addr = users.addr();
    let logins: Vec<_> = (0..60).map(|_| thread::spawn(move || login("admin", "a").send(addr))).collect();
    for _ in 0..20 {
        assert_eq!(users.get(1).status, 200);
    }
    for answer in logins.into_iter().map(|login| login.join().unwrap()) {
        match answer.status {
            200 => {}
            503 => {
                assert_eq!(answer.problem(), "overloaded");
                assert!(answer.header("retry-after").is_some());
            }
            _ => panic!("{answer:?}"),
        }
    }
    assert_eq!(users.metric("users_bcrypt_waiting"), 0.0);
}

#[test]
fn no_hash_and_no_password_is_ever_shown() {
    let users = Users::demo();
    let hash = users.folder.read("users.json").split("$2b$10$").nth(1).unwrap()[..53].to_owned();
    let body = json!({"username": "ann", "password": PASSWORD, "user_type": "admin", "hashed_password": "x", "id": 99});
    let answers = [
        users.admin(post("/api/users", &body)),
        users.get(1),
        users.admin(get("/api/users")),
        users.login("admin", "a"),
        users.login("admin", PASSWORD),
        users.patch(3, &json!({"hashed_password": "x", "full_name": "T"})),
        users.put(3, &json!({"password": PASSWORD})),
        users.admin(post("/api/users/2/password", &json!({"new_password": PASSWORD}))),
        users.admin(post("/api/me/password", &json!({"current_password": PASSWORD, "new_password": PASSWORD}))),
        users.send(&get("/openapi.json")),
        users.send(&get("/metrics")),
    ];
    for answer in answers {
        let text = answer.text();
        assert!(!text.contains("hashed_password") && !text.contains(&hash) && !text.contains(PASSWORD), "{text}");
    }
    assert_eq!(users.login("test", "test").status, 200, "nobody can set a hash");
    assert!(fs::read_to_string(users.folder.data().join("users.json")).unwrap().contains(&hash));
}
