//! What is recorded in the audit log, what waits for it, and what an attacker cannot do to it.

use std::{
    collections::HashSet,
    io::ErrorKind,
    net::SocketAddr,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use chassis::{
    identity::Assertion,
    testing::{Answer, Call, FaultyDisk, Process, User, call, get, post, until},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    audit::{audit, lines, text, whole},
    fixture::{ADMIN, DEMO, Folder, GATEWAY, PASSWORD, Users, demo},
    hashing::login_from,
    process::{command, creating, full_name, rename},
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

#[test]
fn a_sign_in_is_recorded_before_it_is_answered_with_who_and_from_where() {
    let users = Users::demo();
    let call = login_from("203.0.113.9", "Demo", "b").header("X-Request-Id", "request-7");
    let answer = users.send(&call);
    assert_eq!(answer.status, 200);
    let line = lines(&users.folder).pop().unwrap();
    assert_eq!(line["request_id"], "request-7");
    let expected = json!({
        "event": "signed_in", "outcome": "done", "user": {"id": 2, "name": "demo"}, "address": "203.0.113.9",
        "details": {"session": answer.json()["session"]["id"]}
    });
    assert_eq!(told(&line), expected);
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
    let change = post("/api/me/password", &json!({"current_password": "wrong", "new_password": PASSWORD}));
    assert_eq!(users.send(&from_session(ADMIN, change)).status, 422);
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
    assert!(!status.success() && log.contains("the state of the audit log is unknown"), "{status}: {log}");
    disk.faults.heal("fsync");
    Process::serve(&mut disk.command()).terminate();
    whole(&disk.folder);
}

/// A call of a user from an address, in a session.
fn from_session(user: User, call: Call) -> Call {
    let assertion =
        Assertion { client_ip: Some([203, 0, 113, 9].into()), sid: Some("the-session".to_owned()), ..user.assertion() };
    call.header("gateway-assertion", &GATEWAY.sign(&assertion))
}

#[test]
fn every_change_of_a_user_is_recorded_with_who_made_it() {
    let users = Users::demo();
    let admin = |method: &str, target: &str, body: &Value| {
        let answer = users.send(&from_session(ADMIN, call(method, target).json(body)));
        assert!(answer.status < 300, "{}", answer.text());
        answer
    };
    let new = json!({"username": "ann", "password": PASSWORD, "user_type": "default"});
    let id = admin("POST", "/api/users", &new).json()["id"].as_i64().unwrap();
    let target = format!("/api/users/{id}");
    admin("PATCH", &target, &json!({"username": "Ann", "email": "ann@example.com", "user_type": "admin"}));
    admin("PUT", &target, &json!({"email": "ann@example.com"}));
    admin("POST", &format!("{target}/password"), &json!({"new_password": "another four words nobody guesses"}));
    let ann = User { id, user_type: "admin" };
    let own = json!({"current_password": "another four words nobody guesses", "new_password": PASSWORD});
    assert_eq!(users.send(&from_session(ann, post("/api/me/password", &own))).status, 204);
    let full_name = call("PATCH", "/api/me").json(&json!({"full_name": "Ann"}));
    assert_eq!(users.send(&from_session(ann, full_name)).status, 200);
    assert_eq!(users.send(&from_session(ADMIN, call("DELETE", &target))).status, 204);

    let (admin, named) = (json!({"id": 1, "name": "admin"}), |name: &str| json!({"id": id, "name": name}));
    let fields = json!(["username", "email", "user_type"]);
    let changed = json!({
        "fields": fields, "new_name": "Ann", "old_user_type": "default", "new_user_type": "admin"
    });
    let expected = [
        ("user_created", named("ann"), admin.clone(), json!({"user_type": "default"})),
        ("user_changed", named("ann"), admin.clone(), changed),
        ("password_reset", named("Ann"), admin.clone(), Value::Null),
        ("password_changed", named("Ann"), named("Ann"), Value::Null),
        ("user_changed", named("Ann"), named("Ann"), json!({"fields": ["full_name"]})),
        ("user_deleted", named("Ann"), admin, Value::Null),
    ];
    let lines = lines(&users.folder);
    let lines: Vec<&Value> = lines.iter().filter(|line| line["session"] == "the-session").collect();
    let found: Vec<_> = lines
        .iter()
        .map(|line| {
            (line["event"].as_str().unwrap(), line["user"].clone(), line["by"].clone(), line["details"].clone())
        })
        .collect();
    assert_eq!(found, expected);
    assert!(lines.iter().all(|line| line["address"] == "203.0.113.9" && line["request_id"].is_string()));
    let folder = users.stop();
    assert!(!text(&folder).contains("$2b$") && !text(&folder).contains("four words"), "no password and no hash");
    let (_, shown) = audit(&folder, &["show", "--user", &id.to_string()]);
    assert_eq!(shown.lines().count(), 6, "{shown}");
}

#[test]
fn a_change_that_cannot_be_recorded_is_not_made() {
    let disk = AuditDisk::new();
    let process = Process::serve(&mut disk.command());
    disk.faults.fail("full");
    assert_eq!(rename(&process, 3, "lost").status, 507);
    assert_eq!(full_name(&process, 3), "");
    disk.faults.heal("full");
    assert_eq!(rename(&process, 3, "kept").status, 200);
    process.kill();
    assert_eq!(recorded(&disk.folder, "user_changed", 1).len(), 1);
}

#[test]
fn a_change_that_fails_after_it_was_recorded_is_recorded_as_failed() {
    let (folder, control) = (Folder::new(), TempDir::new().unwrap());
    let log = FaultyDisk::new(&folder.data().join("users.log"), control.path());
    let process = Process::serve(log.attach_to(&mut command(&folder.data())));
    log.fail("full");
    assert_eq!(rename(&process, 3, "lost").status, 507);
    let lines = recorded(&folder, "user_changed", 2);
    assert_eq!([&lines[0]["outcome"], &lines[1]["outcome"]], ["done", "failed"]);
    assert_eq!(lines[0]["request_id"], lines[1]["request_id"]);
}

#[test]
fn users_who_change_their_own_account_again_and_again_do_not_push_others_out_of_the_log() {
    let users = Users::demo();
    for number in 0..20 {
        let change = call("PATCH", "/api/me").json(&json!({"full_name": number.to_string()}));
        assert_eq!(users.send(&GATEWAY.signed(change, Some(DEMO))).status, 200);
    }
    let folder = users.stop();
    let lines = recorded(&folder, "user_changed", 2);
    assert!(lines.len() <= 4, "{lines:?}");
    let times = |line: &Value| line["details"]["times"].as_u64().unwrap_or(1);
    assert_eq!(lines.iter().map(times).sum::<u64>(), 20);
}

/// Makes users as fast as they are acknowledged, until the process no longer answers; the names of those that were.
fn create_until_gone(addr: SocketAddr, prefix: &str, acknowledged: &AtomicUsize) -> Vec<String> {
    let names = (0..).map(|number| format!("{prefix}-{number}"));
    let is_made = |name: &String| creating(name).try_send(addr).is_some_and(|answer| answer.status == 201);
    let count = |_: &String| {
        acknowledged.fetch_add(1, Ordering::Relaxed);
    };
    names.take_while(is_made).inspect(count).collect()
}

#[test]
fn after_kill_9_every_change_that_was_acknowledged_has_its_line_and_the_chain_holds() {
    let folder = Folder::new();
    for (round, count) in [9, 23, 14, 31, 5].into_iter().enumerate() {
        let process = Process::serve(&mut command(&folder.data()));
        let (addr, acknowledged) = (process.addr(), AtomicUsize::new(0));
        let names: Vec<String> = thread::scope(|scope| {
            let acknowledged = &acknowledged;
            let creators: Vec<_> = (0..4)
                .map(|n| scope.spawn(move || create_until_gone(addr, &format!("r{round}-{n}"), acknowledged)))
                .collect();
            until("enough changes are acknowledged", || acknowledged.load(Ordering::Relaxed) >= count);
            process.kill();
            creators.into_iter().flat_map(|creator| creator.join().unwrap()).collect()
        });
        // The next start mends the end.
        Process::serve(&mut command(&folder.data())).kill();
        whole(&folder);
        let created = recorded(&folder, "user_created", names.len());
        let recorded: HashSet<&str> = created.iter().filter_map(|line| line["user"]["name"].as_str()).collect();
        for name in &names {
            assert!(recorded.contains(name.as_str()), "round {round}: nothing tells of {name}");
        }
    }
}
