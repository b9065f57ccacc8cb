//! What users see and change of themselves, through the gateway.

use chassis::testing::{call, get, post};
use serde_json::json;

use crate::fixture::{PASSWORD, Stack};

#[test]
fn everybody_who_is_signed_in_reads_and_changes_their_own_account() {
    let (stack, _folder) = Stack::new();
    let admin = stack.token("admin");
    let location = stack.create(&admin, "eve").header("location").unwrap().to_owned();
    let eve = stack.token("eve");

    let read = stack.send(&get("/api/v1/me").bearer(&eve));
    assert_eq!((read.status, read.json()), (200, stack.send(&get(&location).bearer(&admin)).json()));
    let etag = read.header("etag").unwrap();
    let patch = call("PATCH", "/api/me").bearer(&eve).header("If-Match", etag).json(&json!({"full_name": "Eve"}));
    let changed = stack.send(&patch);
    assert_eq!((changed.status, &changed.json()["full_name"]), (200, &json!("Eve")), "{}", changed.text());
    assert_eq!(stack.send(&patch).problem(), "precondition_failed");
    let promoted = call("PATCH", "/api/me").bearer(&eve).json(&json!({"user_type": "admin"}));
    assert_eq!(stack.send(&promoted).problem(), "validation_failed");

    assert_eq!(stack.send(&get("/api/me")).problem(), "token_missing");
    assert_eq!(stack.send(&call("DELETE", &location).bearer(&admin)).status, 204);
    let refused = stack.send(&get("/api/me").bearer(&eve));
    // The service knows at once, and the gateway as soon as it has heard of it.
    let code = refused.problem();
    assert!(refused.status == 401 && matches!(code.as_str(), "token_invalid" | "session_ended"), "{code}");
    assert!(refused.header("www-authenticate").unwrap().contains("invalid_token"));
}

#[test]
fn a_password_is_changed_by_its_owner_and_set_by_an_admin() {
    let (stack, _folder) = Stack::new();
    let admin = stack.token("admin");
    let location = stack.create(&admin, "eve").header("location").unwrap().to_owned();
    let eve = stack.token("eve");
    let own = |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        stack.send(&post("/api/me/password", &body).bearer(&eve))
    };
    let wrong = own("not it", "a password of her own");
    assert_eq!((wrong.status, &wrong.json()["errors"][0]["pointer"]), (422, &json!("/current_password")));
    assert_eq!(own(PASSWORD, "a password of her own").status, 204);
    assert_eq!(stack.login("eve", PASSWORD).problem(), "invalid_credentials");
    assert_eq!(stack.login("eve", "a password of her own").status, 201);

    let set = |token: &str, path: &str| {
        stack.send(&post(path, &json!({"new_password": "a password of the admin's"})).bearer(token))
    };
    let path = format!("{location}/password");
    assert_eq!(set(&eve, &path).problem(), "insufficient_scope");
    assert_eq!(set(&admin, "/api/users/1/password").problem(), "current_password_required");
    assert_eq!(set(&admin, &path).status, 204);
    assert_eq!(stack.login("eve", "a password of her own").problem(), "invalid_credentials");
    assert_eq!(stack.login("eve", "a password of the admin's").status, 201);
}

#[test]
fn changes_of_a_password_are_limited_by_user() {
    let (stack, _folder) = Stack::new();
    let (demo, test) = (stack.token("demo"), stack.token("test"));
    let change = |token: &str| stack.send(&post("/api/me/password", &json!({})).bearer(token)).problem();
    for _ in 0..10 {
        assert_eq!(change(&demo), "validation_failed");
    }
    assert_eq!(change(&demo), "rate_limited");
    assert_eq!(change(&test), "validation_failed");
}
