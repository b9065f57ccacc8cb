//! Clients that make orders with idempotency keys while services and servers are killed, and what must be true afterwards.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use chassis::testing::{Call, call};
use serde_json::Value;

use crate::fixture::{ADMIN, ANN, new_order, next_page};

/// Number of clients.
pub(crate) const CLIENTS: usize = 8;

/// A client that gives each of its requests a key, and sends the last one again until it is answered.
#[derive(Default)]
pub(crate) struct Client {
    acknowledged: Vec<Value>,
}

/// As many clients as the tests have.
pub(crate) fn clients() -> Vec<Client> {
    (0..CLIENTS).map(|_| Client::default()).collect()
}

/// Lets the clients work until the service is gone; `end` gets the number of orders that they have made so far.
pub(crate) fn work(clients: &mut [Client], addr: SocketAddr, end: impl FnOnce(&AtomicUsize)) {
    let made = AtomicUsize::new(0);
    thread::scope(|scope| {
        for (number, client) in clients.iter_mut().enumerate() {
            let made = &made;
            scope.spawn(move || client.work(addr, number, made));
        }
        end(&made);
    });
}

impl Client {
    /// Makes orders, and cancels every third, until the service is gone.
    fn work(&mut self, addr: SocketAddr, number: usize, made: &AtomicUsize) {
        loop {
            let item = format!("{number}/{}", self.acknowledged.len());
            let call = ANN.asks(new_order(&item).header("Idempotency-Key", &item));
            let Some(answer) = call.try_send(addr).filter(|answer| answer.status == 201) else { return };
            let order = answer.json();
            let id = &order["id"];
            if self.acknowledged.len().is_multiple_of(3) {
                // Whether it was cancelled is unknown where the service dies meanwhile.
                ANN.asks(call_to_cancel(id)).try_send(addr);
            }
            self.acknowledged.push(order);
            made.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn call_to_cancel(id: &Value) -> Call {
    call("POST", &format!("/api/orders/{id}/cancel"))
}

/// Every acknowledged order is there, none was made twice, and the events are those of the orders.
pub(crate) fn assert_exactly_once(clients: &[Client], addr: SocketAddr) {
    let orders = ANN.lists_all(addr, 500);
    let acknowledged: usize = clients.iter().map(|client| client.acknowledged.len()).sum();
    let items: HashSet<&str> = orders.iter().filter_map(|order| order["item"].as_str()).collect();
    assert_eq!(items.len(), orders.len(), "an order was made twice");
    assert!(orders.len() <= acknowledged + CLIENTS, "{} orders, {acknowledged} acknowledged", orders.len());
    let by_id: HashMap<&Value, &Value> = orders.iter().map(|order| (&order["id"], order)).collect();
    for order in clients.iter().flat_map(|client| &client.acknowledged) {
        let kept = by_id.get(&order["id"]).unwrap_or_else(|| panic!("acknowledged, and lost: {order}"));
        assert_eq!((&kept["item"], &kept["created_at"]), (&order["item"], &order["created_at"]));
    }
    assert_events_are_the_orders(addr, &by_id);
}

/// Every order has the events that lead to its state, and there are no others.
fn assert_events_are_the_orders(addr: SocketAddr, orders: &HashMap<&Value, &Value>) {
    let mut happened: HashMap<Value, Vec<String>> = HashMap::new();
    let mut next = Some("/internal/events?limit=500".to_owned());
    while let Some(target) = next {
        let page = ADMIN.gets(addr, &target);
        for event in page.json().as_array().expect("an array") {
            let kind = event["type"].as_str().expect("a type").to_owned();
            happened.entry(event["data"]["id"].clone()).or_default().push(kind);
        }
        next = next_page(&page);
    }
    assert_eq!(happened.len(), orders.len());
    for (id, order) in orders {
        let expected: &[&str] = match order["status"].as_str() {
            Some("pending") => &["order.created"],
            _ => &["order.created", "order.cancelled"],
        };
        assert_eq!(happened[id], expected, "{order}");
    }
}
