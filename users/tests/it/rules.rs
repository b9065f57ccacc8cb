//! What is refused, also when two ask at once: names, the last admin, protected users.

use std::{collections::BTreeSet, thread};

use chassis::{
    identity::UserId,
    testing::{call, post},
};
use serde_json::json;

use crate::fixture::{Folder, PASSWORD, Users, as_admin, demo, new_user, production};

#[test]
fn two_spellings_of_one_name_are_one_name() {
    let users = Users::demo();
    for name in ["admin", "Admin", "ADMIN", "ａdmin", "admin ", " admin"] {
        let refused = users.admin(post("/api/users", &new_user(name, "default")));
        assert_eq!((refused.status, refused.problem().as_str()), (409, "username_taken"), "{name}");
        assert_eq!(users.patch(3, &json!({"username": name})).problem(), "username_taken", "{name}");
        assert_eq!(users.put(3, &json!({"username": name})).problem(), "username_taken", "{name}");
    }
    assert_eq!(
        users.patch(3, &json!({"username": "TEST"})).status,
        200,
        "a user may change the spelling of its own name"
    );
}

#[test]
fn a_username_shows_what_it_is() {
    let users = Users::demo();
    for name in ["ad\u{2028}min", "\u{2800}", "admin\u{2800}", "\u{200b}admin"] {
        let refused = users.admin(post("/api/users", &new_user(name, "default")));
        assert_eq!((refused.status, refused.problem().as_str()), (422, "validation_failed"), "{name:?}");
        assert!(refused.text().contains("invisible characters"), "{}", refused.text());
    }
}

#[test]
fn two_users_may_lack_an_address_but_not_share_one() {
    let users = Users::demo();
    let (ann, bob) = (users.create("ann"), users.create("bob"));
    assert_eq!(users.patch(ann, &json!({"email": "Ann@Example.com"})).status, 200);
    let refused = users.patch(bob, &json!({"email": "ann@example.COM"}));
    assert_eq!((refused.status, refused.problem().as_str()), (409, "email_taken"));
    assert_eq!(users.patch(ann, &json!({"email": null})).status, 200);
    assert_eq!(users.patch(bob, &json!({"email": "ann@example.com"})).status, 200, "the address is free again");
    let body = json!({"username": "cid", "password": PASSWORD, "user_type": "default", "email": "ANN@example.com"});
    assert_eq!(users.admin(post("/api/users", &body)).problem(), "email_taken");
}

#[test]
fn one_name_asked_for_by_many_at_once_is_given_once() {
    let users = Users::demo();
    let addr = users.addr();
    let create = |name: &str| as_admin(post("/api/users", &new_user(name, "default")));
    let names = ["ann", "Ann", "ANN", "ａnn", "ann "];
    let calls: Vec<_> = names.iter().cycle().take(20).map(|name| create(name)).collect();
    let asked: Vec<_> = calls.into_iter().map(|call| thread::spawn(move || call.send(addr).status)).collect();
    let mut statuses: Vec<u16> = asked.into_iter().map(|asked| asked.join().unwrap()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses[0], 201);
    assert!(statuses[1..].iter().all(|status| *status == 409), "{statuses:?}");
}

#[test]
fn a_protected_user_is_neither_deleted_nor_demoted() {
    let users = Users::demo();
    users.create_as("root", "admin");
    for refused in [
        users.delete(1),
        users.delete(2),
        users.patch(1, &json!({"user_type": "default"})),
        users.put(1, &json!({"user_type": "default"})),
    ] {
        assert_eq!((refused.status, refused.problem().as_str()), (403, "protected_user"));
    }
    assert_eq!(users.patch(1, &json!({"full_name": "Ada", "user_type": "admin"})).status, 200);
    assert_eq!(users.patch(2, &json!({"user_type": "admin"})).status, 200, "a protected user may rise");
}

#[test]
fn the_last_admin_remains_in_every_mode() {
    let unprotected = |path: &std::path::Path| users::Settings { protected_ids: BTreeSet::new(), ..demo(path) };
    for users in [Users::start(Folder::new(), production), Users::start(Folder::new(), unprotected)] {
        let users = users.unwrap();
        for refused in [
            users.delete(1),
            users.patch(1, &json!({"user_type": "default"})),
            users.put(1, &json!({"user_type": "default"})),
        ] {
            assert_eq!((refused.status, refused.problem().as_str()), (403, "last_admin"));
        }
        let root = users.create_as("root", "admin");
        assert_eq!(users.delete(1).status, 204);
        assert_eq!(users.delete(root).problem(), "last_admin");
    }
}

#[test]
fn two_admins_who_demote_each_other_at_once_leave_one() {
    let unprotected = |path: &std::path::Path| users::Settings { protected_ids: BTreeSet::new(), ..demo(path) };
    let users = Users::start(Folder::new(), unprotected).unwrap();
    let addr = users.addr();
    for _ in 0..10 {
        users.patch(1, &json!({"user_type": "admin"}));
        users.patch(3, &json!({"user_type": "admin"}));
        let demote = |id| {
            let call = call("PATCH", &format!("/api/users/{id}")).json(&json!({"user_type": "default"}));
            let call = as_admin(call);
            thread::spawn(move || call.send(addr).status)
        };
        let demoted = [demote(1), demote(3)];
        let mut statuses = demoted.map(|demoted| demoted.join().unwrap());
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403]);
    }
}

#[test]
fn protection_is_a_setting() {
    let protected = |path: &std::path::Path| users::Settings { protected_ids: [UserId(3)].into(), ..demo(path) };
    let users = Users::start(Folder::new(), protected).unwrap();
    assert_eq!(users.delete(3).problem(), "protected_user");
    assert_eq!(users.delete(2).status, 204);
}
