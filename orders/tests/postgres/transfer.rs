//! Moving from SQLite to PostgreSQL: all of it or nothing.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use chassis::testing::{Process, call};
use serde_json::Value;

use crate::{
    fixture::{ADMIN, ANN, BOB, Folder, new_order},
    process::{command, start},
    server::{Server, run},
};

fn sqlite(folder: &Folder) -> String {
    format!("sqlite://{}", folder.path().join("orders.db").display())
}

/// Orders in a file, by two users, with keys and changes.
fn fill(folder: &Folder) {
    let program = Process::serve(command(folder).env("ORDERS_DATABASE_URL", sqlite(folder)));
    let addr = program.addr();
    for n in 0..30 {
        let order = new_order(&format!("書 {n}")).header("Idempotency-Key", &format!("key {n}"));
        assert_eq!((if n % 3 == 0 { BOB } else { ANN }).sends(addr, order).status, 201);
    }
    for id in [2, 5] {
        assert_eq!(ANN.sends(addr, call("POST", &format!("/api/orders/{id}/cancel"))).status, 200);
    }
    program.terminate();
}

fn everything(program: &Process) -> [Value; 3] {
    let addr = program.addr();
    [
        ANN.gets(addr, "/api/orders?limit=100"),
        BOB.gets(addr, "/api/orders?limit=100"),
        ADMIN.gets(addr, "/internal/events?limit=100"),
    ]
    .map(|answer| answer.json())
}

fn moved(folder: &Folder) -> (bool, String) {
    let ran = command(folder).args(["migrate", "--from", &sqlite(folder)]).output().unwrap();
    (ran.status.success(), String::from_utf8(ran.stdout).unwrap() + &String::from_utf8_lossy(&ran.stderr))
}

#[test]
fn everything_is_moved_and_goes_on() {
    let folder = Folder::new();
    fill(&folder);
    let before = Process::serve(command(&folder).env("ORDERS_DATABASE_URL", sqlite(&folder)));
    let expected = everything(&before);
    before.terminate();

    let (is_good, said) = moved(&folder);
    assert!(is_good && said.contains("has 30 orders, 32 events and 30 keys"), "{said}");
    let program = start(&folder);
    assert_eq!(everything(&program), expected);
    let addr = program.addr();
    let send = |key| ANN.sends(addr, new_order("書 1").header("Idempotency-Key", key)).json();
    assert_eq!(send("key 1")["id"], 2, "the same request as before");
    assert_eq!(send("another key")["id"], 31, "a new one has a new number");
    let events = ADMIN.gets(addr, "/internal/events?limit=100&cursor=32").json();
    assert_eq!(events[0]["id"], "33");
    program.terminate();

    let (is_good, said) = moved(&folder);
    assert!(!is_good && said.contains("it must be empty"), "{said}");
}

#[test]
fn nothing_is_moved_from_a_file_that_is_damaged_in_use_or_not_there() {
    let folder = Folder::new();
    let (is_good, said) = moved(&folder);
    assert!(!is_good && said.contains("there is no database at"), "{said}");

    fill(&folder);
    // A service that has the file open may go on, but cannot write meanwhile; another writer keeps the move out.
    let file = folder.path().join("orders.db");
    let writer = Writer::open(&file);
    let (is_good, said) = moved(&folder);
    assert!(!is_good && said.contains("database is locked"), "{said}");
    drop(writer);

    run_sqlite(&file, "DELETE FROM events WHERE sequence = 32");
    let (is_good, said) = moved(&folder);
    assert!(!is_good && said.contains("is not in order"), "{said}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(Server::shared().run_sql(folder.database(), tables), "0", "not even the schema was made");
}

#[test]
fn a_move_that_is_interrupted_is_run_again() {
    let folder = Folder::new();
    fill(&folder);
    start(&folder).terminate();
    // The last table cannot be written: what was moved before it is undone.
    let refuse = "ALTER TABLE idempotency_keys ADD CONSTRAINT no CHECK (key <> 'refused')";
    let admit = "ALTER TABLE idempotency_keys DROP CONSTRAINT no";
    let file = folder.path().join("orders.db");
    run_sqlite(&file, "UPDATE idempotency_keys SET key = 'refused' WHERE order_id = 30");
    Server::shared().run_sql(folder.database(), refuse);
    let (is_good, said) = moved(&folder);
    assert!(!is_good && said.contains("violates check constraint"), "{said}");
    assert_eq!(Server::shared().run_sql(folder.database(), "SELECT count(*) FROM orders"), "0");
    Server::shared().run_sql(folder.database(), admit);
    let (is_good, said) = moved(&folder);
    assert!(is_good, "{said}");
}

/// Another process that writes to the file.
struct Writer(Child);

impl Writer {
    fn open(file: &Path) -> Self {
        let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE'); \
                      print('locked', flush=True); sys.stdin.read()";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self(child)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run_sqlite(file: &Path, sql: &str) {
    let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()";
    run(Command::new("python3").args(["-c", script]).arg(file).arg(sql));
}
