//! Situations that only the inside can cause: a bad order that parsing would refuse, a lock that is held, a panic.

use std::{
    collections::HashSet,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use actix::{Handler, Message};
use chassis::{identity::UserId, store::Admitted};
use diesel::{connection::SimpleConnection, prelude::*};
use futures_util::future::join_all;
use prometheus_client::encoding::text;

use super::{
    schema::idempotency_keys,
    sqlite::{
        connection::{self, LOG_BYTES_MAX, Role},
        target::Target,
    },
    *,
};
use crate::domain::{Address, Item, Position};

const OWNER: UserId = UserId(7);
const READERS: usize = 4;

struct Store {
    repo: OrdersRepo,
    registry: Registry,
    target: Target,
}

impl Store {
    fn open(folder: &Path) -> Self {
        let location = DatabaseLocation::File(folder.join("orders.db"));
        let mut registry = Registry::default();
        let repo = OrdersRepo::open(&location, READERS.try_into().unwrap(), &mut registry).unwrap();
        Self { repo, registry, target: Target::prepare(Some(&folder.join("orders.db"))).unwrap() }
    }

    /// Another connection, which holds the write lock until it is dropped.
    fn lock(&self) -> SqliteConnection {
        let mut other = connection::open(&self.target, Role::Writer).unwrap();
        other.batch_execute("BEGIN IMMEDIATE").unwrap();
        other
    }

    fn metric(&self, name: &str) -> String {
        let mut shown = String::new();
        text::encode(&mut shown, &self.registry).unwrap();
        let value = shown.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {shown}"));
        value.trim().to_owned()
    }

    /// Writes four times as much as the log may have, and returns how large it became.
    async fn write_much(&self) -> u64 {
        let mut log_bytes = 0;
        for _ in 0..32 {
            let long =
                |n: usize| NewOrder { address: Address::parse(&"書".repeat(500)).unwrap(), ..order(&n.to_string()) };
            let made = join_all((0..WRITES_MAX).map(|n| self.create(long(n)))).await;
            assert!(made.iter().all(Result::is_ok));
            log_bytes = log_bytes.max(self.target.log_bytes());
        }
        log_bytes
    }

    /// Keeps all readers busy with slow reads for as long as something else takes.
    async fn read_meanwhile<T>(&self, something: impl Future<Output = T>) -> T {
        let read = || async {
            loop {
                self.repo
                    .readers
                    .send(self.repo.reads.admit(SlowRead(self.target.clone())).unwrap())
                    .await
                    .unwrap()
                    .unwrap();
            }
        };
        let reading = join_all((0..READERS).map(|_| read()));
        tokio::select! {
            done = something => done,
            _ = reading => unreachable!("reading never ends"),
        }
    }

    async fn create(&self, order: NewOrder) -> Result<Order, StoreError> {
        self.repo.create(order, None, None).await.map(|written| written.order)
    }

    async fn items(&self) -> Vec<String> {
        let listed = self.repo.list(Filter::of_owner(OWNER), PageRequest { after: None, limit: 5000 }).await.unwrap();
        listed.orders.iter().rev().map(|order| order.item.as_str().to_owned()).collect()
    }
}

fn order(item: &str) -> NewOrder {
    NewOrder { address: Address::parse("1 Main Street").unwrap(), item: Item::parse(item).unwrap(), created_by: OWNER }
}

fn run(test: impl AsyncFnOnce(Store)) {
    let folder = tempfile::tempdir().unwrap();
    actix_rt::System::new().block_on(async {
        let store = Store::open(folder.path());
        let repo = store.repo.clone();
        test(store).await;
        // A test may have ended the store already.
        drop(repo.shutdown().await);
    });
}

#[test]
fn an_order_that_the_database_refuses_fails_alone_in_its_batch() {
    run(async |store| {
        // While another connection holds the lock, one batch waits for it, and what it does not include gathers.
        let lock = store.lock();
        let first = store.create(order("first"));
        let bad = NewOrder { address: Address::unchecked(&"a".repeat(501)), ..order("bad") };
        let others = join_all([store.create(order("good")), store.create(bad), store.create(order("fine"))]);
        let release = async {
            while store.metric("orders_store_writes_waiting ") != "4" {
                tokio::task::yield_now().await;
            }
            drop(lock);
        };
        let (first, others, ()) = tokio::join!(first, others, release);
        assert_eq!(first.unwrap().item.as_str(), "first");
        assert!(others[0].is_ok() && others[2].is_ok(), "{others:?}");
        let refused = others[1].as_ref().unwrap_err();
        assert!(
            matches!(refused, StoreError::Fault(StoreFault::Failed { operation: "change an order", .. })),
            "{refused:?}"
        );
        assert_eq!(store.items().await, ["first", "good", "fine"]);
        // The first batch may include any number of the four, the second includes the rest: the bad one had company.
        let batches = store.metric("orders_store_batch_size_count ");
        assert!(batches == "1" || batches == "2", "{batches} batches");
    });
}

#[test]
fn a_full_queue_refuses_at_once_and_loses_nothing() {
    run(async |store| {
        let lock = store.lock();
        let names: Vec<String> = (0..WRITES_MAX).map(|n| n.to_string()).collect();
        let waiting = join_all(names.iter().map(|name| store.create(order(name))));
        let meanwhile = async {
            while store.repo.writes.free() > 0 {
                tokio::task::yield_now().await;
            }
            let refused = store.create(order("one too many")).await;
            assert!(matches!(refused, Err(StoreError::Fault(StoreFault::Busy(_)))), "{refused:?}");
            assert_eq!(store.items().await, Vec::<String>::new(), "reading goes on");
            drop(lock);
        };
        let (made, ()) = tokio::join!(waiting, meanwhile);
        assert!(made.iter().all(Result::is_ok));
        assert_eq!(store.items().await, names, "in the order in which they came");
        assert_eq!(store.repo.writes.free(), WRITES_MAX);
    });
}

#[test]
fn a_write_that_another_process_keeps_out_for_too_long_is_refused_and_leaves_nothing() {
    run(async |store| {
        let lock = store.lock();
        let refused = store.create(order("locked out")).await;
        assert!(matches!(refused, Err(StoreError::Fault(StoreFault::Busy(_)))), "{refused:?}");
        drop(lock);
        store.create(order("later")).await.unwrap();
        assert_eq!(store.items().await, ["later"]);
    });
}

#[test]
fn a_store_is_ready_while_another_process_holds_the_lock_and_while_its_queues_are_full() {
    run(async |store| {
        let lock = store.lock();
        let names: Vec<String> = (0..WRITES_MAX).map(|n| n.to_string()).collect();
        let waiting = join_all(names.iter().map(|name| store.create(order(name))));
        let reads: Vec<_> = (0..READS_MAX).map(|_| store.repo.reads.admit(()).unwrap()).collect();
        let meanwhile = async {
            while store.repo.writes.free() > 0 {
                tokio::task::yield_now().await;
            }
            let ready = tokio::time::timeout(Duration::from_secs(1), store.repo.ping()).await;
            assert!(matches!(ready, Ok(Ok(()))), "{ready:?}");
            drop((lock, reads));
        };
        let (made, ()) = tokio::join!(waiting, meanwhile);
        assert!(made.iter().all(Result::is_ok));
    });
}

#[test]
fn a_shutdown_commits_what_waits_and_refuses_what_comes_later() {
    run(async |store| {
        let lock = store.lock();
        let waiting = join_all((0..300).map(|n| store.create(order(&n.to_string()))).collect::<Vec<_>>());
        let closing = async {
            while store.repo.writes.free() > WRITES_MAX - 300 {
                tokio::task::yield_now().await;
            }
            let shutdown = async { store.repo.shutdown().await.unwrap() };
            let late = async {
                tokio::task::yield_now().await;
                store.create(order("late")).await
            };
            let release = async { drop(lock) };
            tokio::join!(shutdown, late, release).1
        };
        let (made, late) = tokio::join!(waiting, closing);
        assert!(made.iter().all(Result::is_ok));
        assert!(matches!(late, Err(StoreError::Fault(StoreFault::Stopping))), "{late:?}");
        assert_eq!(store.items().await.len(), 300);
        assert!(store.repo.ping().await.is_err(), "a closed store is not ready");
    });
}

#[test]
fn orders_that_arrive_together_are_committed_together() {
    run(async |store| {
        let made = join_all((0..500).map(|n| store.create(order(&n.to_string())))).await;
        assert!(made.iter().all(Result::is_ok));
        let batches: usize = store.metric("orders_store_batch_size_count ").parse().unwrap();
        assert!(batches < 100, "{batches} batches for 500 orders");
        assert_eq!(store.metric("orders_store_writes_waiting "), "0");
    });
}

#[test]
fn pages_tell_orders_of_one_moment_apart_by_their_ids() {
    run(async |store| {
        let lock = store.lock();
        let names: Vec<String> = (0..8).map(|n| n.to_string()).collect();
        let waiting = join_all(names.iter().map(|name| store.create(order(name))));
        let release = async {
            while store.metric("orders_store_writes_waiting ") != "8" {
                tokio::task::yield_now().await;
            }
            drop(lock);
        };
        let (made, ()) = tokio::join!(waiting, release);
        let moments: HashSet<_> = made.iter().map(|order| order.as_ref().unwrap().created_at).collect();
        assert!(moments.len() <= 2, "eight orders in two batches, each of one moment: {moments:?}");

        let mut page = PageRequest { after: None, limit: 3 };
        let mut seen = Vec::new();
        loop {
            let listed = store.repo.list(Filter::of_owner(OWNER), page).await.unwrap();
            seen.extend(listed.orders.iter().map(|order| order.item.as_str().to_owned()));
            page.after = listed.orders.last().map(Position::of);
            if !listed.has_more {
                break;
            }
        }
        assert!(seen.iter().eq(names.iter().rev()), "{seen:?}");
    });
}

#[test]
fn the_log_stays_short_while_readers_never_pause() {
    run(async |store| {
        let log_bytes = store.read_meanwhile(store.write_much()).await;
        assert!(log_bytes < 3 * LOG_BYTES_MAX, "{log_bytes} bytes");
        assert_ne!(store.metric("orders_store_log_truncations_total "), "0");
    });
}

#[test]
fn a_reader_of_another_process_lets_the_log_grow_and_the_writer_pauses_only_now_and_then() {
    run(async |store| {
        let mut other = connection::open(&store.target, Role::Reader).unwrap();
        other.batch_execute("BEGIN; SELECT 1 FROM orders").unwrap();
        let start = Instant::now();
        let log_bytes = store.read_meanwhile(store.write_much()).await;
        assert!(log_bytes > 4 * LOG_BYTES_MAX, "{log_bytes} bytes");
        let shown: u64 = store.metric("orders_store_log_bytes ").parse().unwrap();
        assert!(shown > LOG_BYTES_MAX, "{shown} bytes, which the alert needs to see");
        let tried: u64 = store.metric("orders_store_log_truncations_total ").parse().unwrap();
        assert!((1..=1 + start.elapsed().as_secs() / 2).contains(&tried), "{tried} times in {:?}", start.elapsed());
    });
}

#[test]
fn an_order_that_the_database_refuses_leaves_its_key_free() {
    run(async |store| {
        let key = || Some(IdempotencyKey::parse("key").unwrap());
        let bad = NewOrder { address: Address::unchecked(&"a".repeat(501)), ..order("a book") };
        assert!(store.repo.create(bad, key(), None).await.is_err());
        assert!(!store.repo.create(order("a book"), key(), None).await.unwrap().is_replay);
        assert!(store.repo.create(order("a book"), key(), None).await.unwrap().is_replay);
    });
}

#[test]
fn old_keys_are_deleted_some_with_each_batch() {
    run(async |store| {
        store.create(order("a book")).await.unwrap();
        let mut other = connection::open(&store.target, Role::Writer).unwrap();
        let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
                    INSERT INTO idempotency_keys SELECT 7, 'old ' || i, 1, i FROM n";
        other.batch_execute(fill).unwrap();
        let mut count = || idempotency_keys::table.count().get_result::<i64>(&mut other).unwrap();
        let mut left = vec![count()];
        for key in ["a", "b", "c"] {
            store.repo.create(order("a book"), Some(IdempotencyKey::parse(key).unwrap()), None).await.unwrap();
            left.push(count());
        }
        assert_eq!(left, [1000, 1000 - 512 + 1, 2, 3]);
    });
}

/// Reads for longer than a page does, as from a slow disk.
struct SlowRead(Target);

impl Message for SlowRead {
    type Result = Result<(), StoreError>;
}

impl Handler<Admitted<SlowRead>> for Reader {
    type Result = Result<(), StoreError>;

    fn handle(&mut self, admitted: Admitted<SlowRead>, _: &mut Self::Context) -> Self::Result {
        self.read(admitted.queued_at, |_| {
            let mut connection = connection::open(&admitted.message.0, Role::Reader).unwrap();
            connection.batch_execute("BEGIN; SELECT 1 FROM orders").unwrap();
            thread::sleep(Duration::from_millis(20));
            connection.batch_execute("COMMIT").unwrap();
            Ok(())
        })
    }
}

/// Makes an actor panic.
struct Panic;

impl Message for Panic {
    type Result = ();
}

impl Handler<Panic> for Writer {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("as asked");
    }
}

impl Handler<Panic> for Reader {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("as asked");
    }
}

const PANICKING_PART: &str = "ORDERS_TEST_PANICKING_PART";

#[test]
fn a_panic_in_any_part_of_the_store_ends_the_process() {
    if let Ok(part) = std::env::var(PANICKING_PART) {
        return panic_in(&part);
    }
    for part in ["writer", "reader"] {
        let this_test = "store::tests::a_panic_in_any_part_of_the_store_ends_the_process";
        let mut again = Command::new(std::env::current_exe().unwrap());
        let child = again.args(["--exact", this_test, "--nocapture"]).env(PANICKING_PART, part).output().unwrap();
        const SIGABRT: i32 = 6;
        let log = String::from_utf8_lossy(&child.stderr);
        assert_eq!(child.status.signal(), Some(SIGABRT), "{part}: {} {log}", child.status);
        assert!(log.contains("as asked"), "{part}: {log}");
    }
}

fn panic_in(part: &str) {
    run(async |store| {
        match part {
            "writer" => drop(store.repo.writer.send(Panic).await),
            _ => drop(store.repo.readers.send(Panic).await),
        }
        // The process aborts before; otherwise the test sees another exit status.
        tokio::time::sleep(Duration::from_secs(20)).await;
    });
}
