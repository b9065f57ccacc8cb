//! `GET /internal/events`: what has happened to orders.

use std::{net::SocketAddr, time::Instant};

use chassis::testing::{Answer, Call, Connection, call, get, until_some};
use serde_json::{Value, json};

use crate::{
    fixture::{ADMIN, ANN, BOB, Folder, User, in_folder, in_memory, new_order, next_page},
    process,
};

const EVENTS: &str = "/internal/events";

fn change(addr: SocketAddr, user: User, call: Call) {
    let answer = user.sends(addr, call);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn confirm(id: i64) -> Call {
    call("PATCH", &format!("/api/orders/{id}")).json(&json!({"status": "confirmed"}))
}

fn cancel(id: i64) -> Call {
    call("POST", &format!("/api/orders/{id}/cancel"))
}

/// Id, type and subject of events.
fn shown(events: &[Value]) -> Vec<(&str, &str, &str)> {
    events
        .iter()
        .map(|event| {
            let text = |name: &str| event[name].as_str().unwrap_or_default();
            (text("id"), text("type"), text("subject"))
        })
        .collect()
}

#[test]
fn each_change_is_an_event_with_the_order_after_it() {
    let service = in_memory();
    let addr = service.addr();
    let book = ANN.orders(addr, "a book");
    BOB.orders(addr, "a pen");
    change(addr, ADMIN, confirm(1));
    change(addr, BOB, cancel(2));
    assert_eq!(ANN.sends(addr, cancel(2)).status, 404, "what is refused is no event");

    let answer = ADMIN.gets(addr, EVENTS);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/cloudevents-batch+json")));
    assert_eq!(answer.header("link"), None);
    let events = answer.json().as_array().unwrap().clone();
    let expected = [
        ("1", "order.created", "1"),
        ("2", "order.created", "2"),
        ("3", "order.confirmed", "1"),
        ("4", "order.cancelled", "2"),
    ];
    assert_eq!(shown(&events), expected);
    let first = json!({
        "specversion": "1.0", "id": "1", "source": "/orders", "type": "order.created", "subject": "1",
        "time": book["created_at"], "datacontenttype": "application/json", "data": book,
        "traceparent": events[0]["traceparent"],
    });
    assert_eq!(events[0], first, "as it was then, although the order is confirmed now");
    assert_eq!(events[2]["data"], ANN.gets(addr, "/api/orders/1").json());
}

#[test]
fn an_event_is_part_of_the_trace_of_the_request_that_led_to_it() {
    let service = in_memory();
    let traced = |call: Call, id: &str| call.header("traceparent", &format!("00-{id}-b7ad6b7169203331-01"));
    let ids = ["0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736"];
    let order = || new_order("a book").header("Idempotency-Key", "key");
    assert_eq!(ANN.sends(service.addr(), traced(order(), ids[0])).status, 201);
    assert_eq!(ANN.sends(service.addr(), traced(order(), ids[1])).status, 201, "a replay, which is no event");
    change(service.addr(), ADMIN, traced(confirm(1), ids[1]));
    change(service.addr(), ANN, cancel(1));
    let events = ADMIN.gets(service.addr(), EVENTS).json();
    let traces: Vec<&str> = (0..3).map(|n| events[n]["traceparent"].as_str().unwrap()).collect();
    for (trace, id) in traces.iter().zip(ids) {
        assert!(trace.starts_with(&format!("00-{id}-")) && trace.ends_with("-01"), "{traces:?}");
    }
    assert!(traces[2].len() == 55 && !traces[..2].contains(&traces[2]), "a trace of its own: {traces:?}");
}

#[test]
fn events_are_read_from_where_a_consumer_has_stopped() {
    let folder = Folder::new();
    let service = in_folder(&folder);
    (0..5).for_each(|_| drop(ANN.orders(service.addr(), "a book")));
    let read = |addr, target: &str| ADMIN.gets(addr, target);
    let ids = |answer: &Answer| {
        let events = answer.json();
        events.as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = read(service.addr(), &format!("{EVENTS}?limit=2"));
    assert_eq!(ids(&first), ["1", "2"]);
    let next = next_page(&first).unwrap();
    assert_eq!(next, "/internal/events?limit=2&cursor=2");
    service.stop().unwrap();

    let service = in_folder(&folder);
    let second = read(service.addr(), &next);
    assert_eq!(ids(&second), ["3", "4"]);
    let third = read(service.addr(), &next_page(&second).unwrap());
    assert_eq!((ids(&third), next_page(&third)), (vec!["5".to_owned()], None));
    assert_eq!(ids(&read(service.addr(), &format!("{EVENTS}?cursor=5"))), Vec::<String>::new());
    for query in ["cursor=-1", "cursor=x", "cursor=", "limit=0", "limit=501", "after=1"] {
        let answer = read(service.addr(), &format!("{EVENTS}?{query}"));
        assert_eq!((answer.status, answer.problem().as_str()), (400, "bad_request"), "{query}");
    }
}

#[test]
fn events_are_for_admins_only() {
    let service = in_memory();
    let answer = ANN.gets(service.addr(), EVENTS);
    assert_eq!((answer.status, answer.problem().as_str()), (403, "insufficient_scope"));
    assert_eq!(get(EVENTS).send(service.addr()).problem(), "assertion_invalid");
    assert_eq!(ANN.sends(service.addr(), stream()).status, 403);
}

fn stream() -> Call {
    get(EVENTS).header("Accept", "text/event-stream")
}

/// A client that follows the events.
struct Follower {
    connection: Connection,
    received: String,
}

impl Follower {
    fn start(addr: SocketAddr, call: Call) -> Self {
        let mut connection = ADMIN.asks(call).begin(addr);
        let (status, headers) = connection.head().unwrap();
        assert_eq!(status, 200, "{headers:?}");
        assert!(headers.iter().any(|(name, value)| name == "content-type" && value == "text/event-stream"));
        Self { connection, received: String::new() }
    }

    /// The next event: its id, its name, and what is in it.
    fn next(&mut self) -> (String, String, Value) {
        loop {
            if let Some((event, rest)) = self.received.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.received = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                // Without a field it is a comment.
                if let Some(id) = field("id: ") {
                    let data = serde_json::from_str(&field("data: ").unwrap()).unwrap();
                    return (id, field("event: ").unwrap(), data);
                }
            } else {
                let chunk = self.connection.chunk().expect("the stream goes on");
                self.received.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        }
    }
}

#[test]
fn a_stream_tells_what_has_happened_and_what_happens() {
    let folder = Folder::new();
    // The second service commits to the same database.
    let (service, other) = (in_folder(&folder), in_folder(&folder));
    ANN.orders(service.addr(), "before");
    let mut follower = Follower::start(service.addr(), stream());
    let (id, name, event) = follower.next();
    assert_eq!((id.as_str(), name.as_str(), &event["data"]["item"]), ("1", "order.created", &json!("before")));
    assert_eq!(event, ADMIN.gets(service.addr(), EVENTS).json()[0]);
    ANN.orders(service.addr(), "meanwhile");
    assert_eq!(follower.next().2["data"]["item"], "meanwhile");
    change(other.addr(), ANN, cancel(2));
    let (id, name, event) = follower.next();
    assert_eq!((id.as_str(), name.as_str(), &event["subject"]), ("3", "order.cancelled", &json!("2")));
    drop(follower);

    // As a browser does when it connects again.
    let mut again = Follower::start(service.addr(), stream().header("Last-Event-ID", "2"));
    assert_eq!(again.next().0, "3");
    let mut later =
        Follower::start(service.addr(), get("/internal/events?cursor=1").header("Accept", "text/event-stream"));
    assert_eq!(later.next().0, "2");
    let answer = ADMIN.sends(service.addr(), stream().header("Last-Event-ID", "x"));
    assert_eq!((answer.status, answer.problem().as_str()), (400, "bad_request"));
}

#[test]
fn a_stream_tells_it_at_once() {
    let service = in_memory();
    let mut follower = Follower::start(service.addr(), stream());
    let start = Instant::now();
    for id in 1..=20 {
        ANN.orders(service.addr(), "a book");
        assert_eq!(follower.next().0, id.to_string());
    }
    // Asking every second would take twenty.
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

#[test]
fn every_event_of_a_burst_arrives_once_and_in_order() {
    let service = in_memory();
    let addr = service.addr();
    let mut follower = Follower::start(addr, stream());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || (0..100).for_each(|_| drop(ANN.orders(addr, "a book"))));
        }
        let ids: Vec<String> = (0..400).map(|_| follower.next().0).collect();
        assert!(ids.iter().eq((1..=400).map(|id| id.to_string()).collect::<Vec<_>>().iter()), "{ids:?}");
    });
}

#[test]
fn streams_are_bounded_in_number_and_a_place_is_free_when_its_client_goes() {
    let service = in_memory();
    ANN.orders(service.addr(), "a book");
    let mut followers: Vec<Follower> = (0..16).map(|_| Follower::start(service.addr(), stream())).collect();
    let refused = ADMIN.sends(service.addr(), stream());
    assert_eq!((refused.status, refused.problem().as_str()), (503, "overloaded"));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(ADMIN.gets(service.addr(), EVENTS).status, 200, "pages are read all the same");
    followers.iter_mut().for_each(|follower| assert_eq!(follower.next().0, "1"));
    followers.pop();
    // The service notices when it writes to the connection.
    until_some("a place is free", || {
        ANN.orders(service.addr(), "another");
        let mut connection = ADMIN.asks(stream()).begin(service.addr());
        connection.head().filter(|(status, _)| *status == 200)
    });
}

#[test]
fn an_open_stream_does_not_hold_up_the_end_of_the_service() {
    let folder = Folder::new();
    let program = process::start(&folder);
    let mut follower = Follower::start(program.addr(), stream());
    ANN.orders(program.addr(), "a book");
    follower.next();
    let start = Instant::now();
    program.terminate();
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    assert_eq!(follower.connection.chunk(), Some(Vec::new()), "the stream ends in order");
}
