//! What users see and change of themselves.

use chassis::testing::{Answer, Call, User, call, get};
use serde_json::{Value, json};

use crate::fixture::{ADMIN, DEMO, GATEWAY, PASSWORD, Users, demo};

/// A call of a user who is no admin.
fn as_user(id: i64, call: Call) -> Call {
    GATEWAY.signed(call, Some(User { id, user_type: "default" }))
}

fn patch_me(users: &Users, id: i64, body: &Value) -> Answer {
    users.send(&as_user(id, call("PATCH", "/api/me").json(body)))
}

#[test]
fn users_read_and_change_themselves() {
    let users = Users::demo();
    let ann = users.create("ann");
    let read = users.send(&as_user(ann, get("/api/me")));
    assert_eq!((read.status, read.json()), (200, users.get(ann).json()));
    assert_eq!(read.header("etag"), Some("\"v1\""));
    let unchanged = users.send(&as_user(ann, get("/api/me").header("If-None-Match", "\"v1\"")));
    assert_eq!((unchanged.status, unchanged.text().as_str()), (304, ""));

    let body = json!({"username": "Anna", "email": "anna@example.com", "full_name": "Anna", "id": 1, "created_by": 9});
    let changed = patch_me(&users, ann, &body);
    assert_eq!((changed.status, changed.header("etag")), (200, Some("\"v2\"")), "{}", changed.text());
    let user = changed.json();
    assert_eq!((&user["id"], &user["username"], &user["email"]), (&json!(ann), &json!("Anna"), &body["email"]));
    assert_eq!(user["created_by"], 1);
    assert!(patch_me(&users, ann, &json!({"email": null})).json()["email"].is_null());

    let users = users.restart(demo);
    let kept = users.send(&as_user(ann, get("/api/me")));
    assert_eq!((kept.header("etag"), &kept.json()["full_name"]), (Some("\"v3\""), &json!("Anna")));
    assert_eq!(users.login("anna", PASSWORD).status, 200);
}

#[test]
fn nobody_gets_rights_or_a_password_by_the_way() {
    let users = Users::demo();
    for user_type in [json!("admin"), json!("default"), json!(null)] {
        let refused = patch_me(&users, 3, &json!({"full_name": "T", "user_type": user_type}));
        assert_eq!((refused.status, refused.problem().as_str()), (422, "validation_failed"), "{user_type}");
        let error = &refused.json()["errors"][0];
        assert_eq!(
            (&error["pointer"], &error["detail"]),
            (&json!("/user_type"), &json!("cannot be changed here; an admin calls PATCH /api/users/{user_id}"))
        );
    }
    let refused = patch_me(&users, 3, &json!({"full_name": "T", "password": PASSWORD}));
    assert_eq!(refused.problem(), "validation_failed");
    assert_eq!(refused.json()["errors"][0]["detail"], "cannot be changed here; call POST /api/me/password");
    assert_eq!(patch_me(&users, 3, &json!({"username": null})).json()["errors"][0]["pointer"], "/username");
    assert!(users.get(3).json()["full_name"].is_null(), "nothing else was changed either");
    assert_eq!(users.get(3).header("etag"), Some("\"v1\""));
}

#[test]
fn the_rules_of_names_and_conditions_hold_for_oneself_too() {
    let users = Users::demo();
    for (body, status, code) in [
        (json!({"username": "ＡDMIN "}), 409, "username_taken"),
        (json!({"username": " "}), 422, "validation_failed"),
        (json!({"email": "nowhere"}), 422, "validation_failed"),
    ] {
        let refused = patch_me(&users, 3, &body);
        assert_eq!((refused.status, refused.problem().as_str()), (status, code), "{body}");
    }
    users.patch(2, &json!({"email": "demo@example.com"}));
    assert_eq!(patch_me(&users, 3, &json!({"email": "Demo@example.com"})).problem(), "email_taken");
    let change = |condition: &str| {
        let call = call("PATCH", "/api/me").header("If-Match", condition).json(&json!({"full_name": condition}));
        users.send(&as_user(3, call))
    };
    assert_eq!(change("\"v1\"").header("etag"), Some("\"v2\""));
    assert_eq!(change("\"v1\"").problem(), "precondition_failed");
    assert_eq!(change("v2").problem(), "bad_request");
    assert_eq!(users.send(&as_user(3, get("/api/me?limit=1"))).problem(), "bad_request");
}

#[test]
fn a_protected_user_may_still_change_its_own_profile() {
    let users = Users::demo();
    for user in [ADMIN, DEMO] {
        let change = call("PATCH", "/api/me").json(&json!({"full_name": "Protected"}));
        let changed = users.send(&GATEWAY.signed(change, Some(user)));
        assert_eq!((changed.status, &changed.json()["user_type"]), (200, &json!(user.user_type)));
    }
}

#[test]
fn the_token_of_a_deleted_user_is_refused() {
    let users = Users::demo();
    let ann = users.create("ann");
    assert_eq!(users.delete(ann).status, 204);
    for call in [get("/api/me"), call("PATCH", "/api/me").json(&json!({"full_name": "A"}))] {
        let refused = users.send(&as_user(ann, call));
        assert_eq!((refused.status, refused.problem().as_str()), (401, "token_invalid"));
        assert_eq!(refused.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    }
}
