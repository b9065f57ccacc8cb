//! A disk that is full, and one that is broken.

use chassis::testing::{FaultyDisk, Process, get};

use crate::{
    fixture::{ANN, Folder, ids, new_order},
    process::command,
};

fn disk(folder: &Folder) -> FaultyDisk {
    FaultyDisk::new(folder.database().parent().unwrap(), folder.path())
}

fn start(disk: &FaultyDisk, folder: &Folder) -> Process {
    Process::serve(disk.attach_to(&mut command(folder)))
}

#[test]
fn a_new_database_is_durable_in_the_folders_above_it() {
    let (folder, control) = (Folder::new(), Folder::new());
    let disk = FaultyDisk::new(folder.path(), control.path());
    let mut program = None;
    let durable = disk.traced(|| program = Some(start(&disk, &folder)));
    let top = folder.path().file_name().unwrap().to_str().unwrap();
    assert_eq!(
        durable[..3],
        [format!("fsync {top}"), "fsync orders.db".to_owned(), "fsync data".to_owned()],
        "{durable:?}"
    );
    program.unwrap().terminate();
}

#[test]
fn a_full_disk_refuses_orders_and_works_again_when_there_is_space() {
    let folder = Folder::new();
    let disk = disk(&folder);
    let program = start(&disk, &folder);
    let addr = program.addr();
    ANN.orders(addr, "before");
    disk.fail("full");
    for _ in 0..3 {
        let answer = ANN.sends(addr, new_order("refused"));
        assert_eq!((answer.status, answer.problem().as_str()), (507, "storage_full"), "{}", answer.text());
        assert_eq!(ids(&ANN.lists_all(addr, 100)), [1], "reading goes on");
    }
    assert_eq!(get("/health/ready").send(addr).status, 200);
    assert_eq!(get("/metrics").send(addr).metric("orders_store_failed_commits_total"), Some(3.0));
    disk.heal("full");
    let after = ANN.orders(addr, "after");
    program.kill();

    let program = start(&disk, &folder);
    let orders = ANN.lists_all(program.addr(), 100);
    assert_eq!((orders.len(), &orders[0], &orders[1]["item"]), (2, &after, &"before".into()), "nothing else was made");
    program.terminate();
}

#[test]
fn a_failed_fsync_is_an_unknown_outcome_and_ends_the_program() {
    let folder = Folder::new();
    let disk = disk(&folder);
    let program = start(&disk, &folder);
    let before = ANN.orders(program.addr(), "before");
    disk.fail("fsync");
    let answer = ANN.sends(program.addr(), new_order("who knows"));
    assert_eq!((answer.status, answer.problem().as_str()), (503, "outcome_unknown"), "{}", answer.text());
    let (status, log) = program.ended();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("disk I/O error") && log.contains("orders: a write to the database"), "{log}");

    disk.heal("fsync");
    let program = start(&disk, &folder);
    assert!(ANN.lists_all(program.addr(), 100).contains(&before));
    ANN.orders(program.addr(), "after");
    program.terminate();
}
