//! A service to talk to, and users who do so through the gateway.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use chassis::{
    config::{Secret, StartError},
    testing::{self, Answer, Call, Running, Signer, call, get, post},
};
use orders::{DatabaseLocation, Server, Settings};
use serde_json::{Value, json};

use crate::place;
pub(crate) use crate::place::Folder;

pub(crate) const KEY: &str = "a key of the tests, 32 bytes or more";

/// The gateway, which signs for this service.
pub(crate) const GATEWAY: Signer<'_> = Signer::new("orders", KEY);

/// Somebody who calls through the gateway.
#[derive(Clone, Copy)]
pub(crate) struct User(testing::User);

pub(crate) const ADMIN: User = User(testing::User { id: 1, user_type: "admin" });
pub(crate) const ANN: User = User(testing::User { id: 7, user_type: "default" });
pub(crate) const BOB: User = User(testing::User { id: 8, user_type: "default" });

impl User {
    /// A request as the gateway forwards it for this user.
    pub(crate) fn asks(self, call: Call) -> Call {
        GATEWAY.signed(call, Some(self.0))
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

    /// Makes an order of a service that may be killed meanwhile: the order, if it was acknowledged.
    pub(crate) fn tries_to_order(self, addr: SocketAddr, item: &str) -> Option<Value> {
        let answer = self.asks(new_order(item)).try_send(addr)?;
        (answer.status == 201).then(|| answer.json())
    }

    /// All orders of this user, page by page.
    pub(crate) fn lists_all(self, addr: SocketAddr, limit: usize) -> Vec<Value> {
        self.lists_filtered(addr, limit, "")
    }

    /// All orders of a list, page by page; the filter begins with `&`.
    pub(crate) fn lists_filtered(self, addr: SocketAddr, limit: usize, filter: &str) -> Vec<Value> {
        let mut orders = Vec::new();
        let mut target = format!("/api/orders?limit={limit}{filter}");
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

/// Ends the other threads also where an assertion fails.
pub(crate) struct StopOnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn settings(database: DatabaseLocation) -> Settings {
    Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        database,
        internal_key: Secret::new(KEY.to_owned()),
        drain_delay: Duration::ZERO,
        log_format: None,
        workers: 2.try_into().unwrap(),
        readers: 2.try_into().unwrap(),
        events: None,
    }
}

/// Starts a service in this process.
pub(crate) fn start(database: DatabaseLocation) -> Result<Running, StartError> {
    let settings = settings(database);
    Running::start(|addr, stopped| {
        Box::pin(async move {
            let server = Server::bind(settings)?;
            addr.send(server.addr()).map_err(StartError::failed)?;
            server.run_until(async { drop(stopped.await) }).await
        })
    })
}

/// A service on a database of which nothing remains.
pub(crate) fn in_memory() -> Running {
    start(place::passing()).unwrap()
}

/// A service on a database in a folder.
pub(crate) fn in_folder(folder: &Folder) -> Running {
    start(folder.location()).unwrap()
}
