//! `users export` and `users import`: everything out, and all in or nothing.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use chassis::testing::Process;
use serde_json::{Value, json};

use crate::{
    fixture::{Folder, PASSWORD, login},
    process::{command, create, refused, rename},
};

const HASH: &str = "$2b$04$16kNu5IW80k1Tw7xz2H3iOCsz0.oMZ7q5OSGa/OIfOae0WGFe8aI2";

/// Runs a command without the key of the service: its exit code, and all that it said.
fn run(data: &Path, arguments: &[&str]) -> (i32, String) {
    refused(command(data).env_remove("INTERNAL_KEY").args(arguments))
}

/// A file beside the data.
fn beside(folder: &Folder, name: &str, content: &str) -> PathBuf {
    let file = folder.data().parent().unwrap().join(name);
    if !content.is_empty() {
        fs::write(&file, content).unwrap();
    }
    file
}

fn import(folder: &Folder, content: &str, flags: &[&str]) -> (i32, String) {
    let file = beside(folder, "import", content);
    run(&folder.data(), &[&["import", file.to_str().unwrap()], flags].concat())
}

/// A folder in which the demo has run: users 1 to 3.
fn demo() -> Folder {
    let folder = Folder::new();
    Process::serve(&mut command(&folder.data())).terminate();
    folder
}

fn count(folder: &Folder) -> usize {
    let (code, said) = run(&folder.data(), &["list", "--json"]);
    assert_eq!(code, 0, "{said}");
    // Without the warning that a file was removed which a crash had left over.
    said.lines().filter(|line| line.starts_with('{')).count()
}

#[test]
fn what_a_running_service_has_is_exported_and_can_be_imported_elsewhere() {
    let folder = Folder::new();
    let service = Process::serve(&mut command(&folder.data()));
    create(&service, "ann");
    assert_eq!(rename(&service, 4, "Ann in the log").status, 200);
    let file = beside(&folder, "export.json", "");
    let path = file.to_str().unwrap();
    assert_eq!(run(&folder.data(), &["export", "--with-hashes", path]), (0, format!("{path} has 4 users")));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, said) = run(&folder.data(), &["export", "--with-hashes", path]);
    assert_eq!((code, said.contains("exists; choose another file")), (1, true), "{said}");
    let report = beside(&folder, "report.json", "");
    assert_eq!(run(&folder.data(), &["export", report.to_str().unwrap()]).0, 0);
    let exported: Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
    assert_eq!((&exported[3]["full_name"], exported[3].get("hashed_password")), (&json!("Ann in the log"), None));
    service.terminate();

    let empty = Folder::new();
    fs::create_dir(empty.data()).unwrap();
    let (code, said) = run(&empty.data(), &["import", path]);
    assert_eq!((code, said.contains("4 users imported, with ids from 1 to 4")), (0, true), "{said}");
    let service = Process::serve(&mut command(&empty.data()));
    assert_eq!(login("ann", PASSWORD).send(service.addr()).status, 200);
    assert_eq!(create(&service, "bob")["id"], 5);
    service.terminate();
}

#[test]
fn records_without_an_id_get_the_next_and_one_that_was_used_is_refused() {
    let folder = demo();
    let lines = json!({"username": "ann", "user_type": "default", "hashed_password": HASH}).to_string()
        + "\n\n"
        + &json!({"id": 9, "username": "bob", "user_type": "admin", "hashed_password": HASH, "nickname": "b"})
            .to_string();
    let before = folder.read("users.json");
    assert_eq!(
        import(&folder, &lines, &["--dry-run"]),
        (0, "2 users would be imported, with ids from 4 to 9".to_owned())
    );
    assert_eq!(folder.read("users.json"), before);
    assert_eq!(import(&folder, &lines, &[]), (0, "2 users imported, with ids from 4 to 9".to_owned()));
    assert!(folder.read("users.json").contains("\"nickname\":\"b\""), "unknown fields are kept");
    for id in [3, 7, 9] {
        let user = json!([{"id": id, "username": "cid", "user_type": "default", "hashed_password": HASH}]);
        let (code, said) = import(&folder, &user.to_string(), &[]);
        assert_eq!((code, said.contains("id was used before; ids ascend, here from 10")), (1, true), "{said}");
    }
}

#[test]
fn everything_that_is_wrong_is_listed_with_its_line_and_nothing_is_imported() {
    let folder = demo();
    let good = json!({"username": "ann", "user_type": "default", "hashed_password": HASH});
    let costly = json!({"username": "cid", "user_type": "default", "hashed_password": HASH.replace("$04$", "$16$")});
    let lines = [
        good.to_string(),
        good.to_string(),
        json!({"username": "ＡＤＭＩＮ", "user_type": "default", "hashed_password": HASH}).to_string(),
        "{".to_owned(),
        json!({"username": "bob", "user_type": "root", "password": "a"}).to_string(),
        costly.to_string(),
    ];
    let before = folder.read("users.json");
    for flags in [&["--dry-run"][..], &[]] {
        let (code, said) = import(&folder, &lines.join("\n"), flags);
        assert_eq!(code, 1);
        for expected in [
            "nothing was imported",
            "line 2 (id 5): the username is taken",
            "line 3 (id 6): the username is taken",
            "line 4: is broken",
            "line 5 (id 7): user_type must be",
            "line 5 (id 7): hashed_password is missing",
            "has the bcrypt cost 16",
        ] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
        assert_eq!(folder.read("users.json"), before);
    }
    for broken in ["[{\"username\": ", "[1]", "\u{feff}[]"] {
        assert_eq!(import(&folder, broken, &[]).0, 1, "{broken}");
    }
    assert_eq!(import(&folder, "[]", &[]), (0, "0 users imported".to_owned()));
    let many = "x\n".repeat(1000);
    let (_, said) = import(&folder, &many, &[]);
    assert!(said.contains("and 900 more") && said.lines().count() < 110, "{said}");
    assert_eq!(count(&folder), 3);
}

#[test]
fn an_import_needs_the_folder_for_itself() {
    let folder = Folder::new();
    let service = Process::serve(&mut command(&folder.data()));
    let user = json!([{"username": "ann", "user_type": "default", "hashed_password": HASH}]).to_string();
    let (code, said) = import(&folder, &user, &[]);
    let holder = format!("in use by process {}", service.id());
    assert_eq!((code, said.contains(&holder), said.contains("stop the service first")), (1, true, true), "{said}");
    assert_eq!(import(&folder, &user, &["--dry-run"]).0, 0);
    assert_eq!(count(&folder), 3);
    service.terminate();
}

#[test]
fn an_import_that_is_killed_has_imported_everything_or_nothing() {
    const USERS: usize = 20_000;
    let folder = demo();
    let record = |number| json!({"username": format!("user{number}"), "user_type": "default", "hashed_password": HASH});
    let lines: Vec<String> = (0..USERS).map(|number| record(number).to_string()).collect();
    let file = beside(&folder, "import", &lines.join("\n"));
    let before = ["users.json", "users.meta.json"].map(|name| (name, folder.read(name)));
    let mut imported = 0;
    // Later and later, until it is done before it is killed.
    for round in 0.. {
        let mut import = command(&folder.data());
        import.args(["import", file.to_str().unwrap()]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = import.spawn().unwrap();
        thread::sleep(Duration::from_millis(20 * round));
        let is_done = running.try_wait().unwrap().is_some();
        let _ = running.kill();
        running.wait().unwrap();
        assert_eq!(run(&folder.data(), &["check"]).0, 0, "round {round}");
        match count(&folder) {
            3 => assert!(!is_done, "what was acknowledged is there"),
            all => {
                assert_eq!(all, 3 + USERS, "round {round}");
                imported += 1;
                before.iter().for_each(|(name, content)| fs::write(folder.data().join(name), content).unwrap());
            }
        }
        if is_done {
            break;
        }
    }
    assert!(imported > 0);
}
