//! No request is lost by HTTP/2 while gateways are reloaded and take over from one another.
//!
//! A client may repeat what was certainly not begun, and only that: streams above the last one in GOAWAY, and those that
//! are reset with REFUSED_STREAM (RFC 9113, section 8.7). Whatever else does not come is a failure.

use std::{
    collections::BTreeSet,
    env,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    thread,
    time::Duration,
};

use chassis::testing::until;
use rustls::ClientConfig;

use super::{
    client::{Client, End},
    frame::{error::REFUSED_STREAM, kind},
    gateway::Certificate,
};
use crate::fixture::{Process, Upstream};

const CLIENTS: usize = 4;
/// Number of requests that each client has under way.
const STREAMS: usize = 10;

/// Number of requests: a few, or as many as `HTTP2_REQUESTS` says, to see what happens once in ten thousand.
fn requests() -> i64 {
    env::var("HTTP2_REQUESTS").map_or(4_000, |count| count.parse().unwrap())
}

/// A client that has several requests under way, on one connection after another.
struct Load<'a> {
    addr: SocketAddr,
    config: &'a Arc<ClientConfig>,
    left: &'a AtomicI64,
    failures: &'a Mutex<Vec<String>>,
}

impl Load<'_> {
    fn run(&self) {
        while self.left.load(Ordering::Relaxed) > 0 {
            if let Err(failure) = self.use_connection() {
                self.failures.lock().unwrap().push(failure);
            }
        }
    }

    /// Sends requests for as long as the connection takes them.
    fn use_connection(&self) -> Result<(), String> {
        let mut client = Client::try_connect(self.addr, self.config).map_err(|error| error.to_string())?.begin();
        let (mut next, mut under_way, mut last_taken) = (1, BTreeSet::new(), None);
        loop {
            while last_taken.is_none() && under_way.len() < STREAMS && self.take() {
                client.get(next, "/x");
                under_way.insert(next);
                next += 2;
            }
            if under_way.is_empty() {
                return Ok(());
            }
            let Some(frame) = client.frame() else {
                return Err(format!("the connection ended with {under_way:?} under way, after {last_taken:?}"));
            };
            if frame.kind == kind::GOAWAY {
                let last = frame.number(0);
                last_taken = Some(last);
                // Those above it were not begun.
                let repeated = under_way.split_off(&(last + 1));
                self.give_back(repeated.len());
            } else if client.has_ended(frame.stream) && under_way.remove(&frame.stream) {
                let answer = client.answer(frame.stream);
                match (answer.status, answer.end) {
                    (200, Some(End::Whole)) if answer.body == b"ok" => {}
                    (_, Some(End::Reset(REFUSED_STREAM))) => self.give_back(1),
                    _ => return Err(format!("stream {}: {answer:?}", frame.stream)),
                }
            }
        }
    }

    fn take(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| (left > 0).then_some(left - 1)).is_ok()
    }

    fn give_back(&self, count: usize) {
        self.left.fetch_add(i64::try_from(count).unwrap(), Ordering::Relaxed);
    }
}

/// Sends all requests while `meanwhile` runs again and again; its argument is the number that is left.
fn under_load(addr: SocketAddr, config: &Arc<ClientConfig>, mut meanwhile: impl FnMut(&AtomicI64)) {
    let (left, failures) = (AtomicI64::new(requests()), Mutex::new(Vec::new()));
    let load = Load { addr, config, left: &left, failures: &failures };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| load.run())).collect();
        while !clients.iter().all(thread::ScopedJoinHandle::is_finished) {
            meanwhile(&left);
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} failed, as {:#?}", failures.len(), &failures[..failures.len().min(3)]);
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn no_request_fails_by_http_2_while_the_configuration_is_reloaded() {
    let (upstream, other) = (Upstream::answering(ANSWER), Upstream::answering(ANSWER));
    let certificate = Certificate::new();
    let file = certificate.file(upstream.addr, "", "");
    let gateway = Process::start(&file);
    let files = [other.addr, upstream.addr].map(|addr| certificate.yaml(addr, "", ""));
    let mut next = files.iter().cycle();
    under_load(gateway.addr, &certificate.config, |_| {
        file.replace(next.next().unwrap());
        gateway.signal("HUP");
        thread::sleep(Duration::from_millis(20));
    });
    let reloads = gateway.metric("config_reloads_total{result=\"success\"}");
    assert!(reloads >= 5.0, "{reloads} reloads only");
    assert!(!other.received().is_empty() && !upstream.received().is_empty());
}

#[test]
fn no_request_fails_by_http_2_while_one_gateway_takes_over_from_another() {
    let upstream = Upstream::answering(ANSWER);
    let certificate = Certificate::new();
    let file = certificate.file(upstream.addr, "", "");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut running = Process::start_on(&listener, &file);
    let mut restarts = 0;
    under_load(listener.local_addr().unwrap(), &certificate.config, |left| {
        let goal = left.load(Ordering::Relaxed) - requests() / 4;
        until("a quarter of the requests is done", || left.load(Ordering::Relaxed) <= goal.max(0));
        if restarts < 2 {
            // However fast the machine is, there are requests while a gateway starts, and after it.
            left.fetch_add(requests(), Ordering::Relaxed);
        }
        let successor = Process::start_on(&listener, &file);
        std::mem::replace(&mut running, successor).terminate();
        restarts += 1;
    });
    assert!(restarts >= 2, "{restarts} restarts only");
}
