//! An admin manages users.

use std::{fs, thread};

use chassis::testing::{call, get, post};
use serde_json::{Value, json};

use crate::fixture::{PASSWORD, Stack, users_file};

#[test]
fn an_admin_creates_reads_changes_and_deletes_a_user() {
    let (stack, _folder) = Stack::new();
    let admin = stack.token("admin");
    let new = json!({"username": "eve", "password": PASSWORD, "email": "eve@example.com", "user_type": "default"});
    let created = stack.send(&post("/api/users", &new).bearer(&admin));
    assert_eq!(created.status, 201, "{}", created.text());
    let (user, location) = (created.json(), created.header("location").unwrap());
    assert_eq!(location, format!("/api/users/{}", user["id"]));
    let members: Vec<&String> = user.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        ["created_at", "created_by", "email", "full_name", "id", "updated_at", "user_type", "username"]
    );
    assert_eq!((&user["created_by"], &user["full_name"]), (&json!(1), &Value::Null));

    let read = stack.send(&get(location).bearer(&admin));
    assert_eq!((read.status, read.json()), (200, user.clone()));
    let etag = read.header("etag").unwrap();
    let unchanged = stack.send(&get(location).bearer(&admin).header("If-None-Match", etag));
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    let head = stack.send(&call("HEAD", location).bearer(&admin));
    assert_eq!((head.status, head.header("etag"), head.body.len()), (200, Some(etag), 0));

    let put = call("PUT", location).bearer(&admin).header("If-Match", etag).json(&json!({"full_name": "Eve"}));
    let changed = stack.send(&put);
    assert_eq!((changed.status, &changed.json()["full_name"]), (200, &json!("Eve")));
    assert_eq!(changed.json()["email"], "eve@example.com", "an absent field stays");
    let stale = stack.send(&put);
    assert_eq!((stale.status, stale.problem().as_str()), (412, "precondition_failed"));
    let patched = stack.send(&call("PATCH", location).bearer(&admin).json(&json!({"email": null})));
    assert_eq!((patched.status, &patched.json()["email"]), (200, &Value::Null));

    assert_eq!(stack.send(&call("DELETE", location).bearer(&admin)).status, 204);
    assert_eq!(stack.send(&get(location).bearer(&admin)).problem(), "not_found");
    let next = stack.create(&admin, "eve").json();
    assert!(next["id"].as_i64() > user["id"].as_i64(), "an id is never given twice: {next}");
}

#[test]
fn the_rules_hold_and_say_why() {
    let (stack, _folder) = Stack::new();
    let admin = stack.token("admin");
    let eve = stack.create(&admin, "eve").header("location").unwrap().to_owned();
    let user = |name: &str, kind: &str| json!({"username": name, "password": PASSWORD, "user_type": kind});
    let change = |path: &str, body: Value| call("PATCH", path).bearer(&admin).json(&body);
    for (call, status, code) in [
        (post("/api/users", &user("EVE ", "default")).bearer(&admin), 409, "username_taken"),
        (post("/api/users", &user("ｅve", "default")).bearer(&admin), 409, "username_taken"),
        (post("/api/users", &user("new", "emperor")).bearer(&admin), 422, "validation_failed"),
        (post("/api/users", &json!({})).bearer(&admin), 422, "validation_failed"),
        (change(&eve, json!({"username": null})), 422, "validation_failed"),
        (change(&eve, json!({"password": "x"})), 422, "validation_failed"),
        (change("/api/users/1", json!({"user_type": "default"})), 403, "protected_user"),
        (call("DELETE", "/api/users/2").bearer(&admin), 403, "protected_user"),
        (call("DELETE", "/api/users/99").bearer(&admin), 404, "not_found"),
        (call("PUT", "/api/users/99").bearer(&admin).json(&json!({})), 404, "not_found"),
        (get("/api/users/one").bearer(&admin), 404, "not_found"),
        (get("/api/users/007").bearer(&admin), 404, "not_found"),
        (get("/api/users/").bearer(&admin), 404, "not_found"),
        (get("/api/users?limit=0").bearer(&admin), 400, "bad_request"),
        (get("/api/users?cursor=abc").bearer(&admin), 400, "bad_request"),
        (call("PATCH", "/api/users").bearer(&admin), 405, "method_not_allowed"),
        (get("/api/users").bearer(&stack.token("demo")), 403, "insufficient_scope"),
        (get("/api/users"), 401, "token_missing"),
    ] {
        let answer = stack.send(&call);
        assert_eq!((answer.status, answer.problem().as_str()), (status, code), "{call:?}");
    }
    let options = stack.send(&call("OPTIONS", "/api/users/1"));
    assert_eq!((options.status, options.header("allow")), (204, Some("GET, HEAD, PUT, PATCH, DELETE, OPTIONS")));
}

#[test]
fn users_come_in_pages() {
    let (stack, _folder) = Stack::new();
    let admin = stack.token("admin");
    for name in ["u1", "u2"] {
        assert_eq!(stack.create(&admin, name).status, 201);
    }
    let mut names = Vec::new();
    let mut next = Some("/api/users?limit=2".to_owned());
    while let Some(path) = next {
        let page = stack.send(&get(&path).bearer(&admin));
        names.extend(page.json().as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap().to_owned()));
        next = page.header("link").map(|link| {
            assert!(link.ends_with(">; rel=\"next\""), "{link}");
            link[1..link.find('>').unwrap()].to_owned()
        });
    }
    assert_eq!(names, ["admin", "demo", "test", "u1", "u2"]);
}

#[test]
fn two_hundred_users_created_at_once_are_all_kept_and_the_file_is_whole_at_every_moment() {
    let (stack, folder) = Stack::new();
    let admin = stack.token("admin");
    let file = users_file(folder.path());
    let is_whole = || serde_json::from_slice::<Vec<Value>>(&fs::read(&file).unwrap()).unwrap();
    let users = thread::scope(|scope| {
        let creators: Vec<_> = (0..20)
            .map(|creator| {
                let (stack, admin) = (&stack, &admin);
                scope.spawn(move || {
                    (0..10).map(|n| stack.create(admin, &format!("user-{creator}-{n}")).json()).collect::<Vec<_>>()
                })
            })
            .collect();
        while creators.iter().any(|creator| !creator.is_finished()) {
            is_whole();
        }
        creators.into_iter().flat_map(|creator| creator.join().unwrap()).collect::<Vec<_>>()
    });
    let mut ids: Vec<i64> = users.iter().map(|user| user["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 200);
    let listed = stack.send(&get("/api/users").bearer(&admin));
    assert_eq!(listed.json().as_array().unwrap().len(), 203);
    assert!(!listed.text().contains("hashed_password") && !listed.text().contains("$2"), "{}", listed.text());
    stack.terminate();
    let kept = is_whole();
    assert_eq!(kept.len(), 203);
    assert!(users.iter().all(|user| kept.iter().any(|record| record["id"] == user["id"])));
}
