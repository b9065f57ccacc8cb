//! Several clients use the same orders at once while things fail. What they saw must be linearizable: see [`checker`].

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Mutex, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use chassis::testing::{Answer, Call, Process, call, get, until};
use serde_json::json;

use crate::{
    checker::{self, Answered, Ask, OPERATIONS_MAX, Operation, Status},
    fixture::{ADMIN, ANN, Folder, StopOnDrop, new_order},
    process,
};

const CLIENTS: usize = 6;
/// Number of orders that are used at a time: fewer than clients, so that they meet.
const ORDERS: usize = 4;
/// Number of operations on an order, more or less, after which another takes its place.
const OPERATIONS_EACH: usize = 60;
/// Pause of a client where nobody listens, or the service is overloaded.
const RETRY_PAUSE: Duration = Duration::from_millis(10);
/// Number of operations between two faults.
const OPERATIONS_BETWEEN: usize = 300;

/// The service that the clients use, and what they have seen of it.
pub(crate) struct Trial {
    service: RwLock<SocketAddr>,
    start: Instant,
    /// Number of operations that have been noted.
    done: AtomicUsize,
    is_over: AtomicBool,
    seen: Mutex<HashMap<usize, Seen>>,
}

/// What was seen of one order.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Once somebody was told.
    id: Option<i64>,
    /// The version of the last answer.
    version: Option<u64>,
    history: Vec<Operation>,
}

impl Trial {
    /// Lets clients use the service at this address while `fail` makes things fail, and returns what they saw.
    pub(crate) fn run(service: SocketAddr, fail: impl FnOnce(&Self)) -> Self {
        let trial = Self {
            service: RwLock::new(service),
            start: Instant::now(),
            done: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            seen: Mutex::default(),
        };
        thread::scope(|scope| {
            let _stop = StopOnDrop(&trial.is_over);
            for client in 0..CLIENTS {
                let trial = &trial;
                scope.spawn(move || trial.use_orders(Choices(client as u64 + 1)));
            }
            fail(&trial);
        });
        trial
    }

    /// Waits until the clients have done some more.
    pub(crate) fn go_on(&self) {
        let before = self.done.load(Ordering::Relaxed);
        until("more is done", || self.done.load(Ordering::Relaxed) >= before + OPERATIONS_BETWEEN);
    }

    /// Says where the service is from now on.
    pub(crate) fn moved_to(&self, service: SocketAddr) {
        *self.service.write().unwrap() = service;
    }

    fn use_orders(&self, mut choices: Choices) {
        while !self.is_over.load(Ordering::Relaxed) {
            let done = self.done.load(Ordering::Relaxed);
            let order = done / (ORDERS * OPERATIONS_EACH) * ORDERS + choices.below(ORDERS);
            let known = self.seen.lock().unwrap().entry(order).or_default().clone();
            if known.history.len() >= OPERATIONS_MAX - CLIENTS {
                // Other clients are not done with its neighbours.
                thread::yield_now();
                continue;
            }
            let ask = choices.ask(&known);
            // One in twenty goes away before its answer.
            let waits = choices.below(20) > 0;
            let began = self.start.elapsed();
            match self.perform(order, known.id, ask, waits) {
                Some(answered) => {
                    let ended = answered.map(|answered| (self.start.elapsed(), answered));
                    self.note(order, Operation { ask, began, ended });
                }
                None => thread::sleep(RETRY_PAUSE),
            }
        }
    }

    fn note(&self, order: usize, operation: Operation) {
        let mut seen = self.seen.lock().unwrap();
        let seen = seen.entry(order).or_default();
        match operation.ended {
            Some((_, Answered::Created { id, .. })) => seen.id = Some(id),
            Some((_, Answered::Is(_, version))) => seen.version = Some(version),
            Some((_, Answered::NotFound | Answered::OtherVersion | Answered::WrongState)) | None => {}
        }
        seen.history.push(operation);
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Sends a request and reads the answer. Returns `None` where it has certainly led to nothing, and `Some(None)` where
    /// that is not known.
    fn perform(&self, order: usize, id: Option<i64>, ask: Ask, waits: bool) -> Option<Option<Answered>> {
        let id = id.unwrap_or_default();
        let call = match ask {
            Ask::Create => ANN.asks(new_order(&format!("order {order}")).header("Idempotency-Key", &order.to_string())),
            Ask::Get => ANN.asks(get(&format!("/api/orders/{id}"))),
            Ask::Become(Status::Cancelled, version) => {
                ANN.asks(if_match(call("POST", &format!("/api/orders/{id}/cancel")), version))
            }
            Ask::Become(status, version) => {
                let change = call("PATCH", &format!("/api/orders/{id}")).json(&json!({"status": name(status)}));
                ADMIN.asks(if_match(change, version))
            }
        };
        let mut connection = call.try_begin(*self.service.read().unwrap())?;
        if !waits {
            return Some(None);
        }
        match connection.try_answer(false).ok().flatten().filter(|answer| answer.whole) {
            // Nothing was done.
            Some(answer) if answer.status == 503 && answer.problem() == "overloaded" => None,
            Some(answer) if answer.status == 503 => Some(None),
            Some(answer) => Some(Some(read(&answer, ask))),
            None => Some(None),
        }
    }

    /// Checks what was seen of each order, and that the check would notice if one answer had been another.
    pub(crate) fn assert_linearizable(self) {
        let seen = self.seen.into_inner().unwrap();
        let (mut answered, mut unknown) = (0, 0);
        for (order, Seen { history, .. }) in &seen {
            assert!(checker::is_linearizable(history), "order {order}: {history:#?}");
            answered += history.iter().filter(|operation| operation.ended.is_some()).count();
            unknown += history.iter().filter(|operation| operation.ended.is_none()).count();
        }
        eprintln!("{} orders, {answered} operations with an answer and {unknown} without one", seen.len());
        assert!(answered > 10 * unknown && unknown > 0, "{answered} answered, {unknown} not");
        let noticed = seen.values().filter(|seen| is_noticed(&seen.history)).count();
        assert!(noticed * 2 > seen.len(), "wrong answers were noticed in {noticed} of {} histories", seen.len());
    }
}

/// Whether it is noticed that one read had seen an earlier version of the order.
fn is_noticed(history: &[Operation]) -> bool {
    let mut history = history.to_vec();
    let later_read = history.iter_mut().rev().find_map(|operation| match (operation.ask, &mut operation.ended) {
        (Ask::Get, Some((_, Answered::Is(_, version)))) if *version > 1 => Some(version),
        _ => None,
    });
    let Some(version) = later_read else { return false };
    *version -= 1;
    !checker::is_linearizable(&history)
}

fn if_match(call: Call, version: Option<u64>) -> Call {
    version.map_or(call.clone(), |version| call.header("If-Match", &format!("\"v{version}\"")))
}

const NAMES: [(Status, &str); 5] = [
    (Status::Pending, "pending"),
    (Status::Confirmed, "confirmed"),
    (Status::Shipped, "shipped"),
    (Status::Delivered, "delivered"),
    (Status::Cancelled, "cancelled"),
];

fn name(status: Status) -> &'static str {
    NAMES.iter().find(|(own, _)| *own == status).map(|(_, name)| *name).expect("a status with a name")
}

/// What an answer says.
fn read(answer: &Answer, ask: Ask) -> Answered {
    match (answer.status, ask) {
        (201, Ask::Create) => {
            let is_replay = answer.header("idempotency-replayed") == Some("true");
            Answered::Created { id: answer.json()["id"].as_i64().expect("an id"), is_replay }
        }
        (200, Ask::Get | Ask::Become(..)) => {
            let json = answer.json();
            let status = NAMES.iter().find(|(_, name)| json["status"] == *name).expect("a status").0;
            let tag = answer.header("etag").and_then(|tag| tag.strip_prefix("\"v")?.strip_suffix('"')?.parse().ok());
            Answered::Is(status, tag.expect("a version"))
        }
        (404, _) => Answered::NotFound,
        (409, _) => Answered::WrongState,
        (412, _) => Answered::OtherVersion,
        _ => panic!("{ask:?} was answered {}: {}", answer.status, answer.text()),
    }
}

/// The choices of a client, the same in each run (xorshift).
struct Choices(u64);

impl Choices {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("less than the limit")
    }

    /// An operation on an order of which this is known. Changes are rare, so that an order has many states in its time.
    fn ask(&mut self, known: &Seen) -> Ask {
        let chosen = self.below(40);
        if known.id.is_none() || chosen < 4 {
            return Ask::Create;
        }
        let version = known.version.filter(|_| self.below(2) == 0);
        match chosen {
            4..8 => Ask::Become(Status::Confirmed, version),
            8..11 => Ask::Become(Status::Shipped, version),
            11..13 => Ask::Become(Status::Delivered, version),
            13 => Ask::Become(Status::Cancelled, version),
            _ => Ask::Get,
        }
    }
}

/// Number of rounds of faults, where `ORDERS_TEST_KILLS` does not say otherwise.
pub(crate) fn rounds() -> usize {
    std::env::var("ORDERS_TEST_KILLS").map_or(4, |text| text.parse().expect("a number of rounds"))
}

/// How long a service is stopped, as by a machine that is out of memory.
pub(crate) const PAUSE: Duration = Duration::from_millis(300);

#[test]
fn what_clients_see_is_linearizable_while_the_service_is_killed_and_stopped() {
    let folder = Folder::new();
    let program = process::start(&folder);
    let trial = Trial::run(program.addr(), |trial| {
        let mut program: Process = program;
        for _ in 0..rounds() {
            trial.go_on();
            program.signal("STOP");
            thread::sleep(PAUSE);
            program.signal("CONT");
            trial.go_on();
            drop(program.kill());
            program = process::start(&folder);
            trial.moved_to(program.addr());
        }
        trial.go_on();
        program.signal("TERM");
        trial.is_over.store(true, Ordering::Relaxed);
        assert!(program.ended().0.success());
    });
    trial.assert_linearizable();
}
