//! A server that fails: it crashes, hangs, is not there, or the connection is lost.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use chassis::testing::{Process, get, post, until};
use serde_json::json;

use crate::{
    clients,
    fixture::{ANN, Folder, in_folder, new_order},
    linearizability::{self, Trial},
    place::new_database,
    process::command,
    proxy::{Lost, Proxy},
    server::{Server, USER},
};

/// A service on a database of this server.
fn serve(folder: &Folder, url: &str) -> Process {
    Process::serve(command(folder).env("ORDERS_DATABASE_URL", url))
}

/// Number of times that the server and the service crash, where `ORDERS_TEST_KILLS` does not say otherwise.
const CRASHES: usize = 4;

#[test]
fn no_crash_of_the_server_loses_an_order_or_makes_one_twice() {
    let crashes = std::env::var("ORDERS_TEST_KILLS").map_or(CRASHES, |text| text.parse().expect("a number of kills"));
    let (folder, server) = (Folder::new(), Server::start(&[]));
    let url = server.url(&new_database(&server));
    let mut clients = clients::clients();
    for crash in 0..crashes {
        let program = serve(&folder, &url);
        clients::work(&mut clients, program.addr(), |made| {
            let more = |count| wait_for_more(made, count);
            more(5 + crash % 40);
            server.crash();
            // The service is still the same, and goes on by itself.
            more(20);
            drop(program.kill());
        });
    }
    let program = serve(&folder, &url);
    clients::assert_exactly_once(&clients, program.addr());
    program.terminate();
}

fn wait_for_more(made: &AtomicUsize, count: usize) {
    let before = made.load(Ordering::Relaxed);
    until("more orders are made", || made.load(Ordering::Relaxed) >= before + count);
}

#[test]
fn a_connection_that_is_lost_at_commit_is_neither_an_order_less_nor_one_more() {
    for lost in [Lost::Request, Lost::Answer] {
        let (folder, server) = (Folder::new(), Server::shared());
        let proxy = Proxy::start(server.socket());
        let program = serve(&folder, &format!("postgres://{USER}@{}/{}", proxy.addr(), folder.database()));
        let addr = program.addr();
        ANN.orders(addr, "before");
        proxy.lose(lost);
        let made = ANN.orders(addr, "meanwhile");
        assert!(proxy.has_lost());
        program.said(match lost {
            Lost::Request => "a connection was lost during a COMMIT, which was not done",
            Lost::Answer => "a connection was lost during a COMMIT, which was done",
        });
        ANN.orders(addr, "after");
        let orders = ANN.lists_all(addr, 100);
        let items: Vec<&str> = orders.iter().filter_map(|order| order["item"].as_str()).collect();
        assert_eq!(items, ["after", "meanwhile", "before"], "{lost:?}");
        assert_eq!(orders[1], made, "{lost:?}: as it was answered");
        program.terminate();
    }
}

#[test]
fn a_server_that_hangs_is_overload_and_nothing_remains_of_what_was_refused() {
    let (folder, server) = (Folder::new(), Server::start(&[]));
    let program = serve(&folder, &server.url(&new_database(&server)));
    let addr = program.addr();
    ANN.orders(addr, "before");
    server.signal("STOP");
    let start = Instant::now();
    thread::scope(|scope| {
        let write = scope.spawn(|| ANN.sends(addr, new_order("meanwhile")));
        let read = scope.spawn(|| ANN.gets(addr, "/api/orders"));
        let ready = scope.spawn(|| get("/health/ready").send(addr));
        for asked in [write, read] {
            let answer = asked.join().unwrap();
            assert_eq!((answer.status, answer.problem().as_str()), (503, "overloaded"), "{}", answer.text());
            assert!(answer.header("retry-after").is_some());
        }
        assert_eq!(ready.join().unwrap().status, 503);
    });
    let waited = start.elapsed();
    assert!(waited < Duration::from_secs(100), "{waited:?}");
    server.signal("CONT");
    until("it serves again", || ANN.sends(addr, new_order("after")).status == 201);
    let items: Vec<_> = ANN.lists_all(addr, 100).iter().map(|order| order["item"].clone()).collect();
    assert_eq!(items, ["after", "before"]);
    program.terminate();
}

#[test]
fn a_service_waits_for_a_server_that_starts_after_it() {
    let (folder, server) = (Folder::new(), Server::start(&[]));
    let url = server.url(&new_database(&server));
    server.stop();
    let program = Process::spawn(command(&folder).env("ORDERS_DATABASE_URL", &url));
    program.said("waiting for the database");
    server.run();
    ANN.orders(program.addr(), "a book");
    program.terminate();
}

#[test]
fn an_order_that_the_database_refuses_fails_alone_in_its_batch() {
    let folder = Folder::new();
    let service = in_folder(&folder);
    let forbid = "ALTER TABLE orders ADD CHECK (item <> 'bad')";
    Server::shared().run_sql(folder.database(), forbid);
    let items: Vec<String> = (0..60).map(|n| if n % 20 == 7 { "bad".to_owned() } else { n.to_string() }).collect();
    // While the lock of all writers is held elsewhere, the orders gather.
    let hold = "BEGIN; SELECT pg_advisory_xact_lock(122537101324915); SELECT pg_sleep(1); COMMIT";
    let addr = service.addr();
    thread::scope(|scope| {
        let holding = scope.spawn(|| Server::shared().run_sql(folder.database(), hold));
        let asked: Vec<_> = items
            .iter()
            .map(|item| {
                scope.spawn(move || {
                    (item, ANN.sends(addr, post("/api/orders", &json!({"address": "here", "item": item}))))
                })
            })
            .collect();
        for asked in asked {
            let (item, answer) = asked.join().unwrap();
            let expected = if item == "bad" { 500 } else { 201 };
            assert_eq!(answer.status, expected, "{item}: {}", answer.text());
        }
        holding.join().unwrap();
    });
    assert_eq!(ANN.lists_all(addr, 100).len(), 57);
}

#[test]
fn what_clients_see_is_linearizable_while_the_server_and_the_service_fail() {
    let (folder, server) = (Folder::new(), Server::start(&[]));
    let database = new_database(&server);
    let proxy = Proxy::start(server.socket());
    let url = format!("postgres://{USER}@{}/{database}", proxy.addr());
    // The clients use one service, and then the other, on the same database.
    let (mut program, other) = (serve(&folder, &url), serve(&folder, &server.url(&database)));
    let trial = Trial::run(program.addr(), |trial| {
        for _ in 0..linearizability::rounds().div_ceil(2) {
            for lost in [Lost::Request, Lost::Answer] {
                trial.go_on();
                proxy.lose(lost);
            }
            trial.go_on();
            trial.moved_to(other.addr());
            server.signal("STOP");
            thread::sleep(linearizability::PAUSE);
            server.signal("CONT");
            trial.go_on();
            server.crash();
            trial.go_on();
            trial.moved_to(program.addr());
            trial.go_on();
            program.signal("STOP");
            thread::sleep(linearizability::PAUSE);
            program.signal("CONT");
            trial.go_on();
            drop(std::mem::replace(&mut program, serve(&folder, &url)).kill());
            trial.moved_to(program.addr());
        }
        trial.go_on();
    });
    trial.assert_linearizable();
    program.terminate();
    other.terminate();
}
