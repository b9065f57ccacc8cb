//! Limits of what clients can use: rates, bodies, time, connections.

use std::{
    io::{Read, Write},
    net::TcpListener,
    time::{Duration, Instant},
};

use chassis::testing::{Connection, PATIENCE, Received, exchange, get, message::first, post, until};
use serde_json::json;

use crate::{
    fixture::{Gateway, Upstream, token, upstream},
    websocket,
};

#[test]
fn a_rate_limit_says_when_to_come_back() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(&upstream, "  - {route: GET /x, to: u, auth: public, limit: 2/hour per ip}\n");
    let statuses: Vec<u16> = (0..3).map(|_| get("/x").send(gateway.addr()).status).collect();
    assert_eq!(statuses, [200, 200, 429]);
    let refused = get("/x").header("X-Forwarded-For", "6.6.6.6").send(gateway.addr());
    assert_eq!((refused.status, refused.problem().as_str()), (429, "rate_limited"));
    assert_eq!(refused.header("ratelimit-policy"), Some("\"ip\";q=2;w=3600"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1800).contains(&wait), "{wait}");
    assert_eq!(refused.header("ratelimit"), Some(format!("\"ip\";r=0;t={wait}").as_str()));
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
fn a_body_that_stops_arriving_is_a_timeout() {
    let upstream = Upstream::echo();
    let routes = "  - {route: POST /x, to: u, auth: public, timeout: {idle: 200ms}}\n";
    let gateway = Gateway::before(&upstream, routes);
    let answer = exchange(gateway.addr(), b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    assert_eq!((answer.status, answer.problem().as_str()), (408, "request_timeout"));
}

#[test]
fn a_body_that_arrives_too_slowly_is_a_timeout_however_steadily_it_does() {
    let upstream = Upstream::echo();
    let routes = "  - {route: POST /x, to: u, auth: public}\n  \
                  - {route: POST /events, to: u, auth: public, body_rate: \"off\"}\n";
    let gateway = Gateway::before(&upstream, routes);
    let open = |path: &str| {
        let mut connection = Connection::open(gateway.addr());
        connection.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n").as_bytes());
        connection
    };
    let (mut slow, mut events) = (open("/x"), open("/events"));
    slow.stream().set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let begun = Instant::now();
    let (mut sent, mut first) = (0, [0; 4]);
    // Far more often than `timeout.idle` asks for.
    while slow.stream().read(&mut first).is_err() {
        assert!(begun.elapsed() < PATIENCE, "the connection never ends");
        slow.send(b"x");
        events.send(b"x");
        sent += 1;
    }
    assert!(begun.elapsed() > Duration::from_secs(10));
    let answer = [&first[..], &slow.read_to_end()].concat();
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("\"code\":\"request_timeout\""), "{text}");
    events.send(&vec![b'x'; 1000 - sent]);
    assert_eq!(events.answer(false).unwrap().status, 200);
}

#[test]
fn an_answer_that_stops_arriving_is_cut_short_and_not_completed() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    let routes = "  - {route: GET /x, to: u, auth: public, timeout: {idle: 200ms}}\n";
    let gateway = Gateway::before(&upstream, routes);
    let answer = get("/x").begin(gateway.addr()).answer(false).unwrap();
    assert_eq!((answer.status, answer.header("content-length"), answer.text().as_str()), (200, Some("10"), "abc"));
    assert!(!answer.whole);
}

#[test]
fn an_answer_for_a_hook_has_the_same_limits_of_time() {
    let stalling = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    // Ends after 5 s, if nobody closes the connection before.
    let dripping = upstream(|mut reader| {
        Received::read(&mut reader).unwrap();
        let mut piece: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
        for _ in 0..=100 {
            if reader.get_mut().write_all(piece).is_err() {
                return;
            }
            piece = b" ";
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    for (upstream, timeout) in
        [(stalling.addr, "{idle: 200ms}"), (stalling.addr, "{total: 300ms}"), (dripping, "{total: 300ms}")]
    {
        let route = format!("  - {{route: POST /x, to: u, auth: public, then: issue-token, timeout: {timeout}}}\n");
        let gateway = Gateway::before_addr(upstream, &route);
        let answer = post("/x", &json!({})).send(gateway.addr());
        assert_eq!((answer.status, answer.problem().as_str()), (504, "upstream_timeout"), "{timeout}");
    }
}

#[test]
fn a_head_that_stops_arriving_is_a_timeout() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(&upstream, "  - {route: GET /x, to: u, auth: public}\n");
    // Longer than the ten seconds that a head may take.
    let mut connection = Connection::open(gateway.addr());
    connection.send(b"GET /x HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    assert_eq!(connection.answer(false).unwrap().status, 408);
    assert!(connection.read_to_end().is_empty());
    assert!(upstream.received().is_empty());
}

#[test]
fn answers_carry_what_is_left_of_each_rate_limit() {
    let upstream = Upstream::echo();
    let routes = "  - {route: \"GET,POST /x\", to: u, auth: public, limit: [3/hour per ip, 5/day per ip]}\n  \
                  - {route: GET /free, to: u, auth: public}\n";
    let gateway = Gateway::before(&upstream, routes);
    let policy = "\"ip\";q=3;w=3600, \"ip-2\";q=5;w=86400";
    let answers = [get("/x"), post("/x", &json!(1)), get("/x"), get("/x")].map(|call| call.send(gateway.addr()));
    let told: Vec<_> = answers.iter().map(|answer| (answer.status, answer.header("ratelimit-policy"))).collect();
    assert_eq!(told, [(200, Some(policy)), (200, Some(policy)), (200, Some(policy)), (429, Some(policy))]);
    let state = answers[0].header("ratelimit").unwrap();
    assert!(state.starts_with("\"ip\";r=2;t=") && state.contains(", \"ip-2\";r=4;t="), "{state}");
    assert!(answers[2].header("ratelimit").unwrap().starts_with("\"ip\";r=0;t="), "the methods share the limit");
    assert_eq!(get("/free").send(gateway.addr()).header("ratelimit"), None);
}

#[test]
fn refusals_after_admission_and_websockets_carry_the_rate_limit_fields_too() {
    let unreachable = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let limit = "auth: public, limit: 9/hour per ip";
    let gateway = Gateway::start(
        &format!(
            "upstreams:\n  ws: {{targets: [\"http://{}\"]}}\n  gone: {{targets: [\"http://{unreachable}\"]}}\n  \
             full: {{targets: [\"http://{silent}\"], max_in_flight: 1}}\n  slow: {{targets: [\"http://{silent}\"]}}\n\
             routes:\n  - {{route: POST /large, to: gone, {limit}, body_limit: 1B}}\n  \
             - {{route: GET /gone, to: gone, {limit}}}\n  - {{route: GET /full, to: full, {limit}}}\n  \
             - {{route: GET /slow, to: slow, {limit}, timeout: {{head: 200ms}}}}\n  \
             - {{route: GET /ws, to: ws, {limit}, websocket: true}}\n",
            websocket::echo(),
            silent = silent.local_addr().unwrap(),
        ),
        &[],
    );
    // Holds the only place at `full`.
    let mut holder = Connection::open(gateway.addr());
    holder.send(b"GET /full HTTP/1.1\r\nHost: a\r\n\r\n");
    silent.accept().unwrap();
    for (call, status, left) in [
        (post("/large", &json!("too large")), 413, 8),
        (get("/gone"), 502, 8),
        (get("/full"), 503, 7),
        (get("/slow"), 504, 8),
    ] {
        let answer = call.send(gateway.addr());
        assert_eq!((answer.status, answer.header("ratelimit-policy")), (status, Some("\"ip\";q=9;w=3600")), "{call:?}");
        let state = answer.header("ratelimit").unwrap();
        assert!(state.starts_with(&format!("\"ip\";r={left};")), "{call:?}: {state}");
    }
    let mut connection = Connection::open(gateway.addr());
    connection.send(&websocket::ask("/ws", ""));
    let (status, headers) = connection.head().unwrap();
    assert_eq!((status, first(&headers, "ratelimit-policy")), (101, Some("\"ip\";q=9;w=3600")));
    assert!(first(&headers, "ratelimit").unwrap().starts_with("\"ip\";r=8;"), "{headers:?}");
}

#[test]
fn a_header_may_say_who_asks() {
    let upstream = Upstream::echo();
    let routes = "  - {route: GET /x, to: u, auth: public, limit: 1/hour per header X-Api-Key}\n";
    let gateway = Gateway::before(&upstream, routes);
    let ask = |key: &str| get("/x").header("x-api-key", key).send(gateway.addr());
    assert_eq!(["a", "b", "a", "b"].map(|key| ask(key).status), [200, 200, 429, 429]);
    assert!(ask("a").header("ratelimit").unwrap().starts_with("\"x-api-key\";r=0;"));
    let without = [(); 2].map(|()| get("/x").send(gateway.addr()).status);
    assert_eq!(without, [200, 429], "who has no key is counted by address");
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let upstream = Upstream::echo();
    let sections = format!(
        "limits: {{head_bytes: 1KiB}}\nupstreams: {{u: {{targets: [\"http://{}\"]}}}}\n\
         routes:\n  - {{route: GET /x, to: u, auth: public}}\n",
        upstream.addr
    );
    let gateway = Gateway::start(&sections, &[]);
    let with = |bytes: usize| get("/x").header("X-Large", &"x".repeat(bytes)).send(gateway.addr());
    assert_eq!(with(800).status, 200);
    let refused = with(1024);
    assert_eq!((refused.status, refused.problem().as_str()), (431, "head_too_large"));
    assert_eq!(upstream.received().len(), 1);
}

/// Number of slow clients: many for one worker; few enough for the files that a process may open (each takes six in this
/// one), and for the backlog of the upstream (128 connections).
const SLOW_CLIENTS: usize = 64;

/// Opens [`SLOW_CLIENTS`] connections and sends the same beginning on each.
fn slow_clients(gateway: &Gateway, beginning: &[u8]) -> Vec<Connection> {
    let open = || {
        let mut connection = Connection::open(gateway.addr());
        connection.send(beginning);
        connection
    };
    (0..SLOW_CLIENTS).map(|_| open()).collect()
}

/// Sends a piece on each of these connections twenty times, while others are served.
fn drip(slow: &mut [Connection], piece: &[u8], gateway: &Gateway) {
    for _ in 0..20 {
        // Those that were cut off already cannot be written to.
        slow.iter_mut().for_each(|connection| connection.send(piece));
        assert_eq!(get("/x").send(gateway.addr()).status, 200);
    }
}

/// Each of these connections ends, without an answer or with one of these statuses.
fn assert_refused(slow: Vec<Connection>, statuses: &[u16]) {
    for mut connection in slow {
        let answer = connection.answer(false);
        assert!(answer.as_ref().is_none_or(|answer| statuses.contains(&answer.status)), "{answer:?}");
        assert!(connection.read_to_end().is_empty());
    }
}

#[test]
fn clients_that_send_their_heads_slowly_delay_no_others_and_are_cut_off() {
    let upstream = Upstream::echo();
    let sections = format!(
        "limits: {{head_timeout: 2s}}\nupstreams: {{u: {{targets: [\"http://{}\"]}}}}\n\
         routes:\n  - {{route: GET /x, to: u, auth: public}}\n",
        upstream.addr
    );
    let gateway = Gateway::start(&sections, &[]);
    let mut slow = slow_clients(&gateway, b"GET /x HTTP/1.1\r\nHost: a\r\n");
    drip(&mut slow, b"X-Drip: 1\r\n", &gateway);
    assert_refused(slow, &[408]);
    assert_eq!(upstream.received().len(), 20, "nobody else was served");
}

#[test]
fn clients_that_send_their_bodies_slowly_delay_no_others() {
    let upstream = Upstream::echo();
    let routes = "  - {route: POST /x, to: u, auth: public, timeout: {total: 2s}}\n  \
                  - {route: GET /x, to: u, auth: public}\n";
    let gateway = Gateway::before(&upstream, routes);
    let mut slow = slow_clients(&gateway, b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    drip(&mut slow, b"x", &gateway);
    assert_refused(slow, &[408, 504]);
    let whole = upstream.received().into_iter().filter(|received| received.line.starts_with("POST")).count();
    assert_eq!(whole, 0, "no upstream got half a request");
}

#[test]
fn a_client_that_does_not_read_its_answer_is_cut_off_and_a_slow_one_is_not() {
    // More than the sockets on the way can hold.
    const BYTES: usize = 32 * 1024 * 1024;
    const PIECE: usize = 1024 * 1024;
    let answer =
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n").as_bytes(), &vec![b'x'; BYTES]].concat();
    let upstream = Upstream::start(move |_| answer.clone());
    let sections = format!(
        "limits: {{write_timeout: 2s}}\nupstreams: {{u: {{targets: [\"http://{}\"], max_in_flight: 1}}}}\n\
         routes:\n  - {{route: GET /x, to: u, auth: public}}\n",
        upstream.addr
    );
    let gateway = Gateway::start(&sections, &[]);
    let ask = || {
        let mut connection = Connection::open(gateway.addr());
        connection.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        connection.read_exact(1);
        connection
    };

    let (mut slow, begun) = (ask(), Instant::now());
    for _ in 1..BYTES / PIECE {
        slow.read_exact(PIECE);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(begun.elapsed() > Duration::from_secs(3), "it has taken longer than a client that reads nothing may");
    slow.read_exact(PIECE);
    drop(slow);

    let answers = |status: u16| get("/x").send(gateway.addr()).status == status;
    until("there is room again", || answers(200));
    let _stalled = ask();
    until("the client that reads nothing takes the only place", || answers(503));
    until("it is cut off", || answers(200));
}

#[test]
fn a_client_that_reads_below_the_minimum_rate_is_cut_off() {
    const BYTES: usize = 64 * 1024 * 1024;
    const PIECE: usize = 1024 * 1024;
    let answer =
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n").as_bytes(), &vec![b'x'; BYTES]].concat();
    let upstream = Upstream::start(move |_| answer.clone());
    for (rate, is_cut) in [("16MiB/s", true), ("16KiB/s", false)] {
        let gateway = Gateway::start(
            &format!(
                "limits: {{write_timeout: 3s, write_rate: {rate}}}\nupstreams: {{u: {{targets: [\"http://{}\"]}}}}\n\
                 routes:\n  - {{route: GET /x, to: u, auth: public}}\n",
                upstream.addr
            ),
            &[],
        );
        let mut connection = Connection::open(gateway.addr());
        connection.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        let (mut piece, mut read) = (vec![0; PIECE], 0);
        // At most 10 MiB/s, and never three seconds without a read, so that the time limit alone would not end it.
        while connection.stream().read_exact(&mut piece).is_ok() {
            read += PIECE;
            if read + PIECE >= BYTES {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(read + PIECE < BYTES, is_cut, "{rate}: {read} bytes were read");
    }
}

#[test]
fn connections_beyond_the_limit_wait_for_others_to_end() {
    let upstream = Upstream::echo();
    let sections = format!(
        "limits: {{connections: 3}}\nupstreams: {{u: {{targets: [\"http://{}\"]}}}}\n\
         routes:\n  - {{route: GET /x, to: u, auth: public}}\n",
        upstream.addr
    );
    let gateway = Gateway::start(&sections, &[]);
    let request = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    let is_answered = |connection: &mut Connection| connection.answer(false).is_some();
    let mut open: Vec<Connection> = (0..3).map(|_| Connection::open(gateway.addr())).collect();
    for connection in &mut open {
        connection.send(request);
        assert!(is_answered(connection), "there is room for three");
    }
    let mut fourth = Connection::open(gateway.addr());
    fourth.send(request);
    fourth.stream().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(!is_answered(&mut fourth), "the fourth waits");
    open.pop();
    fourth.stream().set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(is_answered(&mut fourth), "until one has ended");
}
