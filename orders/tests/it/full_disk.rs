//! A disk that is full, and one that is broken: a small shim, compiled here, stands between the program and it.

use std::{fs, path::PathBuf, process::Command};

use chassis::testing::get;

use crate::{
    fixture::{ANN, Folder, ids, new_order},
    process::Program,
};

/// A disk whose faults are switched on by a file.
struct Disk {
    folder: Folder,
}

impl Disk {
    fn new() -> Self {
        let disk = Self { folder: Folder::new() };
        let source = disk.folder.path().join("full_disk.c");
        fs::write(&source, include_str!("full_disk.c")).unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(disk.shim()).arg(source).arg("-ldl");
        assert!(compiler.status().expect("cc, which building SQLite needs too").success());
        disk
    }

    fn shim(&self) -> PathBuf {
        self.folder.path().join("full_disk.so")
    }

    fn start(&self) -> Program {
        let mut command = Program::command(&self.folder);
        command
            .env("LD_PRELOAD", self.shim())
            .env("DISK_FOLDER", self.folder.database().parent().unwrap())
            .env("DISK_FULL", self.folder.path().join("full"))
            .env("DISK_BROKEN", self.folder.path().join("broken"));
        Program::spawn(&mut command).listening()
    }

    fn set(&self, fault: &str) {
        fs::write(self.folder.path().join(fault), "").unwrap();
    }

    fn clear(&self, fault: &str) {
        fs::remove_file(self.folder.path().join(fault)).unwrap();
    }
}

#[test]
fn a_full_disk_refuses_orders_and_works_again_when_there_is_space() {
    let disk = Disk::new();
    let program = disk.start();
    let addr = program.addr();
    ANN.orders(addr, "before");
    disk.set("full");
    for _ in 0..3 {
        let answer = ANN.sends(addr, new_order("refused"));
        assert_eq!((answer.status, answer.problem().as_str()), (507, "storage_full"), "{}", answer.text());
        assert_eq!(ids(&ANN.lists_all(addr, 100)), [1], "reading goes on");
    }
    assert_eq!(get("/health/ready").send(addr).status, 200);
    let metrics = get("/metrics").send(addr).text();
    assert!(metrics.lines().any(|line| line == "orders_store_failed_commits_total 3"), "{metrics}");
    disk.clear("full");
    let after = ANN.orders(addr, "after");
    program.kill();

    let program = disk.start();
    let orders = ANN.lists_all(program.addr(), 100);
    assert_eq!((orders.len(), &orders[0], &orders[1]["item"]), (2, &after, &"before".into()), "nothing else was made");
    program.stop();
}

#[test]
fn a_failed_fsync_is_an_unknown_outcome_and_ends_the_program() {
    let disk = Disk::new();
    let program = disk.start();
    let before = ANN.orders(program.addr(), "before");
    disk.set("broken");
    let answer = ANN.sends(program.addr(), new_order("who knows"));
    assert_eq!((answer.status, answer.problem().as_str()), (503, "outcome_unknown"), "{}", answer.text());
    let (status, log) = program.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("disk I/O error") && log.contains("orders: a write to the database"), "{log}");

    disk.clear("broken");
    let program = disk.start();
    assert!(ANN.lists_all(program.addr(), 100).contains(&before));
    ANN.orders(program.addr(), "after");
    program.stop();
}
