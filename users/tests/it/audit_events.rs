//! What is recorded in the audit log, what waits for it, and what an attacker cannot do to it.

use std::{collections::HashSet, io::ErrorKind, process::Command};

use chassis::{
    identity::Assertion,
    testing::{Answer, Call, FaultyDisk, Process, get, post, until},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    audit::{audit, lines, text, whole},
    fixture::{ADMIN, Folder, GATEWAY, PASSWORD, Users, demo},
    hashing::login_from,
    process::command,
};

/// The lines with an event, of a service that may not have written them yet.
fn recorded(folder: &Folder, event: &str, count: usize) -> Vec<Value> {
    let wanted = || lines(folder).into_iter().filter(|line| line["event"] == event).collect::<Vec<_>>();
    until(event, || wanted().len() >= count);
    wanted()
}

/// The fields of a line that say what happened, without the chain.
fn told(line: &Value) -> Value {
    let mut line = line.clone();
    for name in ["seq", "time", "prev", "request_id"] {
        line.as_object_mut().unwrap().remove(name);
    }
    line
}

/// A disk whose faults are those of the audit log alone.
struct AuditDisk {
    folder: Folder,
    faults: FaultyDisk,
    _control: TempDir,
}

impl AuditDisk {
    fn new() -> Self {
        let (folder, control) = (Folder::new(), TempDir::new().unwrap());
        let faults = FaultyDisk::new(&folder.data().join("audit"), control.path());
        Self { folder, faults, _control: control }
    }

    fn command(&self) -> Command {
        let mut command = command(&self.folder.data());
        self.faults.attach_to(&mut command);
        command
    }
}

/// A call to change the password of the first admin.
fn change_password(current: &str, new: &str) -> Call {
    let assertion = Assertion {
        client_ip: Some([203, 0, 113, 9].into()),
        sid: Some("the-session".to_owned()),
        ..ADMIN.assertion()
    };
    post("/api/me/password", &json!({"current_password": current, "new_password": new}))
        .header("gateway-assertion", &GATEWAY.sign(&assertion))
}

#[test]
fn a_sign_in_is_recorded_before_it_is_answered_with_who_and_from_where() {
    let users = Users::demo();
    let call = login_from("203.0.113.9", "Demo", "b").header("X-Request-Id", "request-7");
    assert_eq!(users.send(&call).status, 200);
    let line = lines(&users.folder).pop().unwrap();
    assert_eq!(line["request_id"], "request-7");
    let user = json!({"id": 2, "name": "demo"});
    assert_eq!(told(&line), json!({"event": "signed_in", "outcome": "done", "user": user, "address": "203.0.113.9"}));
}

#[test]
fn a_failed_sign_in_names_the_user_only_if_there_is_one() {
    let users = Users::demo();
    let typed = "my secret password";
    for (address, name) in [("203.0.113.9", "admin"), ("203.0.113.9", typed), ("198.51.100.7", " MY Secret password")] {
        assert_eq!(users.send(&login_from(address, name, "another secret")).status, 401);
    }
    assert_eq!(users.login("two\nlines", "x").status, 401);
    let failed = recorded(&users.folder, "sign_in_failed", 4);
    let user = json!({"id": 1, "name": "admin"});
    assert_eq!(
        told(&failed[0]),
        json!({"event": "sign_in_failed", "outcome": "refused", "user": user, "address": "203.0.113.9"})
    );
    let hash = |line: &Value| line["user"]["name_hash"].as_str().unwrap().to_owned();
    assert_eq!(hash(&failed[1]), hash(&failed[2]), "the same name comes again, from elsewhere");
    assert_eq!(failed[3]["user"], Value::Null, "no user can have this name");
    let users = users.restart(demo);
    assert_eq!(users.login(typed, "x").status, 401);
    let again = recorded(&users.folder, "sign_in_failed", 5);
    assert_ne!(hash(&again[4]), hash(&failed[1]), "nobody can try passwords against a hash once the process has ended");
    let folder = users.stop();
    for secret in [typed, "MY Secret", "another secret", "two"] {
        assert!(!text(&folder).contains(secret), "{secret}");
    }
}

#[test]
fn a_wrong_current_password_is_recorded_with_the_session() {
    let users = Users::demo();
    assert_eq!(users.send(&change_password("wrong", PASSWORD)).status, 422);
    let account = json!({"id": 1, "name": "admin"});
    let expected = json!({
        "event": "password_change_failed", "outcome": "refused", "user": account, "by": {"id": 1},
        "session": "the-session", "address": "203.0.113.9"
    });
    assert_eq!(told(&recorded(&users.folder, "password_change_failed", 1)[0]), expected);
}

#[test]
fn a_flood_of_guesses_is_a_few_lines_that_count_them() {
    let users = Users::demo();
    let guesses: Vec<Answer> = (0..300).map(|_| users.send(&login_from("198.51.100.7", "admin", "guess"))).collect();
    let wrong = guesses.iter().filter(|answer| answer.status == 401).count();
    let delayed = guesses.iter().filter(|answer| answer.status == 429).count();
    assert!(wrong > 5 && delayed > 0 && wrong + delayed == 300, "{wrong} {delayed}");
    let folder = users.stop();
    for (event, count) in [("sign_in_failed", wrong), ("sign_in_delayed", delayed)] {
        let lines = recorded(&folder, event, 2);
        // One at once and one at the end, for each minute that the test takes.
        assert!(lines.len() <= 8, "{lines:?}");
        let times = |line: &Value| line["details"]["times"].as_u64().unwrap_or(1);
        assert_eq!(lines.iter().map(times).sum::<u64>(), count as u64, "{event}");
        assert!(lines.iter().all(|line| line["user"]["name"] == "admin" && line["address"] == "198.51.100.7"));
    }
    whole(&folder);
}

#[test]
fn more_different_failures_than_the_log_lists_are_counted_together() {
    let users = Users::start(Folder::new(), |path| {
        let audit = users::AuditSettings { mib_max: 16, ..users::AuditSettings::default() };
        users::Settings { audit, ..demo(path) }
    });
    let users = users.unwrap();
    for number in 0..9 {
        assert_eq!(users.send(&login_from("198.51.100.7", &format!("nobody{number}"), "guess")).status, 401);
    }
    let folder = users.stop();
    let listed: HashSet<String> =
        recorded(&folder, "sign_in_failed", 4).iter().map(|line| line["user"].to_string()).collect();
    assert_eq!(listed.len(), 4, "one for each 4 MiB");
    let not_listed = &recorded(&folder, "failures_not_listed", 1)[0];
    assert_eq!(not_listed["details"]["events"], 5);
}

#[test]
fn what_clients_send_cannot_break_a_line_or_a_terminal() {
    let users = Users::demo();
    let name = "\u{61}\u{301} \"quoted\" \\ name";
    let id = users.create(name);
    assert_eq!(users.send(&login_from("::1", name, PASSWORD)).status, 200);
    let hostile = login_from("203.0.113.9", "admin", "x").header("X-Request-Id", "{\"a\": 1}");
    assert_eq!(users.send(&hostile).status, 401);
    let failed = recorded(&users.folder, "sign_in_failed", 1);
    assert_eq!(failed[0]["request_id"].as_str().unwrap().len(), 32, "a request id that is not well-formed is replaced");
    let long = login_from("203.0.113.9", "admin", "x").header("X-Request-Id", &"x".repeat(4000));
    users.send(&long);
    let folder = users.stop();
    let (_, shown) = audit(&folder, &["show", "--user", &id.to_string(), "--event", "signed_in"]);
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert!(!shown.contains('\u{1b}'));
    assert!(text(&folder).lines().all(|line| line.len() < 2048), "lines are bounded");
    whole(&folder);
}

#[test]
fn a_failed_sign_in_does_not_wait_for_the_disk_and_a_sign_in_does() {
    let disk = AuditDisk::new();
    let process = Process::serve(&mut disk.command());
    disk.faults.fail("stall");
    let mut right = login_from("203.0.113.9", "admin", "a").begin(process.addr());
    let computed = || get("/metrics").send(process.addr()).metric("users_bcrypt_seconds_count").unwrap();
    until("the password is verified", || computed() >= 1.0);
    for _ in 0..3 {
        assert_eq!(login_from("203.0.113.9", "demo", "wrong").send(process.addr()).status, 401);
    }
    right.stream().set_nonblocking(true).unwrap();
    let early = right.stream().peek(&mut [0]);
    assert!(early.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "no answer before its line is durable");
    right.stream().set_nonblocking(false).unwrap();
    disk.faults.heal("stall");
    assert_eq!(right.answer(false).unwrap().status, 200);
}

#[test]
fn a_sign_in_that_cannot_be_recorded_is_refused_unless_the_log_is_not_required() {
    for (required, status, lost) in [("true", 507, 1), ("false", 200, 2)] {
        let disk = AuditDisk::new();
        let process = Process::serve(disk.command().env("USERS_AUDIT_REQUIRED", required));
        disk.faults.fail("full");
        let answer = login_from("203.0.113.9", "admin", "a").send(process.addr());
        assert_eq!(answer.status, status, "{required}: {}", answer.text());
        assert_eq!(login_from("203.0.113.9", "admin", "wrong").send(process.addr()).status, 401);
        let counted = || get("/metrics").send(process.addr()).metric("users_audit_lost_events_total").unwrap();
        until("the failure is counted", || counted() >= f64::from(lost));
        disk.faults.heal("full");
        assert_eq!(login_from("203.0.113.9", "admin", "a").send(process.addr()).status, 200, "{required}");
        process.terminate();
        assert_eq!(recorded(&disk.folder, "audit_events_lost", 1)[0]["details"]["events"], lost, "{required}");
        whole(&disk.folder);
    }
}

#[test]
fn a_log_that_cannot_be_made_durable_ends_the_process() {
    let disk = AuditDisk::new();
    let process = Process::serve(&mut disk.command());
    disk.faults.fail("fsync");
    let answer = login_from("203.0.113.9", "admin", "a").send(process.addr());
    assert_eq!((answer.status, answer.problem().as_str()), (503, "outcome_unknown"));
    let (status, log) = process.ended();
    assert!(!status.success() && log.contains("the audit log could not be made durable"), "{status}: {log}");
    disk.faults.heal("fsync");
    Process::serve(&mut disk.command()).terminate();
    whole(&disk.folder);
}
