//! Crashes: the process is killed, or asked to end, while it is writing.

use std::{
    collections::HashMap,
    env, fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use chassis::testing::{Process, call, get, post, until};
use serde_json::{Value, json};

use crate::{
    fixture::{DEMO, Folder, as_admin, login},
    process::{command, create, creating, full_name, read, renaming},
    session_ends::{SignedIn, page, sids},
    sessions::{refreshing, token},
};

/// Users that are changed all the time, each by a thread of its own.
const WRITERS: usize = 8;

/// What was acknowledged to a thread.
#[derive(Default)]
struct Acknowledged {
    created: Vec<String>,
    /// The last full name of a user that was acknowledged: a number that only grows.
    renamed: usize,
}

/// Makes users as fast as they are acknowledged, until the process no longer answers.
fn create_until_gone(addr: SocketAddr, prefix: String, acknowledged: Arc<AtomicUsize>) -> JoinHandle<Acknowledged> {
    thread::spawn(move || {
        let mut promised = Acknowledged::default();
        for n in 0.. {
            let name = format!("{prefix}-{n}");
            if creating(&name).try_send(addr).is_none_or(|answer| answer.status != 201) {
                break;
            }
            promised.created.push(name);
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        promised
    })
}

/// Changes one user as fast as it is acknowledged, from `start` on, until the process no longer answers.
fn rename_until_gone(
    addr: SocketAddr,
    id: i64,
    start: usize,
    acknowledged: Arc<AtomicUsize>,
) -> JoinHandle<Acknowledged> {
    thread::spawn(move || {
        let mut promised = Acknowledged { renamed: start, ..Acknowledged::default() };
        for n in start + 1.. {
            if renaming(id, &n.to_string()).try_send(addr).is_none_or(|answer| answer.status != 200) {
                break;
            }
            promised.renamed = n;
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        promised
    })
}

/// Reads the file again and again; whoever reads it, at any moment, reads whole JSON.
fn read_until(path: &Path, stop: Arc<AtomicBool>) -> JoinHandle<usize> {
    let path = path.to_owned();
    thread::spawn(move || {
        let mut reads = 0;
        while !stop.load(Ordering::Relaxed) {
            let users: Vec<Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            assert!(users.len() >= 3);
            reads += 1;
        }
        reads
    })
}

fn wait_for(acknowledged: &AtomicUsize, count: usize) {
    until("enough changes are acknowledged", || acknowledged.load(Ordering::Relaxed) >= count);
}

fn names(process: &Process) -> Vec<String> {
    let list = read(process, "/api/users");
    list.as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect()
}

/// The rounds of the crash test: a few, or as many as this environment variable says.
fn rounds() -> usize {
    env::var("USERS_TEST_CRASH_ROUNDS").map_or(6, |rounds| rounds.parse().unwrap())
}

#[test]
fn nothing_that_was_acknowledged_is_lost_by_kill_9() {
    let folder = Folder::new();
    let mut process = Process::serve(&mut command(&folder.data()));
    let ids: Vec<i64> =
        (0..WRITERS).map(|n| create(&process, &format!("writer-{n}"))["id"].as_i64().unwrap()).collect();
    let mut renamed = [0; WRITERS];
    let mut id_max = 0;
    // Each round is killed at another moment of the burst.
    for (round, count) in [30, 71, 113, 40, 97, 150].into_iter().cycle().take(rounds()).enumerate() {
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let reader = read_until(&folder.data().join("users.json"), Arc::clone(&stop));
        let addr = process.addr();
        let creators: Vec<_> =
            (0..3).map(|n| create_until_gone(addr, format!("r{round}-{n}"), Arc::clone(&acknowledged))).collect();
        let renamers: Vec<_> =
            (0..WRITERS).map(|n| rename_until_gone(addr, ids[n], renamed[n], Arc::clone(&acknowledged))).collect();
        wait_for(&acknowledged, count);
        process.kill();
        let created: Vec<String> = creators.into_iter().flat_map(|creator| creator.join().unwrap().created).collect();
        for (n, renamer) in renamers.into_iter().enumerate() {
            renamed[n] = renamer.join().unwrap().renamed;
        }
        stop.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);

        process = Process::serve(&mut command(&folder.data()));
        // The list comes in pages of 500, so that the users of earlier rounds are removed.
        let users = read(&process, "/api/users");
        let users = users.as_array().unwrap().iter();
        let mut ids_by_name: HashMap<String, i64> =
            users.map(|user| (user["username"].as_str().unwrap().to_owned(), user["id"].as_i64().unwrap())).collect();
        for name in created {
            assert!(ids_by_name.contains_key(&name), "round {round}: {name} is lost");
        }
        ids_by_name.retain(|name, _| name.starts_with('r') || name.starts_with("after"));
        for id in ids_by_name.into_values() {
            let deleted = as_admin(call("DELETE", &format!("/api/users/{id}"))).send(process.addr());
            assert_eq!(deleted.status, 204);
        }
        for (n, id) in ids.iter().enumerate() {
            let kept: usize = full_name(&process, *id).parse().unwrap_or_default();
            assert!(kept >= renamed[n], "round {round}: user {id} went back from {} to {kept}", renamed[n]);
            renamed[n] = kept;
        }
        let last = create(&process, &format!("after-{round}"));
        assert!(last["id"].as_i64().unwrap() > id_max, "an id was given again");
        id_max = last["id"].as_i64().unwrap();
    }
}

/// Changes one user as fast as it is acknowledged, to names that are as long as they may be, until the process no longer
/// answers. Returns the last number that was acknowledged.
fn rename_at_length_until_gone(addr: SocketAddr, id: i64) -> JoinHandle<usize> {
    thread::spawn(move || {
        let names = (1..).map(|n| format!("{n}{}", LONG.repeat(190)));
        names.take_while(|name| renaming(id, name).try_send(addr).is_some_and(|answer| answer.status == 200)).count()
    })
}

/// Three bytes.
const LONG: &str = "\u{754c}";

#[test]
fn a_large_log_is_compacted_while_changes_go_on_and_nothing_is_lost() {
    let folder = Folder::new();
    let process = Process::serve(&mut command(&folder.data()));
    let ids: Vec<i64> =
        (0..WRITERS).map(|n| create(&process, &format!("writer-{n}"))["id"].as_i64().unwrap()).collect();
    let addr = process.addr();
    let renamers: Vec<_> = ids.iter().map(|id| rename_at_length_until_gone(addr, *id)).collect();
    let compactions = "users_store_compaction_duration_seconds_count";
    until("the log was compacted twice", || get("/metrics").send(addr).metric(compactions).unwrap() >= 2.0);
    // Compacted from 1 MiB on; while that is done, a little more is written.
    let log_bytes = fs::metadata(folder.data().join("users.log")).unwrap().len();
    assert!(log_bytes < 2 * 1024 * 1024, "{log_bytes}");
    process.kill();
    let renamed: Vec<usize> = renamers.into_iter().map(|renamer| renamer.join().unwrap()).collect();
    let process = Process::serve(&mut command(&folder.data()));
    for (id, renamed) in ids.iter().zip(renamed) {
        let kept: usize = full_name(&process, *id).trim_end_matches(LONG).parse().unwrap();
        assert!(kept >= renamed && renamed > 0, "user {id} went back from {renamed} to {kept}");
    }
    process.terminate();
    assert_eq!(folder.names(), ["audit", "lock", "sessions.json", "users.json", "users.meta.json"]);
}

#[test]
fn a_signal_to_end_loses_nothing_and_does_not_hang() {
    let folder = Folder::new();
    let process = Process::serve(&mut command(&folder.data()));
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let addr = process.addr();
    let creators: Vec<_> =
        (0..4).map(|n| create_until_gone(addr, format!("c{n}"), Arc::clone(&acknowledged))).collect();
    let renamers: Vec<_> = (1..=3).map(|id| rename_until_gone(addr, id, 0, Arc::clone(&acknowledged))).collect();
    wait_for(&acknowledged, 60);
    process.signal("TERM");
    let (status, log) = process.ended();
    assert!(status.success() && log.contains("users has stopped"), "{status}: {log}");
    let created: Vec<String> = creators.into_iter().flat_map(|creator| creator.join().unwrap().created).collect();
    let renamed: Vec<usize> = renamers.into_iter().map(|renamer| renamer.join().unwrap().renamed).collect();

    let process = Process::serve(&mut command(&folder.data()));
    let names = names(&process);
    for name in created {
        assert!(names.contains(&name), "{name} is lost");
    }
    for (id, renamed) in (1..).zip(renamed) {
        let kept: usize = full_name(&process, id).parse().unwrap_or_default();
        assert!(kept >= renamed, "user {id} went back from {renamed} to {kept}");
    }
    assert!(!folder.names().iter().any(|name| name.contains("tmp")), "{:?}", folder.names());
}

/// Exchanges refresh tokens as fast as they are acknowledged, until the process no longer answers. Returns the last one.
fn refresh_until_gone(addr: SocketAddr, mut last: String, acknowledged: Arc<AtomicUsize>) -> JoinHandle<String> {
    thread::spawn(move || {
        while let Some(answer) = refreshing(&last).try_send(addr) {
            last = token(&answer);
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        last
    })
}

/// Signs in and out, again and again, until the process no longer answers. Returns the sessions that have ended.
fn sign_out_until_gone(addr: SocketAddr, acknowledged: Arc<AtomicUsize>) -> JoinHandle<Vec<SignedIn>> {
    thread::spawn(move || {
        let mut ended = Vec::new();
        while let Some(answer) = login("demo", "b").try_send(addr) {
            let session = SignedIn::by(&answer);
            let Some(answer) = session.calls(call("POST", "/api/logout")).try_send(addr) else { break };
            assert_eq!(answer.status, 204, "{}", answer.text());
            ended.push(session);
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        ended
    })
}

#[test]
fn a_session_that_was_acknowledged_goes_on_after_kill_9_and_one_that_has_ended_does_not() {
    let folder = Folder::new();
    let mut process = Process::serve(&mut command(&folder.data()));
    let mut kept: Vec<String> = (0..4).map(|_| token(&login("admin", "a").send(process.addr()))).collect();
    for (round, count) in [40, 91, 150, 60].into_iter().cycle().take(rounds()).enumerate() {
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let addr = process.addr();
        let refreshers: Vec<_> =
            kept.drain(..).map(|last| refresh_until_gone(addr, last, Arc::clone(&acknowledged))).collect();
        let leavers: Vec<_> = (0..3).map(|_| sign_out_until_gone(addr, Arc::clone(&acknowledged))).collect();
        wait_for(&acknowledged, count);
        process.kill();
        kept = refreshers.into_iter().map(|refresher| refresher.join().unwrap()).collect();
        let ended: Vec<SignedIn> = leavers.into_iter().flat_map(|leaver| leaver.join().unwrap()).collect();

        process = Process::serve(&mut command(&folder.data()));
        // The last exchange may be durable although it was not acknowledged; then this one is its repetition.
        for last in &mut kept {
            *last = token(&refreshing(last).send(process.addr()));
        }
        let feed = page(process.addr(), "");
        for session in ended {
            assert!(!session.is_open(process.addr()), "round {round}: {} goes on", session.sid);
            assert!(
                feed["more"] == true || sids(&feed).contains(&&*session.sid),
                "round {round}: gateways do not hear of it"
            );
        }
    }
}

#[test]
fn a_password_that_was_changed_never_leaves_a_session_open_wherever_the_log_was_cut() {
    let folder = Folder::new();
    let process = Process::serve(&mut command(&folder.data()));
    let open: Vec<SignedIn> = (0..3).map(|_| SignedIn::at(process.addr(), "demo", "b")).collect();
    let before = fs::read(folder.data().join("users.log")).unwrap().len();
    let path = format!("/api/users/{}/password", DEMO.id);
    let reset = as_admin(post(&path, &json!({"new_password": "another password"}))).send(process.addr());
    assert_eq!(reset.status, 204);
    process.kill();
    let log = fs::read(folder.data().join("users.log")).unwrap();
    let kept = ["users.json", "users.meta.json", "sessions.json"].map(|name| (name, folder.read(name)));
    // A start takes a tenth of a second: some cuts are enough, the first and the last ones among them.
    for cut in (before..=log.len()).step_by(37).chain([log.len() - 1, log.len()]) {
        for (name, text) in &kept {
            fs::write(folder.data().join(name), text).unwrap();
        }
        fs::write(folder.data().join("users.log"), &log[..cut]).unwrap();
        let process = Process::serve(&mut command(&folder.data()));
        let has_new = login("demo", "another password").send(process.addr()).status == 200;
        let still_open = open.iter().filter(|session| session.is_open(process.addr())).count();
        assert_eq!((has_new, still_open), if cut == log.len() { (true, 0) } else { (false, 3) }, "{cut}");
    }
}
