//! `users rehearse`: what the next start would do, with a copy of the files.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use chassis::testing::{Process, until};

use crate::{
    fixture::Folder,
    process::{command, create, refused, rename},
};

/// Runs a rehearsal: its exit code and what it said.
fn rehearse(data: &Path, scratch: &Path) -> (i32, String) {
    refused(command(data).arg("rehearse").arg(scratch))
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_rehearsal_reads_the_files_of_a_busy_service_and_changes_none() {
    let (folder, scratch) = (Folder::new(), tempfile::tempdir().unwrap());
    let service = Process::serve(&mut command(&folder.data()));
    let id = create(&service, "ann")["id"].as_i64().unwrap();
    assert_eq!(rehearse(&folder.data(), scratch.path()), (0, "ok: 4 users".to_owned()), "with the log");
    service.terminate();
    // Each start and each end replaces all files, or removes some.
    let (stop, restarts) = (AtomicBool::new(false), AtomicUsize::new(0));
    let said: Vec<_> = thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let service = Process::serve(&mut command(&folder.data()));
                assert_eq!(rename(&service, id, "another name").status, 200);
                service.terminate();
                restarts.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut said = Vec::new();
        until("the service has restarted several times", || {
            said.push(rehearse(&folder.data(), scratch.path()));
            restarts.load(Ordering::Relaxed) > 100
        });
        stop.store(true, Ordering::Relaxed);
        said
    });
    assert!(said.iter().all(|said| *said == (0, "ok: 4 users".to_owned())), "{said:?}");
    assert_eq!(names(scratch.path()), Vec::<String>::new(), "the copy is deleted");
}

#[test]
fn a_rehearsal_fails_where_the_next_start_would() {
    let (folder, scratch) = (Folder::new(), tempfile::tempdir().unwrap());
    let (code, said) = rehearse(&folder.data(), scratch.path());
    assert_eq!((code, said.contains("there are no users in")), (0, true), "{said}");
    assert!(!folder.data().exists(), "and no folder was made");

    Process::serve(&mut command(&folder.data())).terminate();
    let (code, said) = refused(
        command(&folder.data()).env("USERS_WORKERS", "none").env_remove("INTERNAL_KEY").args(["rehearse", "/"]),
    );
    assert_eq!((code, said.contains("USERS_WORKERS"), said.contains("INTERNAL_KEY")), (64, true, true), "{said}");

    fs::create_dir(scratch.path().join("rehearsal")).unwrap();
    let (code, said) = rehearse(&folder.data(), scratch.path());
    assert_eq!((code, said.contains("another rehearsal uses it")), (1, true), "{said}");
    fs::remove_dir(scratch.path().join("rehearsal")).unwrap();

    for (file, content, expected) in [
        ("users.meta.json", r#"{"format":9,"next_id":4}"#, "users.meta.json: "),
        ("users.json", "[", "users.json: "),
        ("sessions.json", "{", "sessions.json: is broken"),
        ("users.log", "garbage\n", "users.log: is damaged at byte 0"),
    ] {
        let path = folder.data().join(file);
        let before = fs::read(&path).ok();
        fs::write(&path, content).unwrap();
        let (code, said) = rehearse(&folder.data(), scratch.path());
        assert_eq!((code, said.contains(expected)), (1, true), "{file}: {said}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content, "it is as it was");
        match before {
            Some(before) => fs::write(&path, before).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    }
    assert_eq!(rehearse(&folder.data(), scratch.path()), (0, "ok: 3 users".to_owned()));
    assert_eq!(names(scratch.path()), Vec::<String>::new(), "no copy is left");
}
