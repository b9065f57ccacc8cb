//! A service to talk to, and the gateway's part of the conversation.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime},
};

use chassis::{
    config::{Secret, StartError},
    identity::{Assertion, AssertionSigner},
    testing::{Answer, Call, Running, call, get, post},
};
use orders::{DatabaseLocation, Server, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than anything here takes; a test that hangs fails with this instead.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) const KEY: &str = "a key of the tests, 32 bytes or more";

pub(crate) fn key() -> Secret {
    Secret::new(KEY.to_owned())
}

/// Somebody who calls through the gateway.
#[derive(Clone, Copy)]
pub(crate) struct User {
    id: i64,
    user_type: &'static str,
}

pub(crate) const ADMIN: User = User { id: 1, user_type: "admin" };
pub(crate) const ANN: User = User { id: 7, user_type: "default" };
pub(crate) const BOB: User = User { id: 8, user_type: "default" };

impl User {
    /// A request as the gateway forwards it for this user.
    pub(crate) fn asks(self, call: Call) -> Call {
        call.header("gateway-assertion", &self.assertion())
    }

    fn assertion(self) -> String {
        let assertion = Assertion {
            sub: Some(self.id.to_string()),
            user_type: Some(self.user_type.to_owned()),
            ..Assertion::default()
        };
        sign(&assertion, "orders", &key())
    }

    pub(crate) fn sends(self, addr: SocketAddr, call: Call) -> Answer {
        self.asks(call).send(addr)
    }

    pub(crate) fn gets(self, addr: SocketAddr, target: &str) -> Answer {
        self.sends(addr, get(target))
    }

    /// Makes an order that must succeed.
    pub(crate) fn orders(self, addr: SocketAddr, item: &str) -> Value {
        let answer = self.sends(addr, new_order(item));
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()
    }

    /// Makes an order, where the service may die meanwhile: the order if it was acknowledged, whole.
    pub(crate) fn tries_to_order(self, addr: SocketAddr, item: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(addr).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        let body = json!({"address": "1 Main Street", "item": item}).to_string();
        let head = format!(
            "POST /api/orders HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\ngateway-assertion: {}\r\n\r\n",
            body.len(),
            self.assertion(),
        );
        stream.write_all((head + &body).as_bytes()).ok()?;
        let mut answer = String::new();
        // A reset after a whole answer leaves the answer whole.
        let _ = stream.read_to_string(&mut answer);
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 201 ").then(|| serde_json::from_str(body).ok())?
    }

    /// All orders of this user, page by page.
    pub(crate) fn lists_all(self, addr: SocketAddr, limit: usize) -> Vec<Value> {
        let mut orders = Vec::new();
        let mut target = format!("/api/orders?limit={limit}");
        loop {
            let answer = self.gets(addr, &target);
            assert_eq!(answer.status, 200, "{}", answer.text());
            orders.extend(answer.json().as_array().expect("an array").iter().cloned());
            match next_page(&answer) {
                Some(next) => target = next,
                None => return orders,
            }
        }
    }
}

pub(crate) fn sign(assertion: &Assertion, audience: &str, key: &Secret) -> String {
    let signed = AssertionSigner::new(audience, key).unwrap().sign(assertion, SystemTime::now()).unwrap();
    signed.to_str().unwrap().to_owned()
}

pub(crate) fn new_order(item: &str) -> Call {
    post("/api/orders", &json!({"address": "1 Main Street\nSpringfield", "item": item}))
}

pub(crate) fn head(target: &str) -> Call {
    call("HEAD", target)
}

/// The target of the `Link` with `rel="next"`.
pub(crate) fn next_page(answer: &Answer) -> Option<String> {
    let link = answer.header("link")?;
    let target = link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"");
    Some(target.unwrap_or_else(|| panic!("not a link to the next page: {link}")).to_owned())
}

pub(crate) fn ids(orders: &[Value]) -> Vec<i64> {
    orders.iter().map(|order| order["id"].as_i64().expect("an id")).collect()
}

/// A folder for a database, removed afterwards.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path().join("data").join("orders.db")
    }
}

pub(crate) fn settings(database: DatabaseLocation) -> Settings {
    Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        database,
        internal_key: key(),
        drain_delay: Duration::ZERO,
        log_format: None,
        workers: 2.try_into().unwrap(),
        readers: 2.try_into().unwrap(),
    }
}

/// Starts a service in this process.
pub(crate) fn start(database: DatabaseLocation) -> Result<Running, StartError> {
    let settings = settings(database);
    Running::start(|told, stopped| {
        Box::pin(async move {
            let server = Server::bind(settings)?;
            told.send(server.addr()).map_err(StartError::failed)?;
            server.run_until(async { drop(stopped.await) }).await
        })
    })
}

/// A service on a database in memory.
pub(crate) fn in_memory() -> Running {
    start(DatabaseLocation::Memory).unwrap()
}

/// A service on a database in a folder.
pub(crate) fn in_folder(folder: &Folder) -> Running {
    start(DatabaseLocation::File(folder.database())).unwrap()
}

/// Asks again until it holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "not in time: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
