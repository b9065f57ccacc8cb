//! A disk that is full, that fails, and that stalls: the real process with a few system calls replaced.

use std::{
    fs, io::Write, net::TcpStream, os::unix::process::ExitStatusExt, path::PathBuf, process::Command, time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    fixture::{Folder, new_user},
    process::{Process, admin_request, command, read_answer, refused},
};

const SHIM: &str = include_str!("faulty_disk.c");

/// A data folder whose disk fails when told to.
struct FaultyDisk {
    folder: Folder,
    work: TempDir,
}

impl FaultyDisk {
    fn new() -> Self {
        let work = TempDir::new().unwrap();
        let source = work.path().join("faulty_disk.c");
        fs::write(&source, SHIM).unwrap();
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(work.path().join("faulty_disk.so"))
            .arg(source)
            .arg("-ldl");
        let compiled = compiler.output().unwrap();
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        Self { folder: Folder::new(), work }
    }

    fn command(&self) -> Command {
        let mut command = command(&self.folder.data());
        command
            .env("LD_PRELOAD", self.work.path().join("faulty_disk.so"))
            .env("FAULT_FOLDER", self.folder.data())
            .env("FAULT_CONTROL", self.work.path());
        command
    }

    fn control(&self, fault: &str) -> PathBuf {
        self.work.path().join(fault)
    }

    fn fail(&self, fault: &str) {
        fs::write(self.control(fault), "").unwrap();
    }

    fn heal(&self, fault: &str) {
        fs::remove_file(self.control(fault)).unwrap();
    }
}

fn rename(process: &Process, id: i64, name: &str) -> Option<(u16, Value)> {
    process.admin("PATCH", &format!("/api/users/{id}"), &json!({"full_name": name}))
}

#[test]
fn a_change_is_answered_after_file_name_and_folder_are_durable_and_a_new_id_before_its_user() {
    let disk = FaultyDisk::new();
    let process = Process::start(&mut disk.command());
    let traced = |what: &mut dyn FnMut()| {
        disk.fail("trace");
        what();
        let traced = fs::read_to_string(disk.control("trace")).unwrap();
        disk.heal("trace");
        traced.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let replaced = |name: &str| [format!("fsync {name}.tmp"), format!("rename {name}"), "fsync users".to_owned()];
    let renamed = traced(&mut || assert_eq!(rename(&process, 3, "Tess").unwrap().0, 200));
    assert_eq!(renamed, replaced("users.json"));
    let created = traced(&mut || {
        assert_eq!(process.admin("POST", "/api/users", &new_user("ann", "default")).unwrap().0, 201);
    });
    assert_eq!(created, [replaced("users.meta.json"), replaced("users.json")].concat());
}

#[test]
fn a_full_disk_refuses_changes_loses_nothing_and_is_over_when_there_is_room() {
    let disk = FaultyDisk::new();
    let process = Process::start(&mut disk.command());
    assert_eq!(rename(&process, 3, "before").unwrap().0, 200);
    let kept = disk.folder.read("users.json");

    disk.fail("full");
    for _ in 0..3 {
        let (status, problem) = rename(&process, 3, "while full").unwrap();
        assert_eq!((status, &problem["code"]), (507, &json!("storage_full")));
        let (status, problem) = process.admin("POST", "/api/users", &new_user("ann", "default")).unwrap();
        assert_eq!((status, &problem["code"]), (507, &json!("storage_full")));
    }
    assert_eq!(process.full_name(3), "before", "readers are served, and see nothing of it");
    assert_eq!(disk.folder.read("users.json"), kept);
    assert_eq!(disk.folder.names(), ["lock", "users.json", "users.meta.json"], "no room is taken by leftovers");

    disk.heal("full");
    let (status, ann) = process.admin("POST", "/api/users", &new_user("ann", "default")).unwrap();
    assert_eq!(status, 201, "the name is free: {ann}");
    assert_eq!(rename(&process, 3, "after").unwrap().0, 200);
    process.kill();
    let process = Process::start(&mut disk.command());
    assert_eq!(process.full_name(3), "after");
    assert_eq!(process.admin("GET", &format!("/api/users/{}", ann["id"]), &Value::Null).unwrap().1, ann);
}

#[test]
fn a_failed_fsync_ends_the_process_and_the_next_one_has_whole_data() {
    let disk = FaultyDisk::new();
    let mut process = Process::start(&mut disk.command());
    assert_eq!(rename(&process, 3, "before").unwrap().0, 200);

    disk.fail("fsync");
    let (status, problem) = rename(&process, 3, "unknown").unwrap();
    assert_eq!((status, &problem["code"]), (503, &json!("outcome_unknown")));
    let next = process.admin("GET", "/api/users/3", &Value::Null);
    assert!(matches!(next, None | Some((503, _))), "nothing is served from a state that may be wrong: {next:?}");
    assert_eq!(process.end().signal(), Some(6), "the process aborts");

    let (code, said) = refused(&mut disk.command());
    assert_eq!(code, 1, "nor does it start while the disk fails: {said}");
    disk.heal("fsync");
    let process = Process::start(&mut disk.command());
    let name = process.full_name(3);
    assert!(name == "before" || name == "unknown", "{name}");
    assert_eq!(rename(&process, 3, "after").unwrap().0, 200);
}

#[test]
fn a_disk_that_refuses_to_write_fails_the_change_and_not_the_service() {
    let disk = FaultyDisk::new();
    let process = Process::start(&mut disk.command());
    disk.fail("broken");
    let (status, problem) = rename(&process, 3, "lost").unwrap();
    assert_eq!((status, &problem["code"]), (500, &json!("internal")));
    assert!(!problem.to_string().contains("users.json"), "{problem}");
    disk.heal("broken");
    assert_eq!(rename(&process, 3, "kept").unwrap().0, 200);
    assert_eq!(process.full_name(3), "kept");
}

#[test]
fn a_disk_that_stalls_bounds_the_queue_serves_readers_and_answers_everybody_in_the_end() {
    /// More than the store takes (1024), less than a process may have open.
    const CALLS: usize = 1300;
    let disk = FaultyDisk::new();
    let mut process = Process::start(&mut disk.command());
    disk.fail("stall");
    let calls: Vec<TcpStream> = (0..CALLS)
        .map(|n| {
            let mut stream = TcpStream::connect(process.addr()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            let change = json!({"full_name": n.to_string()});
            stream.write_all(admin_request("PATCH", "/api/users/3", &change).as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_eq!(process.full_name(1), "Ada Admin", "readers do not wait for the disk");
    assert_eq!(process.full_name(3), "", "what is not durable is not shown");
    let (status, ready) = process.admin("GET", "/health/ready", &Value::Null).unwrap();
    assert_eq!(status, 200, "{ready}");
    process.terminate();
    disk.heal("stall");
    let mut answers = [0, 0];
    for mut call in calls {
        match read_answer(&mut call) {
            Some((200, _)) => answers[0] += 1,
            Some((503, problem)) => {
                assert_eq!(problem["code"], "overloaded");
                answers[1] += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(answers[0] + answers[1], CALLS);
    assert!(answers[0] >= 1024 && answers[1] > 0, "{answers:?}");
    assert!(process.end().success(), "a signal that came while the disk stalled is obeyed");
}
