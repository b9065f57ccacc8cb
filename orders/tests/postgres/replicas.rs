//! Several services on one database.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use async_nats::jetstream::stream::Config;
use chassis::testing::Process;
use serde_json::Value;

use crate::{
    fixture::{ADMIN, ANN, Folder, StopOnDrop, new_order, next_page},
    nats::Nats,
    process::{self, command},
    relay,
    server::Server,
};

#[test]
fn a_key_that_is_sent_fifty_times_at_once_to_two_services_makes_one_order() {
    let folder = Folder::new();
    let services = [process::start(&folder), process::start(&folder)];
    let addrs = services.each_ref().map(Process::addr);
    for round in 0..5 {
        let key = format!("key {round}");
        let answers: Vec<Value> = thread::scope(|scope| {
            let ask = |n: usize| ANN.sends(addrs[n % 2], new_order("a book").header("Idempotency-Key", &key));
            let asked: Vec<_> = (0..50).map(|n| scope.spawn(move || ask(n))).collect();
            let answers = asked.into_iter().map(|asked| asked.join().unwrap());
            answers
                .map(|answer| {
                    assert_eq!(answer.status, 201, "{}", answer.text());
                    answer.json()
                })
                .collect()
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(ANN.lists_all(addrs[0], 100).len(), round + 1);
    }
    services.into_iter().for_each(Process::terminate);
}

#[test]
fn who_follows_the_events_of_two_services_misses_none() {
    let folder = Folder::new();
    let services = [process::start(&folder), process::start(&folder)];
    let addrs = services.each_ref().map(Process::addr);
    let is_over = AtomicBool::new(false);
    let read = |after: &str| ADMIN.gets(addrs[0], &format!("/internal/events?limit=500&cursor={after}"));
    let followed: Vec<String> = thread::scope(|scope| {
        let _stop = StopOnDrop(&is_over);
        let following = scope.spawn(|| {
            let (mut seen, mut after) = (Vec::new(), "0".to_owned());
            loop {
                let was_over = is_over.load(Ordering::Relaxed);
                let events = read(&after).json();
                let ids = events.as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned());
                seen.extend(ids);
                let last = seen.last().cloned().unwrap_or_else(|| "0".to_owned());
                if was_over && last == after {
                    return seen;
                }
                after = last;
            }
        });
        let writing: Vec<_> = (0..8)
            .map(|client| {
                scope.spawn(move || (0..40).for_each(|n| drop(ANN.orders(addrs[client % 2], &format!("{client}/{n}")))))
            })
            .collect();
        writing.into_iter().for_each(|writing| writing.join().unwrap());
        is_over.store(true, Ordering::Relaxed);
        following.join().unwrap()
    });
    let mut all = Vec::new();
    let mut next = Some("/internal/events?limit=500".to_owned());
    while let Some(target) = next {
        let page = ADMIN.gets(addrs[1], &target);
        all.extend(page.json().as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()));
        next = next_page(&page);
    }
    assert_eq!(all.len(), 320);
    assert_eq!(followed.iter().collect::<HashSet<_>>().len(), followed.len(), "none came twice");
    assert_eq!(followed, all);
    services.into_iter().for_each(Process::terminate);
}

#[test]
fn of_two_services_that_publish_one_does_and_the_other_takes_over() {
    let (folder, nats) = (Folder::new(), Nats::start());
    let start = || Process::serve(command(&folder).env("EVENTS_URL", nats.url()));
    let (killed, kept) = (start(), start());
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = StopOnDrop(&is_over);
        for client in 0..4 {
            let (is_over, addr) = (&is_over, if client % 2 == 0 { killed.addr() } else { kept.addr() });
            scope.spawn(move || {
                for n in 0.. {
                    if is_over.load(Ordering::Relaxed) || ANN.tries_to_order(addr, &format!("{client}/{n}")).is_none() {
                        return;
                    }
                }
            });
        }
        nats.messages_when(200);
        drop(killed.kill());
        let count = nats.messages().len();
        nats.messages_when(count + 200);
    });
    relay::assert_all_published(kept.addr(), &nats);
    kept.terminate();
}

#[test]
fn a_service_that_hung_repeats_nothing_that_another_has_published_meanwhile() {
    const WINDOW: Duration = Duration::from_millis(200);
    let (folder, nats) = (Folder::new(), Nats::start());
    nats.make_stream(Config { duplicate_window: WINDOW, ..Config::default() });
    let start = || Process::serve(command(&folder).env("EVENTS_URL", nats.url()));
    let (hung, other) = (start(), start());
    hung.said("events are published");
    hung.signal("STOP");
    (0..5).for_each(|n| drop(ANN.orders(other.addr(), &n.to_string())));
    nats.messages_when(5);
    // From then on the server does not recognise a repetition by its id.
    thread::sleep(2 * WINDOW);
    hung.signal("CONT");
    ANN.orders(hung.addr(), "last");
    relay::assert_all_published(other.addr(), &nats);
    hung.terminate();
    other.terminate();
}

#[test]
fn several_services_may_start_at_once_on_a_new_database() {
    let folder = Folder::new();
    let starting: Vec<_> = (0..6).map(|_| Process::spawn(&mut command(&folder))).collect();
    for service in &starting {
        ANN.orders(service.addr(), "a book");
    }
    assert_eq!(ANN.lists_all(starting[0].addr(), 100).len(), 6);
    let migrations = "SELECT count(*) FROM __diesel_schema_migrations";
    assert_eq!(Server::shared().run_sql(folder.database(), migrations), "2");
    starting.into_iter().for_each(Process::terminate);
}
