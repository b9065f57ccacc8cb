//! Crashes: what was acknowledged is there after the process was killed.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use chassis::testing::until;
use serde_json::Value;

use crate::{
    clients::{self, CLIENTS},
    fixture::{ANN, Folder, ids},
    process::start,
};

/// Lets clients make orders as fast as they can until the service is gone, and calls `end` after `count` of them.
fn burst(addr: SocketAddr, count: usize, end: impl FnOnce()) -> Vec<Value> {
    let acknowledged = Mutex::new(Vec::new());
    let made = AtomicUsize::new(0);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (acknowledged, made) = (&acknowledged, &made);
            scope.spawn(move || {
                for n in 0.. {
                    let Some(order) = ANN.tries_to_order(addr, &format!("{client}/{n}")) else { return };
                    acknowledged.lock().unwrap().push(order);
                    made.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        until("some orders are made", || made.load(Ordering::Relaxed) >= count);
        end();
    });
    acknowledged.into_inner().unwrap()
}

/// Every acknowledged order is there as it was acknowledged, and no number was given twice.
fn assert_kept(addr: SocketAddr, acknowledged: &[Value]) {
    let kept = ANN.lists_all(addr, 500);
    let numbers: HashSet<i64> = ids(&kept).into_iter().collect();
    assert_eq!(numbers.len(), kept.len());
    for order in acknowledged {
        assert!(kept.contains(order), "acknowledged, and lost: {order}");
    }
}

#[test]
fn kill_9_in_a_burst_loses_no_acknowledged_order() {
    let folder = Folder::new();
    let mut acknowledged = Vec::new();
    for round in 1..=5 {
        let program = start(&folder);
        let addr = program.addr();
        assert_kept(addr, &acknowledged);
        acknowledged.extend(burst(addr, 20 * round, || drop(program.kill())));
    }
    let program = start(&folder);
    assert_kept(program.addr(), &acknowledged);
    program.terminate();
}

/// Number of times that the service is killed, where `ORDERS_TEST_KILLS` does not say otherwise.
const KILLS: usize = 10;

#[test]
fn no_crash_makes_an_order_twice_or_an_event_without_its_order() {
    let kills = std::env::var("ORDERS_TEST_KILLS").map_or(KILLS, |text| text.parse().expect("a number of kills"));
    let folder = Folder::new();
    let mut clients = clients::clients();
    for kill in 0..kills {
        let program = start(&folder);
        clients::work(&mut clients, program.addr(), |made| {
            // At another moment each time.
            until("some orders are made", || made.load(Ordering::Relaxed) >= 5 + kill % 40);
            drop(program.kill());
        });
    }
    let program = start(&folder);
    clients::assert_exactly_once(&clients, program.addr());
    program.terminate();
}

#[test]
fn sigterm_in_a_burst_ends_the_program_and_loses_no_acknowledged_order() {
    let folder = Folder::new();
    let program = start(&folder);
    let acknowledged = burst(program.addr(), 50, || program.signal("TERM"));
    let (status, log) = program.ended();
    assert!(status.success(), "{status}: {log}");
    folder.assert_closed();
    let program = start(&folder);
    assert_kept(program.addr(), &acknowledged);
    program.terminate();
}
