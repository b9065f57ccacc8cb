//! A start that cannot be: one readable message, an exit code, the data untouched.

use std::{fs, net::TcpListener, path::Path};

use chassis::testing::Process;

use crate::fixture::{Stack, command, users_file};

struct Failed {
    code: Option<i32>,
    message: String,
}

fn failed(folder: &Path, environment: &[(&str, &str)]) -> Failed {
    let (status, said) = Process::spawn(command(folder).envs(environment.iter().copied())).ended();
    // Log lines may come before; the message of the process begins with its name.
    let at = said.find("stack: ").unwrap_or_else(|| panic!("no message: {said}"));
    Failed { code: status.code(), message: said[at..].to_owned() }
}

#[test]
fn broken_users_are_named_and_left_as_they_are() {
    let (stack, folder) = Stack::new();
    stack.terminate();
    let file = users_file(folder.path());
    let broken = fs::read_to_string(&file).unwrap().replace(']', "");
    fs::write(&file, &broken).unwrap();
    let failed = failed(folder.path(), &[]);
    assert_eq!(failed.code, Some(1));
    assert!(failed.message.contains("users.json") && failed.message.contains("line"), "{}", failed.message);
    assert_eq!(fs::read_to_string(&file).unwrap(), broken);
}

#[test]
fn a_folder_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("data"), "a file").unwrap();
    let failed = failed(folder.path(), &[]);
    assert_eq!(failed.code, Some(1));
    assert!(failed.message.contains("data/keys"), "{}", failed.message);
    assert_eq!(fs::read_to_string(folder.path().join("data")).unwrap(), "a file");
}

#[test]
fn a_port_in_use_is_named_with_the_setting_that_changes_it() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for name in ["GATEWAY_LISTEN", "GATEWAY_ADMIN_LISTEN", "USERS_LISTEN", "ORDERS_LISTEN"] {
        let failed = failed(folder.path(), &[(name, &addr)]);
        assert_eq!(failed.code, Some(1), "{name}");
        assert!(failed.message.contains(&format!("{addr} is in use")), "{}", failed.message);
        assert!(failed.message.contains(name), "{}", failed.message);
    }
}

#[test]
fn wrong_settings_are_all_named() {
    let folder = tempfile::tempdir().unwrap();
    for (environment, messages) in [
        (&[("USERS_BCRYPT_COST", "99"), ("USERS_LISTEN", "here")][..], &["USERS_BCRYPT_COST", "USERS_LISTEN"][..]),
        (&[("ORDERS_DATABASE_URL", "postgres://x/y")], &["ORDERS_DATABASE_URL"]),
        (&[("GATEWAY_JWT_SECRET", "short")], &["at least 32 bytes"]),
        (&[("GATEWAY_WORKERS", "none")], &["GATEWAY_WORKERS"]),
        (&[("ACCESS_TOKEN_TTL", "0s")], &["gateway.yaml:16:", "longer than zero"]),
        (&[("LOGIN_LIMIT", "lots")], &["`lots` is not a limit"]),
        (&[("LOG_FORMAT", "xml")], &["LOG_FORMAT"]),
        (&[("INTERNAL_KEY", "short")], &["INTERNAL_KEY", "at least 32 bytes"]),
        (&[("INTERNAL_KEY", "x"), ("INTERNAL_KEY_FILE", "y")], &["keep one of them"]),
    ] {
        let failed = failed(folder.path(), environment);
        assert_eq!(failed.code, Some(64), "{environment:?}: {}", failed.message);
        for message in messages {
            assert!(failed.message.contains(message), "{environment:?}: {message}: {}", failed.message);
        }
    }
}

#[test]
fn every_mistake_in_an_own_configuration_is_shown_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = folder.path().join("my.yaml");
    fs::write(&yaml, "version: 1\nroutes:\n  - {route: GET /x, to: nobody}\n").unwrap();
    let failed = failed(folder.path(), &[("GATEWAY_CONFIG", yaml.to_str().unwrap())]);
    assert_eq!(failed.code, Some(64));
    for part in
        ["`listen` is missing", "`upstreams` is missing", "my.yaml:3:", "`auth` is missing", "no upstream `nobody`"]
    {
        assert!(failed.message.contains(part), "{part}: {}", failed.message);
    }
}

#[test]
fn a_second_stack_on_the_same_folder_stops() {
    let (stack, folder) = Stack::new();
    let failed = failed(folder.path(), &[]);
    assert_eq!(failed.code, Some(1));
    assert!(failed.message.contains("users") && failed.message.contains("process"), "{}", failed.message);
    assert_eq!(stack.login("admin", "a").status, 201, "the first goes on");
}

#[test]
fn a_database_of_a_newer_program_is_left_alone() {
    let (stack, folder) = Stack::new();
    stack.terminate();
    let file = folder.path().join("data/orders/orders.db");
    orders_schema_of_the_future(&file);
    let before = fs::read(&file).unwrap();
    let failed = failed(folder.path(), &[]);
    assert_eq!(failed.code, Some(1), "{}", failed.message);
    assert!(failed.message.contains("newer"), "{}", failed.message);
    assert_eq!(fs::read(&file).unwrap(), before);
}

/// Notes a migration that this program does not have, as a newer one would.
fn orders_schema_of_the_future(file: &Path) {
    use diesel::{Connection, RunQueryDsl};
    let mut connection = diesel::SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    let insert = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')";
    diesel::sql_query(insert).execute(&mut connection).unwrap();
}
