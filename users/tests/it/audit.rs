//! The audit log: what is in it, what `users audit verify` finds, and what a crash and a full disk do to it.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    process::Command,
};

use chassis::testing::{FaultyDisk, Process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    fixture::{Folder, Users, demo, production},
    process::{command, refused, rename},
};

/// The files of the log, the oldest first.
fn files(folder: &Folder) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder.data().join("audit")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// All lines of the log.
pub(crate) fn text(folder: &Folder) -> String {
    files(folder).into_iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

pub(crate) fn lines(folder: &Folder) -> Vec<Value> {
    text(folder).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn events(folder: &Folder) -> Vec<String> {
    lines(folder).iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect()
}

/// `users audit …` without any setting of the service but the folder: its exit code and what it said.
pub(crate) fn audit(folder: &Folder, args: &[&str]) -> (i32, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_users"));
    refused(program.env_clear().env("USERS_DATA_DIR", folder.data()).arg("audit").args(args))
}

fn verify(folder: &Folder, args: &[&str]) -> (i32, String) {
    audit(folder, &[&["verify"], args].concat())
}

/// What `verify --json` says of a log that is whole.
pub(crate) fn whole(folder: &Folder) -> Value {
    let (code, said) = verify(folder, &["--json"]);
    assert_eq!(code, 0, "{said}");
    serde_json::from_str(&said).unwrap()
}

/// A folder with the log of four lines that a service has left.
fn finished() -> Folder {
    let folder = Users::demo().stop();
    assert_eq!(events(&folder), ["service_started", "first_users_created", "service_stopped"]);
    Users::start(folder, demo).unwrap().stop()
}

/// Replaces the only file of the log.
fn rewrite(folder: &Folder, change: impl FnOnce(Vec<String>) -> Vec<String>) -> PathBuf {
    let [file] = files(folder).try_into().unwrap();
    let lines: Vec<String> = fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
    fs::write(&file, change(lines).join("\n") + "\n").unwrap();
    file
}

#[test]
fn the_life_of_a_service_is_recorded() {
    let folder = Users::start(Folder::new(), production).unwrap().stop();
    let lines = lines(&folder);
    let events: Vec<&Value> = lines.iter().map(|line| &line["event"]).collect();
    assert_eq!(events, ["service_started", "first_users_created", "service_stopped"]);
    let started = json!({"version": env!("CARGO_PKG_VERSION"), "process": std::process::id(), "demo": false});
    assert_eq!(lines[0]["details"], started);
    let admin = json!({"id": 1, "name": "admin", "user_type": "admin"});
    assert_eq!(lines[1]["details"], json!({"users": [admin]}));
    let folder = Users::demo().stop();
    let lines = self::lines(&folder);
    assert_eq!(lines[0]["details"]["demo"], true);
    assert_eq!(lines[1]["details"]["users"].as_array().unwrap().len(), 3);
    assert!(!text(&folder).contains("$2b$"), "no hash of a password is in it");
}

#[test]
fn a_command_that_uses_the_folder_is_recorded_too() {
    let folder = finished();
    let (code, said) = refused(command(&folder.data()).env("USERS_AUDIT_STDOUT", "true").arg("list"));
    assert_eq!((code, said.lines().count()), (0, 4), "{said}");
    assert_eq!(events(&folder)[5..], ["command_started", "command_ended"]);
    whole(&folder);
}

#[test]
fn the_chain_goes_on_after_each_start_and_can_be_checked_beside_the_service() {
    let folder = finished();
    let before = whole(&folder);
    assert_eq!((&before["files"], &before["lines"], &before["last_seq"]), (&json!(1), &json!(5), &json!(5)));
    let users = Users::start(folder, demo).unwrap();
    let (code, said) = verify(&users.folder, &[]);
    assert_eq!((code, said.lines().next()), (0, Some("ok: 6 lines in 1 file, seq 1 to 6")), "{said}");
    let hash = before["last_hash"].as_str().unwrap();
    assert_eq!(verify(&users.folder, &["--expect", hash]).0, 0, "a hash that was kept is found later");
    let sum = r#"sed -n 5p "$0" | tr -d '\n' | sha256sum"#;
    let sum = Command::new("sh").args(["-c", sum]).arg(&files(&users.folder)[0]).output().unwrap();
    assert!(sum.stdout.starts_with(hash.as_bytes()), "other programs compute the same: {sum:?}");
}

#[test]
fn whatever_is_done_to_a_log_is_found_and_named() {
    type Change = fn(Vec<String>) -> Vec<String>;
    let changes: [(&str, Change, u64, &str); 6] = [
        (
            "changed",
            |mut lines| {
                lines[1] = lines[1].replace("admin", "nobody");
                lines
            },
            2,
            "was changed",
        ),
        (
            "removed",
            |mut lines| {
                lines.remove(1);
                lines
            },
            2,
            "those with seq 2 to 2 were removed",
        ),
        (
            "the first removed",
            |mut lines| {
                lines.remove(0);
                lines
            },
            1,
            "nothing in the log says that what was before it",
        ),
        (
            "repeated",
            |mut lines| {
                lines.insert(2, lines[1].clone());
                lines
            },
            3,
            "was inserted or moved",
        ),
        (
            "moved",
            |mut lines| {
                lines.swap(1, 3);
                lines
            },
            2,
            "were removed",
        ),
        (
            "foreign",
            |mut lines| {
                lines.insert(3, "{\"event\":\"nothing\"}".to_owned());
                lines
            },
            4,
            "is not a line",
        ),
    ];
    for (name, change, line, what) in changes {
        let folder = finished();
        let file = rewrite(&folder, change);
        let (code, said) = verify(&folder, &[]);
        let place = format!("line {line} of {}", file.file_name().unwrap().to_str().unwrap());
        assert_eq!(code, 1, "{name}: {said}");
        assert!(said.contains(&place) && said.contains(what), "{name}: {said}");
        let (_, json) = verify(&folder, &["--json"]);
        let json = json.lines().find(|line| line.starts_with('{')).unwrap();
        let json: Value = serde_json::from_str(json).unwrap();
        assert_eq!((&json["result"], &json["line"]), (&json!("broken"), &json!(line)), "{name}");
    }
}

#[test]
fn an_end_that_was_cut_off_is_found_by_a_hash_that_was_kept_elsewhere() {
    let folder = finished();
    let kept = whole(&folder)["last_hash"].as_str().unwrap().to_owned();
    rewrite(&folder, |mut lines| {
        lines.pop();
        lines
    });
    assert_eq!(verify(&folder, &[]).0, 0, "the chain alone cannot show it");
    let (code, said) = verify(&folder, &["--expect", &kept]);
    assert_eq!(code, 1);
    assert!(said.contains(&format!("no line has the hash {kept}")), "{said}");
}

#[test]
fn a_line_that_a_crash_cut_short_is_removed_and_the_log_says_so() {
    // The first block of a line that was never written reads as zeros.
    for torn in
        [&b"{\"seq\":6,\"time\":\"20"[..], b"\n", b"{\"seq\":6\0\0\0\0\0\0}\n", b"{\"seq\":6\0\0\n{\"seq\":7}\n"]
    {
        let folder = finished();
        let [file] = files(&folder).try_into().unwrap();
        let kept = fs::read_to_string(&file).unwrap();
        OpenOptions::new().append(true).open(&file).unwrap().write_all(torn).unwrap();
        let folder = Users::start(folder, demo).unwrap().stop();
        if torn == b"\n" {
            assert_eq!(verify(&folder, &[]).0, 1, "an empty line is none that a crash leaves");
            continue;
        }
        let lines = lines(&folder);
        assert!(text(&folder).starts_with(&kept), "nothing else is removed");
        let mended = json!({"file": file.file_name().unwrap().to_str().unwrap(), "bytes": torn.len()});
        assert_eq!((&lines[5]["event"], &lines[5]["details"]), (&json!("audit_mended"), &mended));
        assert_eq!(whole(&folder)["lines"], 8);
    }
}

#[test]
fn a_log_that_somebody_has_damaged_is_left_as_it_is_and_goes_on_in_a_new_file() {
    let folder = finished();
    let file = rewrite(&folder, |mut lines| {
        lines[4] = lines[4].replace("service_stopped", "nothing");
        lines[2].clear();
        lines
    });
    let damaged = fs::read_to_string(&file).unwrap();
    let folder = Users::start(folder, demo).unwrap().stop();
    assert_eq!(fs::read_to_string(&file).unwrap(), damaged);
    let new = fs::read_to_string(&files(&folder)[1]).unwrap();
    assert!(new.contains("audit_damaged") && new.contains("service_stopped"), "{new}");
    let (code, said) = verify(&folder, &[]);
    assert!(code == 1 && said.contains("line 3 of 00000000000000000001.jsonl"), "{said}");
}

#[test]
fn lines_are_printed_too_where_a_log_system_reads_standard_output() {
    let folder = Folder::new();
    let process = Process::serve(command(&folder.data()).env("USERS_AUDIT_STDOUT", "true"));
    let printed = process.logged("the first users", |line| line["event"] == "first_users_created");
    assert_eq!(printed, lines(&folder)[1]);
    process.terminate();
    let process = Process::serve(&mut command(&folder.data()));
    assert!(!process.log_text().contains("service_started"), "only where it is asked for");
}

#[test]
fn a_full_disk_is_no_reason_not_to_start_and_the_log_says_what_it_lacks() {
    let (folder, control) = (Folder::new(), TempDir::new().unwrap());
    let disk = FaultyDisk::new(&folder.data(), control.path());
    Process::serve(disk.attach_to(&mut command(&folder.data()))).terminate();
    disk.fail("full");
    let process = Process::serve(disk.attach_to(&mut command(&folder.data())));
    process.said("nothing can be written to the audit log");
    disk.heal("full");
    assert_eq!(rename(&process, 3, "Tess").status, 200);
    process.terminate();
    let lines = lines(&folder);
    let lost = lines.iter().find(|line| line["event"] == "audit_events_lost").unwrap();
    assert_eq!((&lost["outcome"], &lost["details"]), (&json!("failed"), &json!({"events": 1})));
    assert_eq!(lines.last().unwrap()["event"], "service_stopped");
    whole(&folder);
}

#[test]
fn people_see_the_lines_that_they_ask_for() {
    let folder = finished();
    let (code, said) = audit(&folder, &["show"]);
    assert_eq!((code, said.lines().count()), (0, 5), "{said}");
    assert!(said.lines().next().unwrap().contains("Z  service_started  done"), "{said}");
    let (_, said) = audit(&folder, &["show", "--event", "first_users_created", "--event", "service_stopped", "--json"]);
    let wanted: Vec<String> = [1, 2, 4].map(|line| text(&folder).lines().nth(line).unwrap().to_owned()).into();
    assert_eq!(said.lines().collect::<Vec<_>>(), wanted, "as they are in the file");
    assert_eq!(audit(&folder, &["show", "--user", "admin"]).1.lines().count(), 1);
    assert_eq!(audit(&folder, &["show", "--user", "2"]).1.lines().count(), 1);
    assert_eq!(audit(&folder, &["show", "--user", "nobody"]).1, "");
    assert_eq!(audit(&folder, &["show", "--since", "1h"]).1.lines().count(), 5);
    assert_eq!(audit(&folder, &["show", "--since", "2999-01-01T00:00:00Z"]).1, "");
    let (code, said) = audit(&folder, &["show", "--since", "yesterday"]);
    assert_eq!(code, 64, "{said}");
    // A copy of the log, elsewhere.
    let copy = folder.data().join("audit");
    assert_eq!(audit(&Folder::new(), &["show", copy.to_str().unwrap()]).1.lines().count(), 5);
    assert_eq!(audit(&Folder::new(), &["verify", copy.to_str().unwrap()]).0, 0);
    let (code, said) = audit(&Folder::new(), &["verify"]);
    assert!(code == 1 && said.contains("cannot read the audit log in "), "{said}");
}
