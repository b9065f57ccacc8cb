//! What clients can make grow has a limit: rates, bodies, waiting.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use chassis::testing::{exchange, get, post};
use serde_json::json;

use crate::{
    fixture::{Gateway, Upstream, token},
    raw::Connection,
};

#[test]
fn a_rate_limit_says_when_to_come_back() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(&upstream, "  - {route: GET /x, to: u, auth: public, limit: 2/hour per ip}\n");
    let statuses: Vec<u16> = (0..3).map(|_| get("/x").send(gateway.addr()).status).collect();
    assert_eq!(statuses, [200, 200, 429]);
    let refused = get("/x").header("X-Forwarded-For", "6.6.6.6").send(gateway.addr());
    assert_eq!((refused.status, refused.problem().as_str()), (429, "rate_limited"));
    assert_eq!(refused.header("ratelimit-policy"), Some("\"default\";q=2;w=3600"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1800).contains(&wait), "{wait}");
    assert_eq!(refused.header("ratelimit"), Some(format!("\"default\";r=0;t={wait}").as_str()));
    assert_eq!(upstream.received().len(), 2);
}

#[test]
fn each_caller_has_a_rate_of_their_own() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(&upstream, "  - {route: GET /x, to: u, auth: signed-in, limit: 1/hour per user}\n");
    let (one, two) = (token(1, "default"), token(2, "default"));
    let status = |token: &str| get("/x").bearer(token).send(gateway.addr()).status;
    assert_eq!([status(&one), status(&two), status(&one), status(&two)], [200, 200, 429, 429]);
}

#[test]
fn a_body_over_the_limit_is_refused_before_anybody_is_asked() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(&upstream, "  - {route: POST /x, to: u, auth: public, body_limit: 10}\n");
    assert_eq!(post("/x", &json!({"a": 1})).send(gateway.addr()).status, 200);
    let declared = post("/x", &json!({"a": "longer than ten"})).send(gateway.addr());
    assert_eq!((declared.status, declared.problem().as_str()), (413, "payload_too_large"));
    assert_eq!(upstream.received().len(), 1);
    let chunked = b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
                    c\r\nabcdefghijkl\r\n0\r\n\r\n";
    let chunked = exchange(gateway.addr(), chunked);
    assert_eq!((chunked.status, chunked.problem().as_str()), (413, "payload_too_large"));
    assert_eq!(upstream.received().len(), 1, "the upstream never got a whole request");
}

#[test]
fn a_body_that_stops_coming_is_given_up() {
    let upstream = Upstream::echo();
    let routes = "  - {route: POST /x, to: u, auth: public, timeout: {idle: 200ms}}\n";
    let gateway = Gateway::before(&upstream, routes);
    let mut stream = TcpStream::connect(gateway.addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    assert!(text.contains("\"code\":\"request_timeout\""), "{text}");
}

#[test]
fn an_answer_that_stops_coming_is_cut_short_and_not_completed() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    let routes = "  - {route: GET /x, to: u, auth: public, timeout: {idle: 200ms}}\n";
    let gateway = Gateway::before(&upstream, routes);
    let answer = get("/x").send(gateway.addr());
    assert_eq!((answer.status, answer.header("content-length"), answer.text().as_str()), (200, Some("10"), "abc"));
}

#[test]
fn a_head_that_stops_coming_is_given_up() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(&upstream, "  - {route: GET /x, to: u, auth: public}\n");
    // Longer than the ten seconds that a head may take.
    let mut connection = Connection::open(gateway.addr());
    connection.send(b"GET /x HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    assert_eq!(connection.answer(false).unwrap().status, 408);
    assert!(connection.read_to_end().is_empty());
    assert!(upstream.received().is_empty());
}
