//! The database: what is kept, who may read it, and what is done with one that cannot be used.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, thread};

use chassis::{
    config::StartError,
    testing::{Process, get},
};
use orders::DatabaseLocation;

use crate::{
    fixture::{ANN, BOB, Folder, in_folder, new_order, start},
    process,
};

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// Why a service does not start on this file.
fn refusal(database: &Path) -> String {
    match start(DatabaseLocation::File(database.to_path_buf())) {
        Err(StartError::Failed(why)) => why,
        Err(StartError::Config(mistakes)) => panic!("{mistakes:?}"),
        Ok(_) => panic!("it started"),
    }
}

#[test]
fn orders_are_there_after_a_restart_and_numbers_go_on() {
    let folder = Folder::new();
    let service = in_folder(&folder);
    let first = ANN.orders(service.addr(), "first");
    service.stop().unwrap();
    let service = in_folder(&folder);
    assert_eq!(ANN.gets(service.addr(), "/api/orders/1").json(), first);
    assert_eq!(ANN.orders(service.addr(), "second")["id"], 2);
}

#[test]
fn only_this_user_may_read_the_database() {
    let folder = Folder::new();
    let service = in_folder(&folder);
    ANN.orders(service.addr(), "a book");
    assert_eq!(mode(folder.database().parent().unwrap()), 0o700);
    for file in fs::read_dir(folder.database().parent().unwrap()).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_schema_newer_than_the_program_is_refused_and_not_touched() {
    let folder = Folder::new();
    let service = in_folder(&folder);
    ANN.orders(service.addr(), "a book");
    service.stop().unwrap();
    // The version of the migration, as a program of next year would have written it.
    let bytes = fs::read(folder.database()).unwrap();
    let (own, newer) = (b"20260101000000", b"20270101000000");
    let mut changed = bytes.clone();
    let found: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(own)).collect();
    assert!(!found.is_empty());
    found.iter().for_each(|&at| changed[at..at + newer.len()].copy_from_slice(newer));
    fs::write(folder.database(), &changed).unwrap();

    let why = refusal(&folder.database());
    assert!(why.contains("20270101000000") && why.contains("newer version"), "{why}");
    assert!(why.contains(&folder.database().display().to_string()), "{why}");
    assert_eq!(fs::read(folder.database()).unwrap(), changed, "not a byte was changed");

    fs::write(folder.database(), &bytes).unwrap();
    assert_eq!(ANN.lists_all(in_folder(&folder).addr(), 100).len(), 1);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_not_touched() {
    let folder = Folder::new();
    let file = folder.path().join("orders.db");
    for garbage in ["no database", &"this is no database\n".repeat(500)] {
        fs::write(&file, garbage).unwrap();
        let why = refusal(&file);
        assert!(why.contains("file is not a database") && why.contains("orders.db"), "{why}");
        assert_eq!(fs::read_to_string(&file).unwrap(), garbage);
    }
}

#[test]
fn a_place_where_no_database_can_be_is_named() {
    let folder = Folder::new();
    let file = folder.path().join("a file");
    fs::write(&file, "").unwrap();
    for place in [folder.path(), &file.join("orders.db"), Path::new("/proc/nowhere/orders.db")] {
        let why = refusal(place);
        assert!(why.contains("cannot use") && why.contains("ORDERS_DATABASE_URL"), "{why}");
        assert_eq!(why.lines().count(), 1, "{why}");
    }
}

/// A program whose database was removed or replaced is not ready, and acknowledges nothing more.
fn assert_fails_stop(program: Process) {
    let ready = get("/health/ready").send(program.addr());
    assert_eq!((ready.status, ready.problem().as_str()), (503, "not_ready"));
    assert!(ready.text().contains("the file of the database was re"), "{}", ready.text());
    let answer = ANN.sends(program.addr(), new_order("nowhere"));
    assert_eq!((answer.status, answer.problem().as_str()), (503, "outcome_unknown"), "{}", answer.text());
    let (status, log) = program.ended();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("the file of the database was re"), "{log}");
}

#[test]
fn nothing_is_acknowledged_into_a_database_that_was_removed_or_replaced() {
    let folder = Folder::new();
    let (database, moved) = (folder.database(), folder.path().join("moved.db"));
    let program = process::start(&folder);
    ANN.orders(program.addr(), "before");
    assert_eq!(get("/health/ready").send(program.addr()).status, 200);
    fs::rename(&database, &moved).unwrap();
    assert_fails_stop(program);

    let program = process::start(&folder);
    ANN.orders(program.addr(), "another database");
    fs::rename(&moved, &database).unwrap();
    assert_fails_stop(program);
}

#[test]
fn reads_and_writes_of_two_services_on_one_database_do_not_get_in_each_others_way() {
    let folder = Folder::new();
    let services = [in_folder(&folder), in_folder(&folder)];
    thread::scope(|scope| {
        for service in &services {
            for user in [ANN, BOB] {
                let addr = service.addr();
                scope.spawn(move || (0..50).for_each(|n| drop(user.orders(addr, &n.to_string()))));
                scope.spawn(move || {
                    for _ in 0..50 {
                        assert_eq!(user.gets(addr, "/api/orders?limit=20").status, 200);
                    }
                });
            }
        }
    });
    for service in &services {
        assert_eq!((ANN.lists_all(service.addr(), 30).len(), BOB.lists_all(service.addr(), 30).len()), (100, 100));
        assert_eq!(get("/health/ready").send(service.addr()).status, 200);
    }
}
