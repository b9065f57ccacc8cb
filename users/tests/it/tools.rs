//! The commands for the accounts, run as people run them: the real program, whose output and exit code are looked at.

use std::{
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use chassis::testing::{Process, User, call, get};
use serde_json::{Value, json};

use crate::{
    fixture::{Folder, GATEWAY, PASSWORD, login},
    process::{command, read},
    session_ends::SignedIn,
};

/// A bcrypt hash of cost 4, which nobody signs in with.
const HASH: &str = "$2b$04$16kNu5IW80k1Tw7xz2H3iOCsz0.oMZ7q5OSGa/OIfOae0WGFe8aI2";

/// The program with arguments, and without the key of the service.
fn users(data: &Path, arguments: &[&str]) -> Command {
    let mut users = command(data);
    users.env_remove("INTERNAL_KEY").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    users
}

/// Runs a command: its exit code, what it printed, and what it said about it.
fn run(data: &Path, arguments: &[&str]) -> (i32, String, String) {
    said(users(data, arguments).output().unwrap())
}

fn said(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Runs a command with this on its standard input: its exit code, what it printed, and what it said about it.
fn given(data: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut running = users(data, arguments).stdin(Stdio::piped()).spawn().unwrap();
    // A command that does not read it may have ended.
    let _ = running.stdin.take().unwrap().write_all(input.as_bytes());
    said(running.wait_with_output().unwrap())
}

/// The status of a sign-in at a service.
fn sign_in(service: &Process, username: &str, password: &str) -> u16 {
    login(username, password).send(service.addr()).status
}

/// Runs a command that must succeed, without a word on stderr, and returns what it printed.
fn succeed(data: &Path, arguments: &[&str]) -> String {
    let (code, printed, said) = run(data, arguments);
    assert_eq!((code, said.as_str()), (0, ""), "{arguments:?}: {printed}");
    printed
}

/// Runs a command that must fail, and returns why it says it did.
fn refuse(data: &Path, arguments: &[&str]) -> String {
    let (code, printed, said) = run(data, arguments);
    assert_eq!((code, printed.as_str()), (1, ""), "{arguments:?}: {said}");
    said
}

fn lines(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A user as the Python system wrote it.
fn record(id: i64, username: &str) -> Value {
    json!({"id": id, "username": username, "user_type": "default", "hashed_password": HASH})
}

/// A folder with an admin and these users, in which no service has been.
fn folder_with(others: impl IntoIterator<Item = Value>) -> Folder {
    let mut admin = record(1, "root");
    admin["user_type"] = json!("admin");
    let users: Vec<Value> = std::iter::once(admin).chain(others).collect();
    Folder::with_users(&serde_json::to_string(&users).unwrap())
}

/// Does the same while no service runs, and while one has the folder.
fn stopped_and_running(folder: &Folder, mut act: impl FnMut(&Path)) {
    act(&folder.data());
    let service = Process::serve(&mut command(&folder.data()));
    act(&folder.data());
    service.terminate();
}

#[test]
fn a_list_is_a_table_for_people_and_lines_of_json_for_programs() {
    let mut ann = record(7, "ann");
    ann["email"] = json!("ann@example.com");
    ann["full_name"] = json!("Ann O'Brien");
    ann["created_at"] = json!("2026-01-02T03:04:05Z");
    stopped_and_running(&folder_with([ann, record(9, "bob")]), lists);
}

fn lists(data: &Path) {
    assert_eq!(
        succeed(data, &["list"]),
        "ID  TYPE     STATE  CREATED               USERNAME  E-MAIL           FULL NAME\n\
         1   admin                                 root\n\
         7   default         2026-01-02T03:04:05Z  ann       ann@example.com  Ann O'Brien\n\
         9   default                               bob\n"
    );
    let listed = lines(&succeed(data, &["list", "--json"]));
    assert_eq!(listed.len(), 3);
    assert_eq!(
        listed[1],
        json!({
            "id": 7, "username": "ann", "email": "ann@example.com", "full_name": "Ann O'Brien", "user_type": "default",
            "locked": null, "created_by": null, "created_at": "2026-01-02T03:04:05.000000Z", "updated_at": null
        })
    );
    for (arguments, expected) in [
        (&["--type", "admin"][..], &[1][..]),
        (&["--type", "default"], &[7, 9]),
        (&["--query", "O'BRIEN"], &[7]),
        (&["-q", "example.com", "--type", "admin"], &[]),
        (&["--after", "1"], &[7, 9]),
        (&["--after", "1", "--limit", "1"], &[7]),
        (&["--limit", "0"], &[]),
    ] {
        let found = lines(&succeed(data, &[&["list", "--json"], arguments].concat()));
        let ids: Vec<_> = found.iter().map(|user| user["id"].as_i64().unwrap()).collect();
        assert_eq!(ids, expected, "{arguments:?}");
    }
    assert!(refuse(data, &["list", "--type", "root"]).contains("the type must be `admin` or `default`"));
    assert!(refuse(data, &["list", "--query", " "]).contains("the text to search for must not be empty"));
}

#[test]
fn a_user_is_shown_by_its_id_or_its_name_and_never_with_its_hash() {
    stopped_and_running(&folder_with([record(7, "Ann"), record(9, "7")]), shows);
}

fn shows(data: &Path) {
    assert_eq!(succeed(data, &["show", "7"]), "id          7\nusername    Ann\ntype        default\n");
    for (user, id) in [("ann", 7), ("ＡＮＮ", 7), ("name:ann", 7), ("name:7", 9), ("9", 9)] {
        let shown = succeed(data, &["show", user, "--json"]);
        assert_eq!(lines(&shown)[0]["id"], id, "{user}");
        assert!(!shown.contains("hash") && !shown.contains("$2b$"), "{shown}");
    }
    for (user, expected) in [
        ("8", "user 8: there is no such user"),
        ("bob", "there is no user with the name `bob`"),
        ("\u{1b}[2J", "there is no user with the name `\\u{1b}[2J`"),
    ] {
        let said = refuse(data, &["show", user]);
        assert!(said.contains(expected), "{said}");
    }
    let (code, _, said) = run(data, &["show"]);
    assert_eq!((code, said.contains("<USER>")), (64, true), "{said}");
}

#[test]
fn a_name_cannot_control_the_terminal() {
    let mut ann = record(7, "ann");
    ann["full_name"] = json!("\u{202e}nimda");
    let folder = folder_with([ann]);
    for command in [["list", "--after=1"], ["show", "7"]] {
        let printed = succeed(&folder.data(), &command);
        assert!(printed.contains("\\u{202e}nimda") && !printed.contains('\u{202e}'), "{printed}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_of_a_long_list_ends_it() {
    let folder = folder_with((2..3000).map(|id| record(id, &format!("user{id}"))));
    let mut listing = users(&folder.data(), &["list", "--json"]).spawn().unwrap();
    drop(listing.stdout.take());
    assert_eq!(said(listing.wait_with_output().unwrap()), (0, String::new(), String::new()));
    stopped_and_running(&folder, |data| {
        let all = lines(&succeed(data, &["list", "--json"]));
        let ids: Vec<_> = all.iter().map(|user| user["id"].as_i64().unwrap()).collect();
        assert_eq!(ids, (1..3000).collect::<Vec<_>>(), "every page, once");
    });
}

#[test]
fn a_check_lists_all_that_is_wrong_and_changes_nothing() {
    let folder = folder_with([record(7, "ann")]);
    let data = folder.data();
    let state = || {
        let mut files: Vec<_> = folder
            .names()
            .into_iter()
            .map(|name| {
                (name.clone(), fs::read(data.join(&name)).unwrap(), fs::metadata(data.join(name)).unwrap().ino())
            })
            .collect();
        files.sort();
        files
    };
    let before = state();
    assert_eq!(succeed(&data, &["check"]), "ok: 2 users, 0 changes in the log, the next id is 8\n");
    assert_eq!(
        lines(&succeed(&data, &["check", "--json"])),
        [json!({"users": 2, "next_id": 8, "logged_changes": 0, "cut_bytes": 0})]
    );
    assert_eq!(state(), before, "not even a lock is left");

    fs::write(data.join("users.log"), "0123").unwrap();
    let printed = succeed(&data, &["check"]);
    assert!(printed.contains("the last 4 bytes of the log are a write that was cut short"), "{printed}");
    assert_eq!(folder.read("users.log"), "0123");

    let broken = json!([record(1, "ann"), record(2, "ANN"), {"id": 3}]).to_string();
    fs::write(data.join("users.json"), &broken).unwrap();
    fs::write(data.join("users.meta.json"), "{}").unwrap();
    let said = refuse(&data, &["check"]);
    for expected in ["users.meta.json: is broken", "count as the same: `ann` and `ANN`", "(id 3): username is missing"]
    {
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(folder.read("users.json"), broken);
}

#[test]
fn a_command_makes_no_folder_and_leaves_that_of_another_account_alone() {
    let folder = Folder::new();
    for command in ["list", "check"] {
        let said = refuse(&folder.data(), &[command]);
        assert!(said.contains("there is no data folder at") && said.contains("USERS_DATA_DIR"), "{said}");
        assert!(!folder.data().exists());
    }
    let elsewhere = folder_with([]);
    let (code, printed, _) = run(&folder.data(), &["list", "--json", "--data-dir", elsewhere.data().to_str().unwrap()]);
    assert_eq!((code, lines(&printed).len()), (0, 1), "the flag may follow the command");
    // Only root can give a folder away; others find one of root's.
    let foreign = folder_with([]);
    let given_away = chown(foreign.data(), Some(65534), None).is_ok();
    let foreign_data = if given_away { foreign.data() } else { PathBuf::from("/usr") };
    let said = refuse(&foreign_data, &["list"]);
    assert!(said.contains("run it as that account"), "{said}");
    assert!(!foreign_data.join("lock").exists(), "nothing was written");
}

#[test]
fn help_shows_examples() {
    let folder = Folder::new();
    let help = succeed(&folder.data(), &["list", "--help"]);
    assert!(help.contains("users list --type admin"), "{help}");
}

#[test]
fn a_user_who_is_created_can_sign_in_at_once() {
    let folder = folder_with([record(7, "bob")]);
    let data = folder.data();
    let arguments = ["create", "ann", "--email=ann@example.com", "--full-name", "Ann", "--password-stdin"];
    assert_eq!(
        given(&data, &arguments, &format!("{PASSWORD}\n")),
        (0, "user 8 was created\n".to_owned(), String::new())
    );

    let service = Process::serve(&mut command(&data));
    assert_eq!(sign_in(&service, "ann", PASSWORD), 200, "created while no service ran");
    let arguments = ["create", "root2", "--type=admin", "--password-stdin", "--json"];
    let (code, printed, said) = given(&data, &arguments, PASSWORD);
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(lines(&printed)[0]["id"], 9);
    assert_eq!(sign_in(&service, "ROOT2", PASSWORD), 200, "created beside the service");
    let user = read(&service, "/api/users/9");
    assert_eq!((&user["user_type"], &user["created_by"]), (&json!("admin"), &Value::Null));
    service.kill();

    let listed = lines(&succeed(&data, &["list", "--json"]));
    assert_eq!(listed.len(), 4, "what a command acknowledged outlives a crash");
}

#[test]
fn every_rule_for_users_holds_for_commands_too() {
    stopped_and_running(&folder_with([record(7, "ann")]), |data| {
        let mut service_says =
            users(data, &["create", " ", "--email=nowhere", "--type=root", "--full-name=a\u{7}", "--password-stdin"]);
        let mut running = service_says.env("USERS_PASSWORD_MIN", "1").stdin(Stdio::piped()).spawn().unwrap();
        running.stdin.take().unwrap().write_all(b"a\0").unwrap();
        let (code, printed, said) = said(running.wait_with_output().unwrap());
        assert_eq!((code, printed.as_str()), (1, ""));
        for expected in [
            "the username must not be empty",
            "the e-mail address must be",
            "the full name must not contain",
            "the type must be",
            "the password must not contain a NUL",
        ] {
            assert!(said.contains(expected), "{said}");
        }
        for (username, password, expected) in [
            ("ＡＮＮ", PASSWORD, "the username is taken"),
            ("bob", "password", "one of the most common passwords"),
            ("bob", &"x".repeat(72), "the password must have at most 71 bytes"),
            ("bob", "it is bob who chose it", "must not contain the username"),
            ("bob", "", "the password must have at least 1 characters"),
        ] {
            let (code, _, said) = given(data, &["create", username, "--password-stdin"], password);
            assert_eq!((code, said.contains(expected)), (1, true), "{said}");
        }
        let (code, _, said) = given(data, &["set-password", "ann", "--password-stdin"], "password");
        assert_eq!((code, said.contains("one of the most common passwords")), (1, true), "{said}");
        let (code, _, said) = given(data, &["set-password", "9", "--password-stdin"], PASSWORD);
        assert_eq!((code, said.contains("user 9: there is no such user")), (1, true), "{said}");
        assert_eq!(lines(&succeed(data, &["list", "--json"])).len(), 2, "nobody was created");
    });
}

#[test]
fn a_password_that_is_set_replaces_the_old_one() {
    let folder = folder_with([record(7, "ann")]);
    let data = folder.data();
    let set = |user: &str, password: &str| {
        let (code, printed, said) = given(&data, &["set-password", user, "--password-stdin"], password);
        assert_eq!((code, printed.as_str(), said.as_str()), (0, "user 7 (ann) has a new password\n", ""));
    };
    set("ann", PASSWORD);
    let stored: Value = serde_json::from_str(&folder.read("users.json")).unwrap();
    assert!(stored[1]["hashed_password"].as_str().unwrap().starts_with("$2b$10$"), "of the configured cost");
    let service = Process::serve(&mut command(&data));
    assert_eq!(sign_in(&service, "ann", PASSWORD), 200);
    set("7", "four other words for her");
    assert_eq!((sign_in(&service, "ann", "four other words for her"), sign_in(&service, "ann", PASSWORD)), (200, 401));
    service.terminate();
}

#[test]
fn a_password_is_never_an_argument_and_never_asked_for_where_nobody_can_answer() {
    let folder = folder_with([]);
    let (code, _, said) = run(&folder.data(), &["create", "ann"]);
    assert_eq!((code, said.contains("--password-stdin: missing")), (64, true), "{said}");
    let (code, _, said) = run(&folder.data(), &["create", "ann", "--password", PASSWORD]);
    assert_eq!((code, said.contains("unexpected argument")), (64, true), "{said}");
}

#[test]
fn a_locked_user_is_answered_like_a_wrong_password_until_it_is_unlocked() {
    let folder = folder_with([record(7, "bob")]);
    let data = folder.data();
    let service = Process::serve(&mut command(&data));
    assert_eq!(given(&data, &["set-password", "bob", "--password-stdin"], PASSWORD).0, 0);
    let own = |service: &Process| {
        let call = GATEWAY.signed(get("/api/me"), Some(User { id: 7, user_type: "default" }));
        call.send(service.addr()).status
    };
    assert_eq!((sign_in(&service, "bob", PASSWORD), own(&service)), (200, 200));
    let session = SignedIn::at(service.addr(), "bob", PASSWORD);
    assert!(session.is_open(service.addr()));

    let locked = users(&data, &["lock", "BOB", "--reason", "lost laptop"]).env("USER", "olga").output().unwrap();
    assert_eq!(said(locked), (0, "user 7 (bob) is locked\n".to_owned(), String::new()));
    let answer = |name| {
        let answer = login(name, PASSWORD).send(service.addr());
        let mut problem = answer.json();
        problem["request_id"].take();
        (answer.status, problem)
    };
    assert!(!session.is_open(service.addr()), "the sessions end");
    assert_eq!(answer("bob"), answer("nobody"));
    assert_eq!((answer("bob").0, own(&service)), (401, 401), "also with the token of before");
    let shown = succeed(&data, &["show", "bob"]);
    assert!(shown.contains(" by olga\n") && shown.contains("reason      lost laptop\n"), "{shown}");
    assert_eq!(succeed(&data, &["lock", "7"]), "user 7 (bob) is locked\n");
    assert!(succeed(&data, &["show", "bob"]).contains("lost laptop"), "the first lock stays");
    service.terminate();

    let listed = lines(&succeed(&data, &["list", "--locked", "--json"]));
    assert_eq!((listed.len(), &listed[0]["id"], &listed[0]["locked"]["by"]), (1, &json!(7), &json!("olga")));
    assert!(succeed(&data, &["list"]).contains("default  locked"));
    let service = Process::serve(&mut command(&data));
    assert_eq!(sign_in(&service, "bob", PASSWORD), 401, "after a restart, too");
    assert_eq!(succeed(&data, &["unlock", "bob"]), "user 7 (bob) may sign in\n");
    assert_eq!((sign_in(&service, "bob", PASSWORD), own(&service)), (200, 200));
    assert!(succeed(&data, &["list", "--locked", "--json"]).is_empty());
    service.terminate();
    for (event, times) in [("user_locked", 1), ("user_unlocked", 1), ("user_changed", 0)] {
        let recorded = lines(&succeed(&data, &["audit", "show", "--json", "--event", event]));
        assert_eq!(recorded.len(), times, "{event}: {recorded:?}");
    }
}

#[test]
fn protected_users_and_the_last_admin_who_can_sign_in_are_not_locked() {
    let mut second = record(7, "second");
    second["user_type"] = json!("admin");
    // Protected as in a demo: 1 and 2.
    let folder = folder_with([record(2, "demo"), second]);
    stopped_and_running(&folder, |data| {
        assert!(refuse(data, &["lock", "root"]).contains("the user is protected"));
        assert!(refuse(data, &["lock", "2"]).contains("the user is protected"));
        assert!(refuse(data, &["lock", "second", "--reason", "a\u{7}"]).contains("the reason must not contain"));
    });
    let data = folder.data();
    let unprotected = |arguments: &[&str]| said(users(&data, arguments).env("USERS_DEMO", "false").output().unwrap());
    assert_eq!(unprotected(&["lock", "root"]).0, 0, "another admin is left");
    let (code, _, said) = unprotected(&["lock", "second"]);
    assert_eq!((code, said.contains("the last admin who can sign in")), (1, true), "{said}");
    let service = Process::serve(command(&data).env("USERS_DEMO", "false"));
    let as_second = |call| GATEWAY.signed(call, Some(User { id: 7, user_type: "admin" })).send(service.addr());
    let refused = as_second(call("DELETE", "/api/users/7"));
    assert_eq!((refused.status, &refused.json()["code"]), (403, &json!("last_admin")), "a locked admin does not count");
    assert_eq!(as_second(call("DELETE", "/api/users/1")).status, 204, "and may be deleted");
    service.terminate();
}
