//! A user who cannot be created costs no password hash: bcrypt would occupy a core for a quarter of a second.

use chassis::testing::post;
use serde_json::json;

use crate::fixture::{PASSWORD, Users, new_user};

#[test]
fn what_can_be_refused_is_refused_before_the_password_is_hashed() {
    let users = Users::demo();
    let create = |username: &str, email: &str, user_type: &str| {
        let body = json!({"username": username, "password": PASSWORD, "email": email, "user_type": user_type});
        users.admin(post("/api/users", &body))
    };
    assert_eq!(create("ann", "ann@example.com", "default").status, 201);
    let rounds = users.metric("users_bcrypt_rounds_total");
    for (username, email, user_type, status, code) in [
        ("ann", "other@example.com", "default", 409, "username_taken"),
        (" ＡNN ", "other@example.com", "default", 409, "username_taken"),
        ("admin", "other@example.com", "default", 409, "username_taken"),
        ("bob", "Ann@Example.com", "default", 409, "email_taken"),
        ("", "bob@example.com", "default", 422, "validation_failed"),
        ("two\nlines", "bob@example.com", "default", 422, "validation_failed"),
        ("bob", "nowhere", "default", 422, "validation_failed"),
        ("bob", "bob@example.com", "root", 422, "validation_failed"),
    ] {
        let refused = create(username, email, user_type);
        assert_eq!((refused.status, refused.problem().as_str()), (status, code), "{username:?} {email}");
        assert_eq!(users.metric("users_bcrypt_rounds_total"), rounds, "{username:?} {email}: no hash was computed");
    }
    assert_eq!(users.admin(post("/api/users", &new_user("bob", "default"))).status, 201, "the name was not reserved");
    assert!(users.metric("users_bcrypt_rounds_total") > rounds);
}
