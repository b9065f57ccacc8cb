//! A disk that is full, fails or stalls: the real process with a few system calls replaced.

use std::{fs, os::unix::process::ExitStatusExt, process::Command};

use chassis::testing::{Answer, Connection, FaultyDisk, Process, call, get, post, until};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    fixture::{Folder, as_admin, login},
    process::{command, create, creating, full_name, read, refused, rename, renaming},
    session_ends::{SignedIn, page, sids},
    sessions::{refreshing, token},
};

/// A data folder on a disk that fails on demand.
struct Disk {
    folder: Folder,
    faults: FaultyDisk,
    _control: TempDir,
}

impl Disk {
    fn new() -> Self {
        let (folder, control) = (Folder::new(), TempDir::new().unwrap());
        let faults = FaultyDisk::new(&folder.data(), control.path());
        Self { folder, faults, _control: control }
    }

    fn command(&self) -> Command {
        let mut command = command(&self.folder.data());
        self.faults.attach_to(&mut command);
        command
    }

    fn start(&self) -> Process {
        Process::serve(&mut self.command())
    }
}

/// The call that makes lines of the audit log durable.
const AUDITED: &str = "fsync 00000000000000000001.jsonl";

fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status, answer.problem())
}

#[test]
fn a_change_is_answered_after_one_fsync_of_the_audit_log_and_then_one_of_the_log() {
    let disk = Disk::new();
    let process = disk.start();
    let renamed = disk.faults.traced(|| assert_eq!(rename(&process, 3, "Tess").status, 200));
    assert_eq!(renamed, [AUDITED, "fsync users.log"], "a crash in between leaves no change that nothing tells of");
    let created = disk.faults.traced(|| drop(create(&process, "ann")));
    assert_eq!(created, [AUDITED, "fsync users.log"]);
}

#[test]
fn an_orderly_end_makes_all_users_durable_in_one_file_before_it_removes_the_log() {
    let disk = Disk::new();
    let process = disk.start();
    assert_eq!(rename(&process, 3, "Tess").status, 200);
    let durable = disk.faults.traced(|| process.terminate());
    let replaced = |name: &str| [format!("fsync {name}.tmp"), format!("rename {name}"), "fsync users".to_owned()];
    let replaced = ["users.meta.json", "sessions.json", "users.json"].map(replaced).concat();
    assert_eq!(durable[0], AUDITED, "the end of the service");
    assert_eq!(durable[1..], [&replaced[..], &["fsync users".to_owned()]].concat());
    assert_eq!(disk.folder.names(), ["audit", "lock", "sessions.json", "users.json", "users.meta.json"]);
    assert!(disk.folder.read("users.json").contains("\"Tess\""));
}

#[test]
fn a_new_data_folder_is_durable_in_the_folders_above_it_before_anything_in_it() {
    let (parent, control) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let faults = FaultyDisk::new(parent.path(), control.path());
    let data = parent.path().join("state").join("users");
    let mut process = None;
    let durable = faults.traced(|| process = Some(Process::serve(faults.attach_to(&mut command(&data)))));
    let top = parent.path().file_name().unwrap().to_str().unwrap();
    assert_eq!(durable[..2], [format!("fsync {top}"), "fsync state".to_owned()], "{durable:?}");
    assert_eq!(durable[2], "fsync users.meta.json.tmp", "{durable:?}");
    process.unwrap().terminate();
}

#[test]
fn a_full_disk_refuses_changes_loses_nothing_and_is_over_when_there_is_room() {
    let disk = Disk::new();
    let process = disk.start();
    assert_eq!(rename(&process, 3, "before").status, 200);
    let files = || ["users.json", "users.log", "users.meta.json"].map(|name| disk.folder.read(name));
    let kept = files();

    disk.faults.fail("full");
    for _ in 0..3 {
        for refused in [rename(&process, 3, "while full"), creating("ann").send(process.addr())] {
            assert_eq!(refusal(&refused), (507, "storage_full".to_owned()));
        }
    }
    assert_eq!(full_name(&process, 3), "before", "readers are served, and see nothing of it");
    assert_eq!(files(), kept);
    assert_eq!(
        disk.folder.names(),
        ["audit", "control.sock", "lock", "sessions.json", "users.json", "users.log", "users.meta.json"],
        "no room is taken by leftovers"
    );

    disk.faults.heal("full");
    let ann = create(&process, "ann");
    assert_eq!(rename(&process, 3, "after").status, 200);
    process.kill();
    let process = disk.start();
    assert_eq!(full_name(&process, 3), "after");
    assert_eq!(read(&process, &format!("/api/users/{}", ann["id"])), ann);
}

#[test]
fn a_failed_fsync_ends_the_process_and_the_next_one_has_whole_data() {
    let disk = Disk::new();
    let process = disk.start();
    assert_eq!(rename(&process, 3, "before").status, 200);

    disk.faults.fail("fsync");
    assert_eq!(refusal(&rename(&process, 3, "unknown")), (503, "outcome_unknown".to_owned()));
    let next = as_admin(get("/api/users/3")).try_send(process.addr());
    assert!(next.is_none_or(|next| next.status == 503), "nothing is served from a state that may be wrong");
    assert_eq!(process.ended().0.signal(), Some(6), "the process aborts");

    let (code, said) = refused(&mut disk.command());
    assert_eq!(code, 1, "nor does it start while the disk fails: {said}");
    disk.faults.heal("fsync");
    let process = disk.start();
    let name = full_name(&process, 3);
    assert!(name == "before" || name == "unknown", "{name}");
    assert_eq!(rename(&process, 3, "after").status, 200);
}

#[test]
fn a_start_writes_what_it_has_read_to_new_files_since_the_disk_may_not_have_it() {
    let disk = Disk::new();
    let process = disk.start();
    disk.faults.fail("fsync");
    assert_eq!(refusal(&rename(&process, 3, "unknown")), (503, "outcome_unknown".to_owned()));
    assert_eq!(process.ended().0.signal(), Some(6), "the process aborts");
    disk.faults.heal("fsync");
    let mut process = None;
    let durable = disk.faults.traced(|| process = Some(disk.start()));
    let rewritten = |name: &str| [format!("fsync {name}.tmp"), format!("rename {name}"), "fsync users".to_owned()];
    let expected = ["users.meta.json", "sessions.json", "users.json", "users.log"].map(rewritten).concat();
    assert!(durable.windows(expected.len()).any(|calls| calls == expected), "{durable:?}");
}

#[test]
fn a_full_disk_is_no_reason_not_to_start() {
    let disk = Disk::new();
    let process = disk.start();
    assert_eq!(rename(&process, 3, "kept").status, 200);
    process.kill();
    disk.faults.fail("full");
    let process = disk.start();
    assert_eq!(full_name(&process, 3), "kept");
    assert_eq!(refusal(&rename(&process, 3, "lost")), (507, "storage_full".to_owned()));
    disk.faults.heal("full");
    assert_eq!(rename(&process, 3, "after").status, 200);
}

#[test]
fn a_log_that_a_crash_cut_short_is_cut_even_where_the_disk_is_full() {
    let disk = Disk::new();
    let process = disk.start();
    assert_eq!(rename(&process, 3, "kept").status, 200);
    process.kill();
    let whole = disk.folder.read("users.log");
    fs::write(disk.folder.data().join("users.log"), format!("{whole}{}", &whole[..whole.len() / 2])).unwrap();
    disk.faults.fail("full");
    let process = disk.start();
    assert_eq!(full_name(&process, 3), "kept");
    assert_eq!(disk.folder.read("users.log"), whole);
    disk.faults.heal("full");
    assert_eq!(rename(&process, 3, "after").status, 200);
    process.kill();
    assert_eq!(full_name(&disk.start(), 3), "after");
}

#[test]
fn a_disk_that_refuses_to_write_fails_the_change_and_not_the_service() {
    let disk = Disk::new();
    let process = disk.start();
    disk.faults.fail("broken");
    let refused = rename(&process, 3, "lost");
    assert_eq!(refusal(&refused), (500, "internal".to_owned()));
    assert!(!refused.text().contains("users.json"), "{}", refused.text());
    disk.faults.heal("broken");
    assert_eq!(rename(&process, 3, "kept").status, 200);
    assert_eq!(full_name(&process, 3), "kept");
}

#[test]
fn a_disk_that_stalls_bounds_the_queue_serves_readers_and_answers_everybody_in_the_end() {
    /// More than the store takes (1024), less than a process may have open.
    const CALLS: usize = 1300;
    let disk = Disk::new();
    let process = disk.start();
    disk.faults.fail("stall");
    let addr = process.addr();
    let calls: Vec<Connection> = (0..CALLS).map(|n| renaming(3, &n.to_string()).begin(addr)).collect();
    assert_eq!(full_name(&process, 1), "Ada Admin", "readers do not wait for the disk");
    assert_eq!(full_name(&process, 3), "", "what is not durable is not shown");
    assert_eq!(read(&process, "/health/ready")["status"], "ready");
    process.signal("TERM");
    disk.faults.heal("stall");
    let mut answers = [0, 0];
    for mut call in calls {
        let answer = call.answer(false).unwrap();
        match answer.status {
            200 => answers[0] += 1,
            503 => {
                assert_eq!(answer.problem(), "overloaded");
                answers[1] += 1;
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert_eq!(answers[0] + answers[1], CALLS);
    assert!(answers[0] >= 1024 && answers[1] > 0, "{answers:?}");
    assert!(process.ended().0.success(), "a signal that came while the disk stalled is obeyed");
}

#[test]
fn a_session_is_opened_refreshed_and_ended_by_one_fsync_of_each_log() {
    let disk = Disk::new();
    let process = disk.start();
    let addr = process.addr();
    let mut session = None;
    let opened = disk.faults.traced(|| session = Some(SignedIn::at(addr, "admin", "a")));
    let session = session.unwrap();
    assert_eq!(opened, [AUDITED, "fsync users.log"], "with a new hash of another cost, or without");
    let refreshed = disk.faults.traced(|| drop(token(&refreshing(&session.refresh_token).send(addr))));
    assert_eq!(refreshed, [AUDITED, "fsync users.log"]);
    let reset = json!({"new_password": "another password"});
    let open: Vec<_> = (0..3).map(|_| SignedIn::at(addr, "demo", "b")).collect();
    let ended = disk.faults.traced(|| {
        assert_eq!(as_admin(post("/api/users/2/password", &reset)).send(addr).status, 204);
    });
    assert_eq!(ended, [AUDITED, "fsync users.log"], "a new password and the ends of three sessions");
    assert!(!open.iter().any(|session| session.is_open(addr)));
    let read = disk.faults.traced(|| {
        assert_eq!(session.calls(get("/api/sessions")).send(addr).status, 200);
        assert_eq!(refreshing("nonsense").send(addr).status, 401);
    });
    assert_eq!(read, [""; 0]);
}

#[test]
fn on_a_full_disk_no_session_is_opened_and_none_that_was_to_end_ends_in_part() {
    let disk = Disk::new();
    let process = disk.start();
    let addr = process.addr();
    let session = SignedIn::at(addr, "demo", "b");
    disk.faults.fail("full");
    let reset = as_admin(post("/api/users/2/password", &json!({"new_password": "another password"})));
    let logout = session.calls(call("POST", "/api/logout"));
    for refused in [login("demo", "b"), refreshing(&session.refresh_token), logout, reset] {
        assert_eq!(refusal(&refused.send(addr)), (507, "storage_full".to_owned()));
    }
    assert!(sids(&page(addr, "")).is_empty(), "gateways hear of nothing");
    disk.faults.heal("full");
    assert!(session.is_open(addr));
    assert_eq!(login("demo", "b").send(addr).status, 200);
}

#[test]
fn nobody_hears_of_the_end_of_a_session_before_it_is_durable() {
    let disk = Disk::new();
    let process = disk.start();
    let addr = process.addr();
    let session = SignedIn::at(addr, "demo", "b");
    disk.faults.fail("stall");
    let mut logout = session.calls(call("POST", "/api/logout")).begin(addr);
    until("the end is being written", || get("/metrics").send(addr).metric("users_store_writes_waiting") == Some(1.0));
    let mut again = session.calls(call("POST", "/api/logout")).begin(addr);
    until("so is another", || get("/metrics").send(addr).metric("users_store_writes_waiting") == Some(2.0));
    assert!(sids(&page(addr, "")).is_empty());
    let mut refresh = refreshing(&session.refresh_token).begin(addr);
    assert_eq!(refresh.answer(false).unwrap().problem(), "invalid_refresh_token", "but it is of no use already");
    disk.faults.heal("stall");
    for logout in [&mut logout, &mut again] {
        assert_eq!(logout.answer(false).unwrap().status, 204);
    }
    assert_eq!(sids(&page(addr, "")), [&session.sid]);
}
