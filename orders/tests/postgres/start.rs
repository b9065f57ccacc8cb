//! Starts that must fail, and the commands for a server.

use chassis::testing::Process;

use crate::{
    fixture::{ANN, Folder},
    process::{command, refused, start},
    server::Server,
};

#[test]
fn a_database_that_is_not_there_is_a_failed_start() {
    let (code, log) = refused(command(&Folder::new()).env("ORDERS_DATABASE_URL", Server::shared().url("nowhere")));
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.starts_with("orders: cannot use the database postgres://") && log.contains("\"nowhere\" does not exist"),
        "{log}"
    );
}

#[test]
fn a_schema_that_is_newer_is_refused_and_not_touched() {
    let folder = Folder::new();
    start(&folder).terminate();
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')";
    Server::shared().run_sql(folder.database(), newer);
    for arguments in [&[][..], &["migrate"], &["rehearse", "/tmp"]] {
        let (code, log) = refused(command(&folder).args(arguments));
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains("it has the migration 20990101000000, which this program does not know"), "{log}");
    }
}

fn run(folder: &Folder, arguments: &[&str]) -> (bool, String) {
    let ran = command(folder).args(arguments).output().unwrap();
    (ran.status.success(), String::from_utf8(ran.stdout).unwrap() + &String::from_utf8_lossy(&ran.stderr))
}

#[test]
fn the_schema_can_be_rehearsed_and_migrated_before_a_service_starts() {
    let folder = Folder::new();
    let (is_good, said) = run(&folder, &["rehearse", "/tmp"]);
    assert!(is_good && said.starts_with("would apply the migration 20261125000000"), "{said}");
    let (is_good, said) = run(&folder, &["migrate"]);
    assert!(is_good && said.starts_with("applied the migration 20261125000000"), "{said}");
    let (is_good, said) = run(&folder, &["rehearse", "/tmp"]);
    assert!(is_good && said.starts_with("ok: "), "{said}");
    let program = start(&folder);
    ANN.orders(program.addr(), "a book");
    program.terminate();
    let (is_good, said) = run(&folder, &["backup", "/tmp/nothing"]);
    assert!(!is_good && said.contains("pg_dump"), "{said}");
}

#[test]
fn every_migration_can_be_undone_and_done_again() {
    let folder = Folder::new();
    start(&folder).terminate();
    let down = [
        include_str!("../../../migrations/orders/postgres/2026-11-25-200000_trace_events/down.sql"),
        include_str!("../../../migrations/orders/postgres/2026-11-25-000000_create_tables/down.sql"),
    ]
    .concat();
    Server::shared().run_sql(folder.database(), &format!("{down}; DELETE FROM __diesel_schema_migrations"));
    let program = start(&folder);
    ANN.orders(program.addr(), "a book");
    program.terminate();
}

#[test]
fn a_page_is_a_range_of_the_index_and_nothing_is_sorted() {
    let folder = Folder::new();
    start(&folder).terminate();
    let fill = "INSERT INTO orders (address, item, status, created_by, created_at, updated_at) \
                SELECT 'a', 'b', 'pending', n % 50, n, n FROM generate_series(1, 20000) n; ANALYZE";
    Server::shared().run_sql(folder.database(), fill);
    let page = |conditions: &str| {
        format!(
            "EXPLAIN SELECT id FROM orders WHERE created_by = 7 {conditions} ORDER BY created_at DESC, id DESC LIMIT 11"
        )
    };
    for (conditions, index) in [
        ("", "orders_by_owner "),
        ("AND created_at <= 18000 AND (created_at < 18000 OR id < 9)", "orders_by_owner "),
        ("AND status = 'cancelled'", "orders_by_owner_and_status "),
    ] {
        let plan = Server::shared().run_sql(folder.database(), &page(conditions));
        assert!(plan.contains(&format!("using {index}")) && !plan.contains("Sort"), "{conditions}: {plan}");
    }
}

#[test]
fn a_server_that_cannot_be_reached_is_no_secret_told() {
    let url = "postgres://orders:hunter2@127.0.0.1:1/orders";
    let mut command = command(&Folder::new());
    let program = Process::spawn(command.env("ORDERS_DATABASE_URL", url));
    program.said("waiting for the database postgres://127.0.0.1:1/orders");
    let log = program.kill();
    assert!(log.contains("refused") && !log.contains("hunter2"), "{log}");
}
