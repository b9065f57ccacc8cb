//! The list of users, page by page.

use chassis::testing::{Answer, call, get, post};
use serde_json::json;

use crate::fixture::{Folder, PASSWORD, Users, demo, new_user};

fn ids(answer: &Answer) -> Vec<i64> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().as_array().unwrap().iter().map(|user| user["id"].as_i64().unwrap()).collect()
}

/// The target of the link to the next page, as a client follows it.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link")?;
    let (target, relation) = link.split_once(';').unwrap();
    assert_eq!(relation.trim(), "rel=\"next\"");
    Some(target.trim_start_matches('<').trim_end_matches('>').to_owned())
}

#[test]
fn the_list_is_a_bare_array_by_id() {
    let users = Users::demo();
    users.create("ann");
    let all = users.admin(get("/api/users"));
    assert_eq!((ids(&all), next(&all)), (vec![1, 2, 3, 4], None));
    assert_eq!(all.json()[0], users.get(1).json());
}

#[test]
fn a_link_leads_to_the_next_page_and_only_where_there_is_one() {
    let users = Users::demo();
    let first = users.admin(get("/api/users?limit=2"));
    assert_eq!(ids(&first), [1, 2]);
    let target = next(&first).unwrap();
    assert!(target.starts_with("/api/users?limit=2&cursor="), "{target}");
    let second = users.admin(get(&target));
    assert_eq!((ids(&second), next(&second)), (vec![3], None));
    let exact = users.admin(get("/api/users?limit=3"));
    assert_eq!((ids(&exact), next(&exact)), (vec![1, 2, 3], None));
}

#[test]
fn pages_neither_repeat_nor_skip_while_users_come_and_go() {
    let users = Users::demo();
    for name in ["u4", "u5", "u6", "u7"] {
        users.create(name);
    }
    let first = users.admin(get("/api/users?limit=4"));
    // The user that the cursor stands on goes, one before it goes, and one comes at the end.
    assert_eq!((users.delete(4).status, users.delete(3).status), (204, 204));
    users.create("u8");
    let second = users.admin(get(&next(&first).unwrap()));
    assert_eq!((ids(&first), ids(&second)), (vec![1, 2, 3, 4], vec![5, 6, 7, 8]));
}

#[test]
fn a_cursor_is_good_after_a_restart_but_not_after_meddling() {
    let users = Users::demo();
    let target = next(&users.admin(get("/api/users?limit=1"))).unwrap();
    let users = users.restart(demo);
    assert_eq!(ids(&users.admin(get(&target))), [2]);
    let (start, cursor) = target.split_once("cursor=").unwrap();
    let mut changed = cursor.to_owned();
    let last = if changed.pop() == Some('A') { 'B' } else { 'A' };
    changed.push(last);
    for bad in [changed.as_str(), "", "2", "Mg", &cursor[1..], &format!("{cursor}{cursor}")] {
        let refused = users.admin(get(&format!("{start}cursor={bad}")));
        assert_eq!((refused.status, refused.problem().as_str()), (400, "bad_request"), "{bad}");
    }
}

#[test]
fn a_bad_limit_is_refused() {
    let users = Users::demo();
    for bad in ["0", "501", "-1", "ten", "", "1&limit=2"] {
        let refused = users.admin(get(&format!("/api/users?limit={bad}")));
        assert_eq!((refused.status, refused.problem().as_str()), (400, "bad_request"), "{bad}");
    }
    assert_eq!(users.admin(get("/api/users?limit=500")).status, 200);
}

#[test]
fn an_unknown_parameter_is_refused_and_named() {
    let users = Users::demo();
    for (query, named) in
        [("name=ann", "`name`"), ("limit=2&status=a&sort=id", "`sort`, `status`"), ("user_id=1", "`user_id`")]
    {
        let refused = users.admin(get(&format!("/api/users?{query}")));
        assert_eq!((refused.status, refused.problem().as_str()), (400, "bad_request"), "{query}");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(named) && detail.contains("there are `limit`, `cursor`"), "{detail}");
    }
    let calls = [
        get("/api/users/1?q=1"),
        call("DELETE", "/api/users/3?force=true"),
        call("PATCH", "/api/users/3?dry_run=true").json(&json!({"full_name": "Tess"})),
        post("/api/users?notify=false", &new_user("ann", "default")),
        post("/api/login?next=%2F", &json!({"username": "admin", "password": "a"})),
    ];
    for call in calls {
        let refused = users.admin(call);
        assert_eq!((refused.status, refused.problem().as_str()), (400, "bad_request"), "{}", refused.text());
    }
    assert_eq!(users.get(3).json()["full_name"], serde_json::Value::Null, "nothing was changed");
}

#[test]
fn a_search_finds_parts_of_names_and_addresses_in_any_case() {
    let users = Users::demo();
    let ann = json!({"username": "ann", "password": PASSWORD, "user_type": "admin", "email": "A.Lee@example.org"});
    assert_eq!(users.admin(post("/api/users", &ann)).status, 201);
    users.patch(3, &json!({"full_name": "Stra\u{df}e"}));
    for (query, expected) in [
        ("q=NN", vec![4]),
        ("q=lee%40EXAMPLE", vec![4]),
        ("q=STRASSE", vec![3]),
        ("q=%20ann%20", vec![4]),
        ("q=nobody", vec![]),
        ("user_type=admin", vec![1, 4]),
        ("user_type=default", vec![2, 3]),
        ("user_type=default&q=ann", vec![]),
        ("user_type=admin&q=ann", vec![4]),
    ] {
        assert_eq!(ids(&users.admin(get(&format!("/api/users?{query}")))), expected, "{query}");
    }
    for bad in ["q=", "q=%20", "user_type=root", "user_type=", "q=a&q=b", &format!("q={}", "a".repeat(201))] {
        let refused = users.admin(get(&format!("/api/users?{bad}")));
        assert_eq!((refused.status, refused.problem().as_str()), (400, "bad_request"), "{bad}");
    }
}

#[test]
fn the_total_counts_all_pages_and_the_link_keeps_the_filter() {
    let users = Users::demo();
    for (name, user_type) in [("ann", "admin"), ("qxanton", "default"), ("joqxanna", "default")] {
        users.create_as(name, user_type);
    }
    let total = |target: &str| users.admin(get(target)).header("x-total-count").map(str::to_owned);
    assert_eq!(total("/api/users?limit=1").as_deref(), Some("6"));
    assert_eq!(total("/api/users?limit=1&user_type=admin").as_deref(), Some("2"));
    assert_eq!(total("/api/users?user_type=default").as_deref(), Some("4"));
    assert_eq!(total("/api/users?q=an"), None);
    let first = users.admin(get("/api/users?q=QXAN&user_type=default&limit=1"));
    let target = next(&first).unwrap();
    let second = users.admin(get(&target));
    assert_eq!((ids(&first), ids(&second), next(&second)), (vec![5], vec![6], None));
    let refused = users.admin(get(&target.replace("q=QXAN", "q=qx")));
    assert_eq!((refused.status, refused.problem().as_str()), (400, "bad_request"), "a cursor of another list");
    assert_eq!(ids(&users.admin(get(&target.replace("q=QXAN", "q=qxan")))), [6], "the same search");
}

#[test]
fn a_search_goes_through_more_users_than_one_step_looks_at() {
    let hash = "$2b$10$16kNu5IW80k1Tw7xz2H3iOCsz0.oMZ7q5OSGa/OIfOae0WGFe8aI2";
    let user = |id: i64| json!({"id": id, "username": format!("user-{id}"), "user_type": if id == 1 { "admin" } else { "default" }, "hashed_password": hash});
    let file: Vec<_> = (1..=25_000).map(user).collect();
    let users = Users::start(Folder::with_users(&json!(file).to_string()), demo).unwrap();
    let ends = |ending: &str| ids(&users.admin(get(&format!("/api/users?q=user-{ending}"))));
    assert_eq!(ends("25000"), [25_000]);
    assert_eq!(ends("9999"), [9_999]);
    assert_eq!(ends("30000"), [0; 0]);
    let first = users.admin(get("/api/users?q=00&limit=200"));
    let (mut found, mut target) = (ids(&first), next(&first));
    while let Some(page) = target.map(|target| users.admin(get(&target))) {
        found.extend(ids(&page));
        target = next(&page);
    }
    let expected: Vec<i64> = (1..=25_000).filter(|id| id.to_string().contains("00")).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_change_is_seen_by_the_next_reader() {
    let users = Users::demo();
    users.patch(3, &json!({"full_name": "Tess"}));
    assert_eq!(users.admin(get("/api/users")).json()[2]["full_name"], "Tess");
}
