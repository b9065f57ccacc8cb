//! The commands for the database: `migrate`, `check`, `rehearse`, `backup`, `restore`.

use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use chassis::testing::{FaultyDisk, Process, until};
use diesel::{Connection, SqliteConnection, connection::SimpleConnection};
use serde_json::Value;

use crate::{
    fixture::{ADMIN, ANN, Folder, StopOnDrop, ids, in_folder, new_order},
    process::{self, command},
};

/// Runs a command on the database in a folder, without the key of the service: its exit code and what it said.
fn run(folder: &Folder, arguments: &[&str]) -> (Option<i32>, String) {
    let (status, said) = Process::spawn(command(folder).env_remove("INTERNAL_KEY").args(arguments)).ended();
    (status.code(), said)
}

fn succeed(folder: &Folder, arguments: &[&str]) -> String {
    let (code, said) = run(folder, arguments);
    assert_eq!(code, Some(0), "{said}");
    said
}

fn refuse(folder: &Folder, arguments: &[&str]) -> String {
    let (code, said) = run(folder, arguments);
    assert_eq!(code, Some(1), "{said}");
    said
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_backup_of_a_busy_service_has_all_that_was_acknowledged_before_it_and_can_be_restored() {
    let (folder, restored, backups) = (Folder::new(), Folder::new(), Folder::new());
    let service = process::start(&folder);
    let addr = service.addr();
    let first = ANN.sends(addr, new_order("first").header("Idempotency-Key", "key"));
    let (stop, made) = (AtomicBool::new(false), AtomicUsize::new(0));
    let file = backups.path().join("orders.backup");
    let before: Vec<Value> = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    ANN.orders(addr, "meanwhile");
                    made.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _stop = StopOnDrop(&stop);
        until("some orders are made", || made.load(Ordering::Relaxed) > 50);
        let before = ANN.lists_all(addr, 500);
        let said = succeed(&folder, &["backup", text(&file)]);
        assert!(said.contains(" orders, ") && said.contains("orders.backup"), "{said}");
        let during = made.load(Ordering::Relaxed);
        until("orders are made after the backup, too", || made.load(Ordering::Relaxed) > during);
        before
    });
    let all = ANN.lists_all(addr, 500);
    service.terminate();
    assert_eq!(names(backups.path()), ["orders.backup"], "nothing is left beside it");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let said = succeed(&restored, &["restore", text(&file)]);
    assert!(said.contains(" orders, "), "{said}");
    assert!(succeed(&restored, &["check"]).starts_with("ok: "));
    let service = in_folder(&restored);
    let kept = ANN.lists_all(service.addr(), 500);
    assert!(before.iter().all(|order| kept.contains(order)), "{} of {}", kept.len(), before.len());
    assert!(kept.iter().all(|order| all.contains(order)), "nothing else is in it");
    let again = ANN.sends(service.addr(), new_order("first").header("Idempotency-Key", "key"));
    assert_eq!((again.text(), again.header("idempotency-replayed")), (first.text(), Some("true")));
    let highest = ids(&kept)[0];
    assert_eq!(ANN.orders(service.addr(), "next")["id"].as_i64(), Some(highest + 1));
    let event = ADMIN.gets(service.addr(), &format!("/internal/events?cursor={highest}")).json();
    assert_eq!(event[0]["subject"], (highest + 1).to_string());
}

#[test]
fn a_backup_is_durable_before_it_is_there() {
    let (folder, backups, control) = (Folder::new(), Folder::new(), Folder::new());
    succeed(&folder, &["migrate"]);
    let disk = FaultyDisk::new(backups.path(), control.path());
    let file = backups.path().join("backup");
    let durable = disk.traced(|| {
        let mut command = command(&folder);
        Process::spawn(disk.attach_to(command.args(["backup", text(&file)]))).ended_well();
    });
    let top = backups.path().file_name().unwrap().to_str().unwrap();
    let expected = ["fsync backup.partial".to_owned(), format!("fsync {top}")];
    assert!(durable.ends_with(&expected), "{durable:?}");
    disk.fail("fsync");
    let mut command = command(&folder);
    let (status, said) =
        Process::spawn(disk.attach_to(command.args(["backup", text(&backups.path().join("other"))]))).ended();
    assert_eq!(status.code(), Some(1), "{said}");
    assert_eq!(names(backups.path()), ["backup"], "what may be lost is not there");
}

#[test]
fn a_backup_replaces_nothing_and_leaves_nothing_half_done() {
    let (folder, backups) = (Folder::new(), Folder::new());
    let file = backups.path().join("backup");
    let said = refuse(&folder, &["backup", text(&file)]);
    assert!(said.contains("there is no database at"), "{said}");
    assert!(!folder.database().exists(), "and none was made");

    succeed(&folder, &["migrate"]);
    fs::write(&file, "something else").unwrap();
    let said = refuse(&folder, &["backup", text(&file)]);
    assert!(said.contains("exists; choose another file"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "something else");

    let other = backups.path().join("other");
    fs::write(backups.path().join("other.partial"), "").unwrap();
    let said = refuse(&folder, &["backup", text(&other)]);
    assert!(said.contains("other.partial exists: another command is making it, or one was interrupted"), "{said}");
    let said = refuse(&folder, &["backup", text(&backups.path().join("nowhere/backup"))]);
    assert!(said.contains("cannot use"), "{said}");
    assert_eq!(names(backups.path()), ["backup", "other.partial"]);

    let (code, said) = {
        let (status, said) = Process::spawn(command(&folder).args(["--database-url=:memory:", "check"])).ended();
        (status.code(), said)
    };
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("a database in memory has no file"), "{said}");
}

#[test]
fn a_restore_replaces_no_database_and_takes_nothing_that_is_damaged() {
    let (folder, backups) = (Folder::new(), Folder::new());
    let backup = backups.path().join("backup");
    let service = in_folder(&folder);
    ANN.orders(service.addr(), "a book");
    succeed(&folder, &["backup", text(&backup)]);
    let said = refuse(&folder, &["restore", text(&backup)]);
    assert!(said.contains("orders.db exists; stop the service and move its database away first"), "{said}");
    assert_eq!(ANN.lists_all(service.addr(), 100).len(), 1, "the service goes on");
    service.stop().unwrap();

    // The log of another database must not be applied to this one.
    let elsewhere = Folder::new();
    fs::create_dir(elsewhere.database().parent().unwrap()).unwrap();
    fs::write(elsewhere.database().with_extension("db-wal"), "").unwrap();
    assert!(refuse(&elsewhere, &["restore", text(&backup)]).contains("orders.db-wal exists"));

    let empty = Folder::new();
    let damaged = backups.path().join("damaged");
    fs::copy(&backup, &damaged).unwrap();
    damage(&damaged);
    for (file, said) in [
        (&damaged, "is not in order"),
        (&backups.path().join("missing"), "there is no database at"),
        (&garbage(&backups), "file is not a database"),
    ] {
        let refused = refuse(&empty, &["restore", text(file)]);
        assert!(refused.contains(said), "{refused}");
        assert!(!empty.database().exists());
    }
    assert_eq!(names(empty.database().parent().unwrap()), Vec::<String>::new());
    succeed(&empty, &["restore", text(&backup)]);
    assert_eq!(ANN.lists_all(in_folder(&empty).addr(), 100).len(), 1);
}

/// Overwrites the cells at the end of every page but the first.
fn damage(database: &Path) {
    const PAGE: u64 = 4096;
    let file = fs::OpenOptions::new().write(true).open(database).unwrap();
    for page in 1..file.metadata().unwrap().len() / PAGE {
        file.write_all_at(&[0xff; 16], (page + 1) * PAGE - 16).unwrap();
    }
}

fn garbage(folder: &Folder) -> std::path::PathBuf {
    let file = folder.path().join("garbage");
    fs::write(&file, "this is no database\n".repeat(500)).unwrap();
    file
}

#[test]
fn a_check_says_what_is_wrong_also_while_the_service_runs() {
    let folder = Folder::new();
    let service = in_folder(&folder);
    (0..3).for_each(|_| drop(ANN.orders(service.addr(), "a book")));
    assert_eq!(succeed(&folder, &["check"]), "ok: 3 orders, 3 events");
    service.stop().unwrap();
    damage(&folder.database());
    let said = refuse(&folder, &["check"]);
    assert!(said.contains("is not in order:\n  ") && said.lines().count() > 1, "{said}");
}

#[test]
fn a_migration_makes_a_database_that_the_service_takes() {
    let folder = Folder::new();
    let said = succeed(&folder, &["migrate"]);
    assert!(said.contains("applied the migration 20260101000000") && said.contains("is up to date"), "{said}");
    assert_eq!(succeed(&folder, &["migrate"]).lines().count(), 1, "nothing is left to do");
    assert_eq!(succeed(&folder, &["check"]), "ok: 0 orders, 0 events");
    ANN.orders(in_folder(&folder).addr(), "a book");
}

/// Changes a database behind the back of the program.
fn execute(folder: &Folder, sql: &str) {
    SqliteConnection::establish(text(&folder.database())).unwrap().batch_execute(sql).unwrap();
}

/// Runs a rehearsal, with the key of the service: its exit code and what it said.
fn rehearse(folder: &Folder, scratch: &Folder) -> (Option<i32>, String) {
    process::refused(command(folder).args(["rehearse", text(scratch.path())]))
}

#[test]
fn a_rehearsal_migrates_and_checks_a_copy_while_the_service_runs() {
    let (folder, scratch) = (Folder::new(), Folder::new());
    let (code, said) = rehearse(&folder, &scratch);
    assert_eq!((code, said.contains("there is no database at")), (Some(0), true), "{said}");
    assert!(!folder.database().exists(), "and none was made");

    let service = process::start(&folder);
    (0..3).for_each(|_| drop(ANN.orders(service.addr(), "a book")));
    assert_eq!(rehearse(&folder, &scratch), (Some(0), "ok: 3 orders, 3 events".to_owned()));
    ANN.orders(service.addr(), "a pen");
    service.terminate();
    assert_eq!(succeed(&folder, &["check"]), "ok: 4 orders, 4 events");
    assert_eq!(names(scratch.path()), Vec::<String>::new(), "the copy is deleted");
}

#[test]
fn a_rehearsal_of_an_older_schema_says_what_the_next_start_would_migrate() {
    let (folder, scratch) = (Folder::new(), Folder::new());
    fs::create_dir(folder.database().parent().unwrap()).unwrap();
    execute(&folder, include_str!("../../../migrations/orders/sqlite/2026-01-01-000000_create_orders/up.sql"));
    execute(
        &folder,
        "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL,
           run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);
         INSERT INTO __diesel_schema_migrations (version) VALUES ('20260101000000')",
    );
    let before = fs::read(folder.database()).unwrap();
    let (code, said) = rehearse(&folder, &scratch);
    assert_eq!(code, Some(0), "{said}");
    let applied = said.lines().filter(|line| line.starts_with("would apply the migration 2026")).count();
    assert!(applied > 0 && said.contains("migrating a copy of") && said.contains("ok: 0 orders"), "{said}");
    assert_eq!(fs::read(folder.database()).unwrap(), before, "the database is as it was");
    assert!(refuse(&folder, &["check"]).contains("its schema is older"));
}

#[test]
fn a_rehearsal_fails_where_the_next_start_would() {
    let (folder, scratch) = (Folder::new(), Folder::new());
    succeed(&folder, &["migrate"]);
    let (code, said) = process::refused(
        command(&folder)
            .env("ORDERS_READERS", "none")
            .env_remove("INTERNAL_KEY")
            .args(["rehearse", text(scratch.path())]),
    );
    assert_eq!(
        (code, said.contains("ORDERS_READERS"), said.contains("INTERNAL_KEY")),
        (Some(64), true, true),
        "{said}"
    );

    fs::write(scratch.path().join("rehearsal.db"), "").unwrap();
    let (code, said) = rehearse(&folder, &scratch);
    assert_eq!((code, said.contains("rehearsal.db exists: another rehearsal uses it")), (Some(1), true), "{said}");
    fs::remove_file(scratch.path().join("rehearsal.db")).unwrap();

    execute(&folder, "INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')");
    let (code, said) = rehearse(&folder, &scratch);
    assert_eq!((code, said.contains("it has the migration 20990101000000")), (Some(1), true), "{said}");

    fs::remove_file(folder.database()).unwrap();
    fs::write(folder.database(), "this is no database\n".repeat(500)).unwrap();
    let (code, said) = rehearse(&folder, &scratch);
    assert_eq!((code, said.contains("file is not a database")), (Some(1), true), "{said}");
    assert_eq!(names(scratch.path()), Vec::<String>::new(), "no copy is left");
}
