//! `users repair`: what is kept of damaged files, and that nothing is changed unasked.

use std::{collections::BTreeMap, fs, path::Path};

use chassis::testing::{Process, call, get};
use serde_json::{Value, json};

use crate::{
    fixture::{Folder, Users, as_admin, demo},
    process::{command, create, refused, rename},
};

/// Runs a command for the files: its exit code and what it said.
fn users(folder: &Folder, arguments: &[&str]) -> (i32, String) {
    refused(command(&folder.data()).env_remove("INTERNAL_KEY").args(arguments))
}

/// The files by their names, without the lock.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file() && !path.ends_with("lock"));
    files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())).collect()
}

/// A folder as a kill leaves it. The log has the users 4 (`ann`) and 5 (`bob`), that user 3 was renamed, and that 5 was deleted.
fn killed() -> Folder {
    let folder = Folder::new();
    let process = Process::serve(&mut command(&folder.data()));
    create(&process, "ann");
    let bob = create(&process, "bob");
    assert_eq!(rename(&process, 3, "renamed").status, 200);
    assert_eq!(as_admin(call("DELETE", &format!("/api/users/{}", bob["id"]))).send(process.addr()).status, 204);
    process.kill();
    folder
}

/// The name and the full name of each user.
fn shown(users: &Users) -> BTreeMap<String, String> {
    let list = users.admin(get("/api/users")).json();
    let text = |user: &Value, field: &str| user[field].as_str().unwrap_or_default().to_owned();
    list.as_array().unwrap().iter().map(|user| (text(user, "username"), text(user, "full_name"))).collect()
}

/// Damages a folder, and checks that its repair says this, keeps these users, and goes on after this id.
fn repaired(damage: impl Fn(&Path), said: &str, kept: &[(&str, &str)], id: i64) {
    let folder = killed();
    damage(&folder.data());
    let damaged = files(&folder.data());
    assert_eq!(users(&folder, &["check"]).0, 1, "{said}");
    let (code, listed) = users(&folder, &["repair"]);
    assert!(code == 1 && listed.contains(said) && listed.contains("nothing was changed"), "{said}: {listed}");
    assert_eq!(files(&folder.data()), damaged, "{said}: {listed}");

    let (code, listed) = users(&folder, &["repair", "--yes"]);
    assert!(code == 0 && listed.contains(said), "{said}: {listed}");
    let aside = folder.names().into_iter().find(|name| name.starts_with("damaged-")).unwrap();
    assert!(listed.contains(&aside), "{listed}");
    assert_eq!(files(&folder.data().join(aside)), damaged, "{said}");
    assert_eq!(users(&folder, &["repair"]).0, 0, "{said}");
    let users = Users::start(folder, demo).unwrap();
    let shown = shown(&users);
    for (name, full_name) in kept {
        assert_eq!(shown.get(*name).map(String::as_str), Some(*full_name), "{said}: {shown:?}");
    }
    assert_eq!(shown.len(), kept.len(), "{said}: {shown:?}");
    assert_eq!(users.create("afterwards"), id, "{said}");
}

/// Replaces a part of a file, which it must have.
fn replace(path: &Path, part: &str, by: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(part), "{text}");
    fs::write(path, text.replacen(part, by, 1)).unwrap();
}

const ADMIN: (&str, &str) = ("admin", "Ada Admin");
const DEMO: (&str, &str) = ("demo", "Dan Demo");
const RENAMED: (&str, &str) = ("test", "renamed");
const ANN: (&str, &str) = ("ann", "");
const BOB: (&str, &str) = ("bob", "");

/// The next id where ids may be lost.
const FAR: i64 = 6 + 1_000_000;

#[test]
fn lines_of_the_log_behind_a_damaged_one_are_kept_and_no_lost_id_is_given_again() {
    let log = |data: &Path| data.join("users.log");
    let first = "users.log is damaged at byte 0: the checksum is wrong";
    repaired(|data| replace(&log(data), "\"ann\"", "\"eve\""), first, &[ADMIN, DEMO, RENAMED], FAR);
    repaired(
        |data| replace(&log(data), "\"renamed\"", "\"RENAMED\""),
        "users who were deleted may be back",
        &[ADMIN, DEMO, ("test", ""), ANN],
        FAR,
    );
    let without_second = |data: &Path| {
        let text = fs::read_to_string(log(data)).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        fs::write(log(data), [lines[0], lines[2], lines[3]].concat()).unwrap();
    };
    repaired(without_second, "batch 3 follows batch 1", &[ADMIN, DEMO, RENAMED, ANN], FAR);
    let without_last = |data: &Path| replace(&log(data), "\"deleted\":[5]", "\"deleted\":[6]");
    repaired(without_last, "the checksum is wrong", &[ADMIN, DEMO, RENAMED, ANN, BOB], FAR);
}

#[test]
fn what_a_compaction_left_is_repaired_too() {
    let two_logs = |data: &Path| {
        let text = fs::read_to_string(data.join("users.log")).unwrap();
        let (old, current) = text.split_at(text.find('\n').unwrap() + 1);
        fs::write(data.join("users.log.old"), &old[..old.len() - 3]).unwrap();
        fs::write(data.join("users.log"), current).unwrap();
    };
    let said = "users.log.old is damaged at byte 0: the line has no end";
    repaired(two_logs, said, &[ADMIN, DEMO, RENAMED], FAR);
}

#[test]
fn users_behind_a_damaged_one_are_kept() {
    let users = |data: &Path| data.join("users.json");
    let kept = [ADMIN, RENAMED, ANN];
    repaired(
        |data| replace(&users(data), "\"Dan Demo\"", "\"Dan \u{1}"),
        "line 3 cannot be read; this user is lost",
        &kept,
        6,
    );
    repaired(|data| replace(&users(data), "{\"id\":2", "\0\0\0\0\0\0\0"), "line 3 cannot be read", &kept, 6);
    repaired(
        |data| replace(&users(data), "\"user_type\":\"default\"", "\"user_type\":\"root\""),
        "(id 2): user_type must be",
        &kept,
        6,
    );
    let cut = |data: &Path| {
        let text = fs::read_to_string(users(data)).unwrap();
        fs::write(users(data), &text[..text.find("Dan").unwrap()]).unwrap();
    };
    repaired(cut, "line 3 cannot be read", &kept, 6);
}

#[test]
fn without_its_other_files_a_store_has_all_its_users() {
    let kept = [ADMIN, DEMO, RENAMED, ANN];
    repaired(|data| fs::write(data.join("users.meta.json"), "{").unwrap(), "users.meta.json is broken", &kept, FAR);
    let no_sessions = |data: &Path| fs::write(data.join("sessions.json"), "[]").unwrap();
    repaired(no_sessions, "everybody has to sign in again", &kept, 6);
}

#[test]
fn of_two_users_with_one_name_the_one_who_was_changed_last_is_kept() {
    let hash = "$2b$12$16kNu5IW80k1Tw7xz2H3iOCsz0.oMZ7q5OSGa/OIfOae0WGFe8aI2";
    let user = |id: i64, at: &str| json!({"id": id, "username": "ann", "user_type": "admin", "hashed_password": hash, "updated_at": at});
    let folder =
        Folder::with_users(&json!([user(4, "2026-01-01T00:00:00Z"), user(7, "2026-01-02T00:00:00Z")]).to_string());
    let (code, listed) = users(&folder, &["repair", "--yes"]);
    assert!(code == 0 && listed.contains("user 4 (`ann`) has the id, name or address of another one"), "{listed}");
    let (_, shown) = users(&folder, &["show", "ann"]);
    assert!(shown.contains('7'), "{shown}");
}

#[test]
fn files_that_are_in_order_stay_as_they_are() {
    let folder = killed();
    let before = files(&folder.data());
    for arguments in [&["repair"][..], &["repair", "--yes"]] {
        assert_eq!(users(&folder, arguments), (0, "ok: 4 users, nothing is damaged".to_owned()));
    }
    let log = folder.read("users.log");
    fs::write(folder.data().join("users.log"), format!("{log}{}", &log[..20])).unwrap();
    assert_eq!(users(&folder, &["repair"]).0, 0, "a write that a crash cut short is no damage");
    fs::write(folder.data().join("users.log"), log).unwrap();
    assert_eq!(files(&folder.data()), before);
}

#[test]
fn nothing_is_repaired_while_the_service_runs() {
    let folder = Folder::new();
    let process = Process::serve(&mut command(&folder.data()));
    let (code, said) = users(&folder, &["repair", "--yes"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&format!("in use by process {}", process.id())), "{said}");
}
