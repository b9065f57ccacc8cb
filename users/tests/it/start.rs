//! Starting: on an empty folder, on the file of the Python system, on files that cannot be used.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use chassis::testing::{Process, call, get};
use serde_json::{Value, json};

use crate::{
    fixture::{Folder, PASSWORD, USER_FIELDS, Users, as_admin, demo, members, production, serve},
    process::{command, create, full_name, refused, rename},
};

/// As the Python system wrote it; the password of both is `secret`, at cost 10.
fn python_file() -> String {
    let hash = |_| bcrypt::hash("secret", 10).unwrap();
    let [admin, bob] = [1, 2].map(hash);
    format!(
        r#"[
    {{
        "id": 1,
        "username": "admin",
        "email": "admin@example.com",
        "full_name": "Ada Admin",
        "user_type": "admin",
        "hashed_password": "{admin}",
        "created_by": 1
    }},
    {{
        "id": 7,
        "username": "bob",
        "email": null,
        "full_name": null,
        "user_type": "default",
        "hashed_password": "{bob}",
        "created_by": 1,
        "department": "sales"
    }}
]
"#
    )
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_empty_folder_gets_the_demo_users_for_good() {
    let users = Users::demo();
    let file: Value = serde_json::from_str(&users.folder.read("users.json")).unwrap();
    assert_eq!(file.as_array().unwrap().len(), 3);
    assert_eq!(users.folder.read("users.meta.json"), r#"{"format":3,"next_id":4}"#);
    assert_eq!(users.delete(3).status, 204);
    let users = users.restart(demo);
    assert_eq!(users.get(3).status, 404, "a demo user that was deleted does not come back");
}

#[test]
fn only_the_owner_may_read_the_folder() {
    let users = Users::demo();
    users.create("ann");
    let data = users.folder.data();
    assert_eq!(mode(&data), 0o700);
    assert_eq!(
        users.folder.names(),
        ["audit", "control.sock", "lock", "sessions.json", "users.json", "users.log", "users.meta.json"]
    );
    for name in users.folder.names() {
        assert_eq!(mode(&data.join(&name)), if name == "audit" { 0o700 } else { 0o600 }, "{name}");
    }
    for file in fs::read_dir(data.join("audit")).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    let folder = Folder::with_users(&python_file());
    fs::set_permissions(folder.data(), fs::Permissions::from_mode(0o755)).unwrap();
    let users = Users::start(folder, demo).unwrap();
    assert_eq!((mode(&users.folder.data()), mode(&users.folder.data().join("users.json"))), (0o700, 0o600));
}

#[test]
fn production_starts_with_one_admin_and_no_demo_user() {
    let users = Users::start(Folder::new(), production).unwrap();
    assert_eq!(users.login("admin", PASSWORD).json()["user_type"], "admin");
    assert_eq!(users.login("admin", "a").status, 401);
    assert_eq!(users.login("demo", "b").status, 401);
    assert_eq!(users.admin(get("/api/users")).json().as_array().unwrap().len(), 1);
    let other = chassis::config::Secret::new("another long sentence".to_owned());
    let users = users.restart(|path| users::Settings { admin_password: Some(other), ..production(path) });
    assert_eq!(users.login("admin", PASSWORD).status, 200, "the setting is for the first start only");
}

#[test]
fn without_a_password_for_the_admin_one_is_made_and_shown_once() {
    let folder = Folder::new();
    let process = Process::serve(command(&folder.data()).env("USERS_DEMO", ""));
    let shown = process.said("may sign in with the password")["message"].clone();
    let password =
        shown.as_str().unwrap().split("with the password ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert!(password.len() >= 26, "{password}");
    process.terminate();
    assert!(!folder.read("users.json").contains(&password));
    let users = Users::start(folder, production).unwrap();
    assert_eq!(users.login("admin", &password).status, 200);
    let folder = users.stop();
    let process = Process::serve(command(&folder.data()).env("USERS_DEMO", ""));
    assert!(!process.log_text().contains("password"), "{}", process.log_text());
}

#[test]
fn a_file_of_the_python_system_is_taken_over() {
    let users = Users::start(Folder::with_users(&python_file()), production).unwrap();
    assert_eq!(users.login("admin", "secret").status, 200);
    let mut bob = users.login("bob", "secret").json();
    bob.as_object_mut().unwrap().remove("session");
    assert_eq!(members(&bob), USER_FIELDS);
    assert_eq!((&bob["id"], &bob["created_at"], &bob["updated_at"]), (&json!(7), &Value::Null, &Value::Null));
    assert_eq!(users.get(7).header("etag"), Some("\"v1\""));
    assert_eq!(users.create("ann"), 8, "ids go on after the highest");
    users.patch(7, &json!({"full_name": "Bob"}));
    let folder = users.stop();
    let file: Value = serde_json::from_str(&folder.read("users.json")).unwrap();
    assert_eq!(file[1]["department"], "sales", "what this program does not know it keeps");
    let users = Users::start(folder, production).unwrap();
    assert_eq!(users.login("bob", "secret").json()["full_name"], "Bob");
}

#[test]
fn a_file_that_cannot_be_used_is_refused_with_every_reason_and_left_as_it_is() {
    let hash = "$2b$12$16kNu5IW80k1Tw7xz2H3iOCsz0.oMZ7q5OSGa/OIfOae0WGFe8aI2";
    let dear = hash.replace("$12$", "$16$");
    let user = |id: i64, name: &str, email: Value, user_type: &str, hash: &str| json!({"id": id, "username": name, "email": email, "user_type": user_type, "hashed_password": hash});
    let file = json!([
        user(1, "admin", json!("a@example.com"), "admin", hash),
        user(2, "ＡＤＭＩＮ ", json!("A@EXAMPLE.com"), "default", hash),
        user(3, "cid", Value::Null, "root", hash),
        user(4, "dan", Value::Null, "default", "plain text"),
        user(5, "eve", Value::Null, "default", &dear),
        user(1, "fay", Value::Null, "default", hash),
    ])
    .to_string();
    let folder = Folder::with_users(&file);
    let (code, said) = refused(&mut command(&folder.data()));
    assert_eq!(code, 1, "{said}");
    let path = folder.data().join("users.json");
    for reason in [
        "users 1 and 2 have usernames that count as the same",
        "users 1 and 2 have the same e-mail address",
        "(id 3): user_type must be `admin` or `default`",
        "(id 4): hashed_password is no bcrypt hash",
        "(id 5): hashed_password has the bcrypt cost 16",
        "two users have the id 1",
    ] {
        let line = said.lines().find(|line| line.contains(reason)).unwrap_or_else(|| panic!("{reason}: {said}"));
        assert!(line.contains(path.to_str().unwrap()), "{line}");
    }
    assert!(!said.contains(&hash[8..]) && !said.contains("plain text"), "{said}");
    assert_eq!(folder.read("users.json"), file);
    assert_eq!(folder.names(), ["lock", "users.json"]);
}

#[test]
fn a_broken_file_is_refused_with_the_place_and_left_as_it_is() {
    // No user could have this id, nor the one after it.
    const MAX_NEXT_ID: &str = r#"{"format": 1, "next_id": 9223372036854775807}"#;
    let whole = python_file();
    let truncated = &whole[..whole.len() / 2];
    let with_mark = format!("\u{feff}{whole}");
    for (broken, place) in [
        (truncated, "at line 1"),
        ("", "at line 1 column 0"),
        ("{}", "an array of users"),
        ("[1,", "at line 1 column 3"),
        (with_mark.as_str(), "a byte order mark (BOM); save it as UTF-8 without one"),
    ] {
        let folder = Folder::with_users(broken);
        fs::write(folder.data().join("users.json.tmp"), "left over").unwrap();
        let (code, said) = refused(&mut command(&folder.data()));
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("users.json: is broken") && said.contains(place), "{said}");
        assert_eq!(folder.read("users.json"), broken);
        assert_eq!(folder.read("users.json.tmp"), "left over");
    }
    for sessions in ["", "[]", r#"{"sessions":[]}"#, r#"{"sessions":[{"id":"x"}],"ended":[]}"#] {
        let folder = Folder::with_users(&whole);
        fs::write(folder.data().join("sessions.json"), sessions).unwrap();
        let (code, said) = refused(&mut command(&folder.data()));
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("sessions.json: is broken: ") && said.contains("line 1 column"), "{said}");
        assert_eq!((folder.read("sessions.json").as_str(), folder.read("users.json")), (sessions, whole.clone()));
    }
    for meta in ["", "{", r#"{"format": 4, "next_id": 9}"#, MAX_NEXT_ID, r#"{"format": 1, "next_id": -1}"#] {
        let folder = Folder::with_users(&whole);
        fs::write(folder.data().join("users.meta.json"), meta).unwrap();
        let (code, said) = refused(&mut command(&folder.data()));
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("users.meta.json: "), "{said}");
        assert_eq!((folder.read("users.meta.json").as_str(), folder.read("users.json")), (meta, whole.clone()));
    }
}

/// A folder as a kill leaves it: two changes of user 3 are in the log only.
fn killed_with_a_log() -> Folder {
    let folder = Folder::new();
    let process = Process::serve(&mut command(&folder.data()));
    for name in ["first", "second"] {
        assert_eq!(rename(&process, 3, name).status, 200);
    }
    process.kill();
    assert_eq!(folder.read("users.log").lines().count(), 2);
    folder
}

#[test]
fn a_start_moves_the_log_into_the_file_of_users() {
    let folder = killed_with_a_log();
    let process = Process::serve(&mut command(&folder.data()));
    assert!(folder.read("users.json").contains("\"second\"") && folder.read("users.log").is_empty());
    assert_eq!(full_name(&process, 3), "second");
}

#[test]
fn a_log_whose_end_a_crash_cut_short_is_read_up_to_there_and_this_is_logged() {
    let folder = killed_with_a_log();
    let log = folder.read("users.log");
    fs::write(folder.data().join("users.log"), &log[..log.len() - 1]).unwrap();
    let process = Process::serve(&mut command(&folder.data()));
    assert_eq!(full_name(&process, 3), "first");
    assert!(process.log_text().contains("a write that a crash interrupted"), "{}", process.log_text());
}

#[test]
fn a_log_that_is_damaged_before_its_end_is_refused_with_the_place_and_left_as_it_is() {
    let folder = killed_with_a_log();
    let whole = folder.read("users.log");
    let second = whole.find('\n').unwrap() + 1;
    for (damaged, at) in [
        (whole.replace("first", "worst"), 0),
        (whole.replace("second", "record"), second),
        (whole[second..].to_owned() + &whole[..second], whole.len() - second),
    ] {
        fs::write(folder.data().join("users.log"), &damaged).unwrap();
        let before = folder.read("users.json");
        let (code, said) = refused(&mut command(&folder.data()));
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(&format!("users.log: is damaged at byte {at}: ")), "{said}");
        assert!(said.contains("`users repair`"), "it says how to go on: {said}");
        assert_eq!((folder.read("users.log"), folder.read("users.json")), (damaged, before));
    }
}

#[test]
fn the_id_of_a_user_that_only_the_log_remembers_is_not_given_again() {
    let folder = Folder::new();
    let process = Process::serve(&mut command(&folder.data()));
    let id = create(&process, "ann")["id"].clone();
    let deleted = as_admin(call("DELETE", &format!("/api/users/{id}"))).send(process.addr());
    assert_eq!(deleted.status, 204);
    process.kill();
    let process = Process::serve(&mut command(&folder.data()));
    assert!(create(&process, "bob")["id"].as_i64() > id.as_i64());
}

#[test]
fn an_id_that_only_the_meta_file_remembers_is_not_given_again() {
    for format in 1..=3 {
        let folder = Folder::with_users(&python_file());
        let meta = format!("{{\"format\":{format},\"next_id\":50}}");
        fs::write(folder.data().join("users.meta.json"), meta).unwrap();
        let users = Users::start(folder, demo).unwrap();
        assert_eq!(users.create("ann"), 50, "format {format}");
    }
}

#[test]
fn the_highest_id_of_an_imported_file_is_not_given_again() {
    let users = Users::start(Folder::with_users(&python_file()), production).unwrap();
    assert_eq!(users.delete(7).status, 204);
    let users = users.restart(production);
    assert_eq!(users.create("ann"), 8);
}

#[test]
fn what_a_crash_left_over_is_removed() {
    let file = python_file();
    let folder = Folder::with_users(&file);
    for name in ["users.json.tmp", "users.log.tmp", "users.meta.json.tmp"] {
        fs::write(folder.data().join(name), "[{\"id\": 1, ").unwrap();
    }
    fs::write(folder.data().join("notes.tmp"), "of the operator").unwrap();
    let process = Process::serve(&mut command(&folder.data()));
    let log = process.log_text();
    assert_eq!(log.matches("removed a file that a crash left over").count(), 3, "{log}");
    assert_eq!(
        folder.names(),
        ["audit", "control.sock", "lock", "notes.tmp", "users.json", "users.log", "users.meta.json"]
    );
    assert_eq!(folder.read("users.json"), file, "what was not changed is not rewritten");
}

#[test]
fn a_second_process_is_refused_and_told_which_process_uses_the_folder() {
    let folder = Folder::new();
    let process = Process::serve(&mut command(&folder.data()));
    let before = folder.read("users.json");
    let (code, said) = refused(&mut command(&folder.data()));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&format!("in use by process {}", process.id())), "{said}");
    assert_eq!(folder.read("users.json"), before);
    process.kill();
    Process::serve(&mut command(&folder.data()));
}

#[test]
fn a_folder_that_cannot_be_used_is_one_readable_message() {
    let folder = Folder::with_users("[]");
    let not_a_folder = folder.data().join("users.json");
    let (code, said) = refused(&mut command(&not_a_folder));
    assert_eq!((code, said.lines().count()), (1, 1), "{said}");
    assert!(said.contains("data folder") && said.contains(not_a_folder.to_str().unwrap()), "{said}");
    fs::remove_file(folder.data().join("users.json")).unwrap();
    fs::create_dir(folder.data().join("users.json")).unwrap();
    let (code, said) = refused(&mut command(&folder.data()));
    assert_eq!((code, said.lines().count()), (1, 1), "{said}");
    assert!(said.lines().any(|line| line.contains("cannot read") && line.contains("users.json")), "{said}");
}

#[test]
fn every_mistake_of_the_configuration_is_reported_and_exits_with_64() {
    let folder = Folder::new();
    let mut wrong = command(&folder.data());
    wrong.env("INTERNAL_KEY", "short").env("USERS_LISTEN", "nowhere").env("USERS_BCRYPT_COST", "99");
    let (code, said) = refused(&mut wrong);
    assert_eq!(code, 64, "{said}");
    for name in ["INTERNAL_KEY", "USERS_LISTEN", "USERS_BCRYPT_COST"] {
        assert!(said.contains(name), "{name}: {said}");
    }
    assert!(!folder.data().exists());
    let (code, said) = refused(command(&folder.data()).env("USERS_DEMO", "").env("USERS_ADMIN_PASSWORD", "short"));
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("USERS_ADMIN_PASSWORD: must have at least 15 characters"), "{said}");
    assert_eq!(refused(command(&folder.data()).arg("--nonsense")).0, 64);
}

#[test]
fn a_port_in_use_is_reported_before_anything_is_written() {
    let users = Users::demo();
    let folder = Folder::new();
    let (code, said) = refused(command(&folder.data()).env("USERS_LISTEN", users.addr().to_string()));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("USERS_LISTEN"), "{said}");
    assert!(!folder.data().exists());
}

#[test]
fn a_folder_that_was_removed_or_replaced_is_not_written_to() {
    let users = Users::demo();
    let (data, moved) = (users.folder.data(), users.folder.data().with_extension("moved"));
    let assert_unusable = || {
        let ready = users.send(&get("/health/ready"));
        assert_eq!((ready.status, ready.problem().as_str()), (503, "not_ready"));
        assert_eq!(users.patch(3, &json!({"full_name": "lost"})).problem(), "internal");
        assert_eq!(users.get(3).json()["full_name"], Value::Null, "it was undone");
    };
    fs::rename(&data, &moved).unwrap();
    assert_unusable();
    fs::create_dir(&data).unwrap();
    assert_unusable();
    assert!(users.folder.names().is_empty(), "{:?}", users.folder.names());
    fs::remove_dir(&data).unwrap();
    fs::rename(&moved, &data).unwrap();
    assert_eq!(users.send(&get("/health/ready")).status, 200);
    assert_eq!(users.patch(3, &json!({"full_name": "Tess"})).status, 200);
}

#[test]
fn a_stopped_service_releases_its_folder() {
    let folder = Users::demo().stop();
    let running = serve(demo(&folder.data())).unwrap();
    let refused = serve(demo(&folder.data())).map(drop).unwrap_err().to_string();
    assert!(refused.contains("in use by process"), "{refused}");
    running.stop().unwrap();
    serve(demo(&folder.data())).unwrap();
}

#[test]
fn the_health_check_of_the_image_asks_the_running_service() {
    let folder = Folder::new();
    let running = Process::serve(&mut command(&folder.data()));
    let check = |addr: &str| refused(command(&folder.data()).env("USERS_LISTEN", addr).arg("--healthcheck")).0;
    assert_eq!(check(&running.addr().to_string()), 0);
    // Nobody listens on port 1.
    assert_eq!(check("127.0.0.1:1"), 1);
}
