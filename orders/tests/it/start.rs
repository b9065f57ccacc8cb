//! Starting the program: exit codes, messages, and several processes at once.

use std::{collections::HashSet, fs, net::TcpListener, thread};

use chassis::testing::Process;

use crate::{
    fixture::{ANN, BOB, Folder, ids},
    process::{command, refused, start},
};

#[test]
fn every_mistake_of_the_configuration_is_reported_at_once() {
    let folder = Folder::new();
    let mut command = command(&folder);
    command
        .env_remove("INTERNAL_KEY")
        .env("ORDERS_LISTEN", "somewhere")
        .env("ORDERS_DATABASE_URL", "postgres://orders:hunter2@db/orders?sslmode=require")
        .env("DRAIN_DELAY", "soon");
    let (code, log) = refused(&mut command);
    assert_eq!(code, Some(64), "{log}");
    for name in ["4 mistakes", "ORDERS_LISTEN: ", "INTERNAL_KEY: missing", "DRAIN_DELAY: ", "ORDERS_DATABASE_URL: "] {
        assert!(log.contains(name), "{name} is not in: {log}");
    }
    assert!(log.contains("sslmode is neither") && !log.contains("hunter2"), "{log}");
    assert!(!folder.database().exists());
}

#[test]
fn a_flag_that_is_unknown_is_a_usage_error() {
    let folder = Folder::new();
    let (code, log) = refused(command(&folder).arg("--listn=1"));
    assert_eq!(code, Some(64), "{log}");
    assert!(log.contains("--listen"), "it says which one was meant: {log}");
}

#[test]
fn a_flag_wins_over_the_environment_and_a_key_may_come_from_a_file() {
    let folder = Folder::new();
    let key = folder.path().join("key");
    fs::write(&key, "a key of the tests, 32 bytes or more\n").unwrap();
    let mut command = command(&folder);
    command.env("ORDERS_LISTEN", "somewhere").arg("--listen=127.0.0.1:0");
    command.env("INTERNAL_KEY", "another key that is long enough too").env("ORDERS_INTERNAL_KEY_FILE", &key);
    let program = Process::serve(&mut command);
    ANN.orders(program.addr(), "a book");
    program.terminate();
}

#[test]
fn a_port_in_use_is_a_failed_start_that_leaves_the_database_alone() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (code, log) = refused(command(&folder).env("ORDERS_LISTEN", addr));
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("in use") && log.contains("ORDERS_LISTEN"), "{log}");
    assert!(!folder.database().exists());
}

#[test]
fn a_database_that_cannot_be_used_is_a_failed_start() {
    let folder = Folder::new();
    fs::create_dir(folder.database().parent().unwrap()).unwrap();
    fs::write(folder.database(), "this is no database").unwrap();
    let (code, log) = refused(&mut command(&folder));
    assert_eq!(code, Some(1), "{log}");
    assert!(log.starts_with("orders: cannot use the database ") && log.lines().count() == 1, "{log}");
}

#[test]
fn several_processes_may_start_at_once_on_a_new_database() {
    for _ in 0..3 {
        let folder = Folder::new();
        let programs = [(); 3].map(|()| Process::spawn(&mut command(&folder)));
        thread::scope(|scope| {
            for (program, user) in programs.iter().zip([ANN, BOB, ANN]) {
                scope.spawn(move || (0..10).for_each(|_| drop(user.orders(program.addr(), "a book"))));
            }
        });
        let orders = ANN.lists_all(programs[1].addr(), 100);
        assert_eq!(ids(&orders).into_iter().collect::<HashSet<_>>().len(), 20);
        programs.into_iter().for_each(Process::terminate);
    }
}

#[test]
fn the_health_check_of_the_image_asks_the_running_service() {
    let folder = Folder::new();
    let running = start(&folder);
    let check = |addr: &str| refused(command(&folder).env("ORDERS_LISTEN", addr).arg("--healthcheck")).0;
    assert_eq!(check(&running.addr().to_string()), Some(0));
    // Nobody listens on port 1.
    assert_eq!(check("127.0.0.1:1"), Some(1));
    running.terminate();
}
