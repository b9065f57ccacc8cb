//! Every system call of the store fails once: the real process, started anew for each call, until a run needs no more.
//!
//! Each run starts from a folder with two logs, makes changes until the log is compacted, and ends in order; so it passes
//! through start, append, rotation, compaction and end. Then the next start, on a disk that works again, must have every
//! change that was acknowledged, and none that was refused.

use std::{collections::BTreeMap, fs, os::unix::process::ExitStatusExt, path::Path, thread};

use chassis::testing::{Answer, Call, FailingCalls, FaultyDisk, Process, call};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    audit::whole,
    fixture::{Folder, as_admin},
    process::{command, create, creating, full_name, read, rename, renaming},
};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const SIGABRT: i32 = 6;

/// A user whose record has a field of 300 KiB, which this version does not know: four changes of it make a log of 1 MiB,
/// which is compacted.
const LARGE: i64 = 2;
const SMALL: i64 = 3;
const CHANGES: usize = 6;
/// Users that are made during a run; the first is deleted again.
const CREATED: [&str; 2] = ["first", "second"];
/// More runs than any kind of call needs.
const RUNS_MAX: u32 = 200;

/// What is known of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    Refused(u16),
    Unknown,
}

impl Outcome {
    fn of(call: &Call, process: &Process) -> (Self, Option<Answer>) {
        let answer = call.try_send(process.addr());
        let outcome = match &answer {
            None => Self::Unknown,
            Some(answer) if answer.status < 300 => Self::Done,
            Some(answer) if answer.status == 503 && answer.problem() == "outcome_unknown" => Self::Unknown,
            Some(answer) => {
                answer.problem();
                Self::Refused(answer.status)
            }
        };
        (outcome, answer)
    }
}

/// What a full name may be, and which users there may be, after all that was answered.
#[derive(Debug, Default)]
struct Expected {
    /// The values that a user may have: the last one that was acknowledged, and one whose outcome is unknown.
    names: BTreeMap<i64, Vec<String>>,
    /// The users that are there, by name.
    present: BTreeMap<String, i64>,
    /// Names of users that may be there.
    doubtful: Vec<String>,
    id_max: i64,
    outcomes: Vec<Outcome>,
}

impl Expected {
    fn add(&mut self, other: Self) {
        self.names.extend(other.names);
        self.present.extend(other.present);
        self.doubtful.extend(other.doubtful);
        self.id_max = self.id_max.max(other.id_max);
        self.outcomes.extend(other.outcomes);
    }

    /// Renames a user again and again.
    fn of_renaming(process: &Process, id: i64) -> Self {
        let mut expected = Self { names: [(id, vec!["before".to_owned()])].into(), ..Self::default() };
        let values = expected.names.get_mut(&id).unwrap();
        for n in 0..CHANGES {
            let outcome = Outcome::of(&renaming(id, &n.to_string()), process).0;
            expected.outcomes.push(outcome);
            match outcome {
                Outcome::Done => *values = vec![n.to_string()],
                Outcome::Unknown => {
                    return {
                        values.push(n.to_string());
                        expected
                    };
                }
                Outcome::Refused(_) => {}
            }
        }
        expected
    }

    /// Makes two users and deletes the first.
    fn of_creating(process: &Process) -> Self {
        let mut expected = Self::default();
        for name in CREATED {
            let (outcome, answer) = Outcome::of(&creating(name), process);
            expected.outcomes.push(outcome);
            match outcome {
                Outcome::Done => {
                    let id = answer.unwrap().json()["id"].as_i64().unwrap();
                    assert!(id > expected.id_max, "an id was given again");
                    expected.id_max = id;
                    expected.present.insert(name.to_owned(), id);
                }
                Outcome::Unknown => expected.doubtful.push(name.to_owned()),
                Outcome::Refused(_) => {}
            }
        }
        if let Some(id) = expected.present.get(CREATED[0]) {
            let outcome = Outcome::of(&as_admin(call("DELETE", &format!("/api/users/{id}"))), process).0;
            expected.outcomes.push(outcome);
            if !matches!(outcome, Outcome::Refused(_)) {
                expected.present.remove(CREATED[0]);
            }
            if outcome == Outcome::Unknown {
                expected.doubtful.push(CREATED[0].to_owned());
            }
        }
        expected
    }

    /// Compares what a service shows with what must be there.
    fn compare(&self, process: &Process, context: &str) {
        for (id, values) in &self.names {
            let found = full_name(process, *id);
            assert!(values.contains(&found), "{context}: user {id} has the name {found}, not one of {values:?}");
        }
        let users = read(process, "/api/users");
        let found = users.as_array().unwrap().iter().filter(|user| user["id"].as_i64() > Some(SMALL));
        let mut found: BTreeMap<String, i64> =
            found.map(|user| (user["username"].as_str().unwrap().to_owned(), user["id"].as_i64().unwrap())).collect();
        found.retain(|name, _| !self.doubtful.contains(name));
        assert_eq!(found, self.present, "{context}");
    }

    fn is_certain(&self) -> bool {
        !self.outcomes.contains(&Outcome::Unknown)
    }
}

/// A folder as a crash leaves it in a compaction: both logs have a change that `users.json` lacks.
fn template() -> Folder {
    let hash = "$2b$12$16kNu5IW80k1Tw7xz2H3iOCsz0.oMZ7q5OSGa/OIfOae0WGFe8aI2";
    let user = |id: i64, user_type: &str, notes: String| json!({"id": id, "username": format!("user-{id}"), "user_type": user_type, "hashed_password": hash, "notes": notes});
    let users = json!([
        user(1, "admin", String::new()),
        user(LARGE, "default", "x".repeat(300 * 1024)),
        user(SMALL, "default", String::new()),
    ]);
    let folder = Folder::with_users(&users.to_string());
    let process = Process::serve(&mut command(&folder.data()));
    for id in [SMALL, LARGE] {
        assert_eq!(rename(&process, id, "before").status, 200);
    }
    process.kill();
    let log = folder.read("users.log");
    let (old, current) = log.split_at(log.find('\n').unwrap() + 1);
    fs::write(folder.data().join("users.log.old"), old).unwrap();
    fs::write(folder.data().join("users.log"), current).unwrap();
    folder
}

fn copy(template: &Folder) -> Folder {
    let folder = Folder::new();
    copy_all(&template.data(), &folder.data());
    folder
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_all(&source, &copy);
        } else if source.is_file() {
            // And not the control socket.
            fs::copy(source, copy).unwrap();
        }
    }
}

/// What came of a run.
struct Run {
    /// What must be there afterwards; nothing where the service did not start.
    expected: Option<Expected>,
    /// What was answered to one more change, after the others.
    last: Option<Outcome>,
    /// Whether a call failed at all.
    has_failed: bool,
    /// Whether the process ended by itself.
    has_aborted: bool,
    said: String,
}

/// One run on a folder, with calls that fail. It ends by a kill where a call has failed, so that the next start reads what
/// that left, and otherwise in order, so that a call may fail in this.
fn run(folder: &Folder, disk: &FaultyDisk, failing: &[FailingCalls], context: &str) -> Run {
    let mut program = command(&folder.data());
    disk.fail_calls(disk.attach_to(&mut program), failing);
    let process = Process::spawn(&mut program);
    if !process.has_started() {
        let (status, said) = process.ended();
        assert_eq!(status.code(), Some(1), "{context}: {said}");
        return Run { expected: None, last: None, has_failed: disk.has_failed_a_call(), has_aborted: false, said };
    }
    // Only calls that make something durable, or undo what was written, may end the process.
    let may_abort = failing.iter().any(|calls| matches!(calls.kind, "fsync" | "truncate"));
    let (expected, last) = change(&process, may_abort, context);
    let has_failed = disk.has_failed_a_call();
    let will_abort = has_failed && (failing[0].kind == "fsync" || !expected.is_certain());
    if has_failed && !will_abort {
        let said = process.kill();
        return Run { expected: Some(expected), last, has_failed, has_aborted: false, said };
    }
    if !will_abort {
        process.try_signal("TERM");
    }
    let (status, said) = process.ended();
    let has_aborted = !status.success();
    // A signal to end that comes between the failure and the abort ends the process, too, but not in order.
    let is_expected = may_abort && (status.signal() == Some(SIGABRT) || status.code() == Some(1));
    assert!(!has_aborted || (is_expected && said.contains("an fsync failed")), "{context}: {status}: {said}");
    assert!(has_aborted || expected.is_certain(), "{context}: an unknown outcome, but the process went on: {said}");
    Run { expected: Some(expected), last, has_failed: has_failed || disk.has_failed_a_call(), has_aborted, said }
}

/// Changes users from several threads, and, unless the process may abort meanwhile, compares what it shows and makes one
/// more change.
fn change(process: &Process, may_abort: bool, context: &str) -> (Expected, Option<Outcome>) {
    let mut expected = Expected { id_max: SMALL, ..Expected::default() };
    thread::scope(|scope| {
        let renaming = [LARGE, SMALL].map(|id| scope.spawn(move || Expected::of_renaming(process, id)));
        let creating = scope.spawn(|| Expected::of_creating(process));
        renaming.into_iter().chain([creating]).for_each(|client| expected.add(client.join().unwrap()));
    });
    if may_abort {
        return (expected, None);
    }
    expected.compare(process, &format!("{context}, while it serves"));
    let last = Outcome::of(&renaming(SMALL, "last"), process).0;
    if last == Outcome::Done {
        expected.names.insert(SMALL, vec!["last".to_owned()]);
    }
    (expected, Some(last))
}

/// Runs until a run has made fewer calls than would fail, and checks each; then there must have been `runs_min`, or the test
/// fails nothing.
fn fail_each(runs_min: u32, failing: impl Fn(u32) -> Vec<FailingCalls>, check: impl Fn(&Run, &str)) {
    let (template, control) = (template(), TempDir::new().unwrap());
    let disk = FaultyDisk::new(&template.data(), control.path());
    for number in 1..RUNS_MAX {
        let folder = copy(&template);
        let calls = failing(number);
        let context = format!("{calls:?}");
        let run = run(&folder, &disk.at(&folder.data()), &calls, &context);
        if run.has_failed {
            check(&run, &context);
        }
        let expected = run.expected.unwrap_or_else(|| Expected {
            names: [LARGE, SMALL].map(|id| (id, vec!["before".to_owned()])).into(),
            ..Expected::default()
        });
        let process = Process::serve(&mut command(&folder.data()));
        expected.compare(&process, &context);
        let id = create(&process, "afterwards")["id"].as_i64().unwrap();
        assert!(id > expected.id_max, "{context}: the id {id} was given again");
        process.terminate();
        whole(&folder);
        let names = folder.names();
        assert!(!names.iter().any(|name| name.contains(".log") || name.contains(".tmp")), "{context}: {names:?}");
        if !run.has_failed {
            assert!(number > runs_min, "only {number} runs");
            eprintln!("{context}: {number} runs");
            return;
        }
    }
    panic!("the number of calls does not end");
}

fn once(kind: &'static str, number: u32, errno: i32) -> Vec<FailingCalls> {
    vec![FailingCalls { kind, numbers: number..=number, errno }]
}

/// Checks that a run went on after the failure, and refused with one status only: something before the last change, or that
/// one.
fn failed_for_a_moment(run: &Run, status: u16, context: &str) {
    went_on(run, status, context);
    let others_are_done =
        run.expected.iter().flat_map(|expected| &expected.outcomes).all(|outcome| *outcome == Outcome::Done);
    assert!(run.last == Some(Outcome::Done) || others_are_done, "{context}: {:?}", run.last);
}

/// Checks that a run went on after the failure, and refused with one status only.
fn went_on(run: &Run, status: u16, context: &str) {
    let expected = run.expected.as_ref().unwrap_or_else(|| panic!("{context}: it did not start: {}", run.said));
    let others = expected.outcomes.iter().filter(|outcome| !matches!(outcome, Outcome::Done));
    assert!(others.clone().all(|outcome| *outcome == Outcome::Refused(status)), "{context}: {:?}", expected.outcomes);
    assert!(!run.has_aborted && !run.said.contains("os error 2)"), "{context}: {}", run.said);
}

#[test]
fn a_disk_that_is_full_for_one_write_refuses_at_most_the_changes_of_that_moment() {
    fail_each(
        15,
        |n| once("write", n, ENOSPC),
        |run, context| {
            failed_for_a_moment(run, 507, context);
        },
    );
}

#[test]
fn a_disk_that_becomes_full_at_any_write_refuses_every_change_from_then_on_and_serves() {
    let failing = |n| vec![FailingCalls { kind: "write", numbers: n..=u32::MAX, errno: ENOSPC }];
    fail_each(15, failing, |run, context| went_on(run, 507, context));
}

#[test]
fn a_disk_on_which_one_file_cannot_be_created_or_renamed_does_no_harm() {
    for kind in ["create", "rename"] {
        fail_each(
            6,
            |n| once(kind, n, ENOSPC),
            |run, context| {
                went_on(run, 507, context);
                assert_eq!(run.last, Some(Outcome::Done), "{context}");
            },
        );
    }
}

#[test]
fn a_write_that_fails_ends_a_start_with_the_reason_and_later_refuses_the_changes_of_that_moment() {
    for kind in ["write", "rename"] {
        fail_each(
            6,
            |n| once(kind, n, EIO),
            |run, context| match &run.expected {
                None => assert!(run.said.contains("Input/output error (os error 5)"), "{context}: {}", run.said),
                Some(_) => {
                    failed_for_a_moment(run, 500, context);
                }
            },
        );
    }
}

#[test]
fn a_file_that_cannot_be_opened_cut_or_removed_loses_nothing() {
    for (kind, runs_min) in [("open", 10), ("truncate", 1), ("unlink", 3)] {
        fail_each(
            runs_min,
            |n| once(kind, n, EIO),
            |run, context| {
                if run.expected.is_none() {
                    assert!(run.said.contains("Input/output error (os error 5)"), "{context}: {}", run.said);
                }
            },
        );
    }
}

#[test]
fn half_a_line_that_cannot_be_cut_off_ends_the_process_and_the_next_one_cuts_it_off() {
    // The first call that cuts is of the lock, at the start.
    let failing = |n| {
        let full = FailingCalls { kind: "write", numbers: n..=n, errno: ENOSPC };
        vec![full, FailingCalls { kind: "truncate", numbers: 2..=u32::MAX, errno: EIO }]
    };
    fail_each(15, failing, |run, context| {
        if run.expected.is_none() {
            assert!(run.said.contains("Input/output error (os error 5)"), "{context}: {}", run.said);
        }
    });
}

#[test]
fn an_fsync_that_fails_ends_the_process_and_the_next_one_has_all_that_was_acknowledged() {
    for errno in [EIO, ENOSPC] {
        fail_each(
            15,
            |n| once("fsync", n, errno),
            |run, context| {
                let is_explained = run.has_aborted
                    || run.expected.is_none()
                    || run.said.contains("the log of the users could not be compacted; the next start reads it")
                    || run.said.contains("the end of the service is not in the audit log");
                assert!(is_explained, "{context}: {}", run.said);
            },
        );
    }
}
