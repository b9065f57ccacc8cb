//! Making, reading, changing and deleting users.

use chassis::testing::{User, call, get, post};
use serde_json::json;

use crate::fixture::{Folder, GATEWAY, PASSWORD, USER_FIELDS, Users, demo, members, new_user, production};

#[test]
fn a_user_is_made_read_changed_and_deleted() {
    let users = Users::demo();
    let body = json!({"username": " Ann ", "password": PASSWORD, "email": "ann@example.com", "full_name": "Ann",
        "user_type": "default", "created_by": 99, "anything": "else"});
    let made = users.send(&GATEWAY.signed(post("/api/users", &body), Some(User { id: 7, user_type: "admin" })));
    assert_eq!((made.status, made.header("location")), (201, Some("/api/users/4")), "{}", made.text());
    assert_eq!(made.header("etag"), Some("\"v1\""));
    let user = made.json();
    assert_eq!(members(&user), USER_FIELDS);
    assert_eq!((&user["username"], &user["created_by"], &user["id"]), (&json!("Ann"), &json!(7), &json!(4)));
    assert_eq!(user["created_at"], user["updated_at"]);
    assert!(user["created_at"].as_str().unwrap().ends_with('Z'));

    let read = users.get(4);
    assert_eq!((read.status, read.json(), read.header("etag")), (200, user.clone(), Some("\"v1\"")));

    let changed = users.patch(4, &json!({"full_name": "Ann B."}));
    assert_eq!((changed.status, changed.header("etag")), (200, Some("\"v2\"")));
    assert_eq!((&changed.json()["full_name"], &changed.json()["created_at"]), (&json!("Ann B."), &user["created_at"]));
    assert!(changed.json()["updated_at"].as_str() > user["updated_at"].as_str());

    let deleted = users.delete(4);
    assert_eq!((deleted.status, deleted.text().as_str()), (204, ""));
    assert_eq!(users.get(4).problem(), "not_found");
    assert_eq!(users.delete(4).problem(), "not_found");
    assert_eq!(users.patch(4, &json!({})).status, 404);
    assert_eq!(users.put(4, &json!({})).status, 404);
}

#[test]
fn optional_fields_may_be_absent_or_null() {
    let users = Users::demo();
    let absent = users.create("ann");
    let null = json!({"username": "bob", "password": PASSWORD, "email": null, "full_name": null, "user_type": "admin"});
    assert_eq!(users.admin(post("/api/users", &null)).status, 201);
    let ann = users.get(absent).json();
    assert!(ann["email"].is_null() && ann["full_name"].is_null(), "{ann}");
    assert_eq!(members(&ann), USER_FIELDS);
}

#[test]
fn put_changes_what_is_given_and_keeps_what_is_absent_or_null() {
    let users = Users::demo();
    let before = users.get(3).json();
    let same = users.put(3, &json!({"username": null, "email": null, "user_type": null}));
    assert_eq!((same.status, same.json(), same.header("etag")), (200, before, Some("\"v1\"")));
    let changed = users.put(3, &json!({"email": "t@example.com", "full_name": "T"})).json();
    assert_eq!((&changed["email"], &changed["full_name"]), (&json!("t@example.com"), &json!("T")));
    let kept = users.put(3, &json!({"email": null, "full_name": null, "username": "tess"})).json();
    assert_eq!((&kept["email"], &kept["username"]), (&json!("t@example.com"), &json!("tess")));
}

#[test]
fn patch_clears_what_is_null() {
    let users = Users::demo();
    users.patch(3, &json!({"email": "t@example.com", "full_name": "T"}));
    let body = br#"{"email": null, "full_name": null}"#;
    let patch = call("PATCH", "/api/users/3").body("application/merge-patch+json", body);
    let cleared = users.admin(patch);
    assert_eq!(cleared.status, 200);
    assert!(cleared.json()["email"].is_null() && cleared.json()["full_name"].is_null());
    for field in ["username", "user_type"] {
        let refused = users.patch(3, &json!({field: null}));
        assert_eq!((refused.status, refused.problem().as_str()), (422, "validation_failed"));
        assert_eq!(refused.json()["errors"][0]["pointer"], format!("/{field}"));
    }
}

#[test]
fn a_password_is_not_changed_by_the_way() {
    let users = Users::demo();
    for password in [json!("new"), json!(null)] {
        let body = json!({"full_name": "T", "password": password});
        for refused in [users.put(3, &body), users.patch(3, &body)] {
            assert_eq!((refused.status, refused.problem().as_str()), (422, "validation_failed"));
            let detail = refused.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("POST /api/users/{user_id}/password"), "{detail}");
        }
    }
    assert!(users.get(3).json()["full_name"].is_null(), "nothing else was changed either");
}

#[test]
fn every_wrong_field_is_named() {
    let users = Users::start(Folder::new(), production).unwrap();
    let long = |count| "x".repeat(count);
    for (body, pointers) in [
        (json!({}), vec!["/username", "/password", "/user_type"]),
        (json!({"username": "", "password": PASSWORD, "user_type": "default"}), vec!["/username"]),
        (json!({"username": long(65), "password": PASSWORD, "user_type": "default"}), vec!["/username"]),
        (json!({"username": "a\u{7}", "password": PASSWORD, "user_type": "default"}), vec!["/username"]),
        (json!({"username": "ann", "password": PASSWORD, "user_type": "root"}), vec!["/user_type"]),
        (json!({"username": "ann", "password": PASSWORD, "user_type": "Admin"}), vec!["/user_type"]),
        (json!({"username": "ann", "password": PASSWORD, "user_type": ["admin"]}), vec!["/user_type"]),
        (json!({"username": "ann", "password": "too short", "user_type": "default"}), vec!["/password"]),
        (json!({"username": "ann", "password": "passwordpassword", "user_type": "default"}), vec!["/password"]),
        (json!({"username": "annika", "password": "this is Annika's own", "user_type": "default"}), vec!["/password"]),
        (json!({"username": "ann", "password": long(72), "user_type": "default"}), vec!["/password"]),
        (json!({"username": "ann", "password": "with a NUL inside\0", "user_type": "default"}), vec!["/password"]),
        (
            json!({"username": "ann", "password": PASSWORD, "user_type": "default", "email": "no", "full_name": long(201)}),
            vec!["/email", "/full_name"],
        ),
    ] {
        let answer = users.admin(post("/api/users", &body));
        assert_eq!((answer.status, answer.problem().as_str()), (422, "validation_failed"), "{body}");
        let errors = answer.json()["errors"].clone();
        let named: Vec<_> = errors.as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
        assert_eq!(named, pointers, "{body}");
    }
    for body in
        [json!({"email": "no"}), json!({"user_type": "root"}), json!({"username": " "}), json!({"full_name": 1})]
    {
        assert_eq!(users.put(1, &body).problem(), "validation_failed", "{body}");
        assert_eq!(users.patch(1, &body).problem(), "validation_failed", "{body}");
    }
}

#[test]
fn a_condition_protects_from_overwriting() {
    let users = Users::demo();
    let patch = |condition: &str, name: &str| {
        let call = call("PATCH", "/api/users/3").header("If-Match", condition).json(&json!({"full_name": name}));
        users.admin(call)
    };
    assert_eq!(patch("\"v1\"", "one").header("etag"), Some("\"v2\""));
    for stale in ["\"v1\"", "W/\"v2\"", "\"x\""] {
        let refused = patch(stale, "two");
        assert_eq!((refused.status, refused.problem().as_str()), (412, "precondition_failed"), "{stale}");
    }
    assert_eq!(patch("v2", "two").problem(), "bad_request");
    assert_eq!(patch("\"v1\", \"v2\"", "two").status, 200);
    assert_eq!(patch("*", "three").status, 200);
    let delete = |condition: &str| users.admin(call("DELETE", "/api/users/3").header("If-Match", condition));
    assert_eq!(delete("\"v1\"").problem(), "precondition_failed");
    assert_eq!(users.get(3).json()["full_name"], "three");
    let put = call("PUT", "/api/users/3").header("If-Match", "\"v1\"").json(&json!({"full_name": "four"}));
    assert_eq!(users.admin(put).problem(), "precondition_failed");
    assert_eq!(delete("\"v4\"").status, 204);
}

#[test]
fn an_unchanged_user_is_not_sent_again() {
    let users = Users::demo();
    let get = |condition: &str| users.admin(get("/api/users/3").header("If-None-Match", condition));
    for same in ["\"v1\"", "W/\"v1\"", "*", "\"x\", \"v1\""] {
        let answer = get(same);
        assert_eq!((answer.status, answer.header("etag"), answer.text().as_str()), (304, Some("\"v1\""), ""), "{same}");
    }
    assert_eq!(get("\"v0\"").status, 200);
    assert_eq!(get("v1").problem(), "bad_request");
}

#[test]
fn an_id_is_never_given_again() {
    let users = Users::demo();
    let ann = users.create("ann");
    assert_eq!(users.delete(ann).status, 204);
    let users = users.restart(demo);
    let bob = users.create("bob");
    assert!(bob > ann, "{bob} {ann}");
    assert_eq!(users.get(ann).status, 404);
}

#[test]
fn what_was_answered_is_there_after_a_restart() {
    let users = Users::demo();
    let ann = users.create("ann");
    let changed = users.patch(ann, &json!({"email": "ann@example.com", "user_type": "admin"}));
    let users = users.restart(demo);
    let read = users.get(ann);
    assert_eq!((read.json(), read.header("etag")), (changed.json(), Some("\"v2\"")));
    assert_eq!(users.login("ann", PASSWORD).json()["email"], "ann@example.com");
    assert_eq!(users.admin(post("/api/users", &new_user("ANN", "default"))).problem(), "username_taken");
}
