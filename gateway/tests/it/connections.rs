//! Connections of clients: timeouts of heads, memory of idle connections, answers to what is no request.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use chassis::testing::{Answer, Connection, PATIENCE, Received, get};
use serde_json::Value;

use crate::fixture::{File, Gateway, Process, Upstream, own_token, upstream};

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
const ROUTES: &str = "  - {route: \"GET,POST /x\", to: u, auth: public}\n  \
                      - {route: GET /ws, to: u, auth: public, websocket: true}\n";

/// A gateway with this timeout for heads.
fn gateway(upstream: SocketAddr, head_timeout: &str) -> Gateway {
    let sections = format!(
        "limits: {{head_timeout: {head_timeout}}}\nupstreams: {{u: {{targets: [\"http://{upstream}\"]}}}}\nroutes:\n{ROUTES}"
    );
    Gateway::start(&sections, &[])
}

fn answer(connection: &mut Connection) -> Answer {
    connection.answer(false).unwrap()
}

/// Sends a piece again and again, and gives what comes back until the connection ends.
fn drip(stream: &mut TcpStream, piece: &[u8]) -> String {
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let (mut answer, mut bytes, deadline) = (Vec::new(), [0; 4096], Instant::now() + PATIENCE);
    loop {
        assert!(Instant::now() < deadline, "the connection never ends: {}", String::from_utf8_lossy(&answer));
        let sent = stream.write_all(piece);
        match stream.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&bytes[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock && sent.is_ok() => {}
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Fails if anything comes, or the connection ends, within this time.
fn stays_open(stream: &mut TcpStream, time: Duration) {
    stream.set_read_timeout(Some(time)).unwrap();
    let read = stream.read(&mut [0]);
    assert!(read.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "{read:?}");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
}

fn assert_problem(answer: &str, status: u16, code: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with(&format!("http/1.1 {status} ")), "{answer}");
    assert!(head.contains("application/problem+json") && head.contains("connection: close"), "{answer}");
    let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    assert_eq!((&body["code"], &body["status"]), (&code.into(), &status.into()));
    assert!(head.contains(&format!("x-request-id: {}", body["request_id"].as_str().unwrap())), "{answer}");
}

#[test]
fn every_head_of_a_connection_has_the_same_timeout() {
    let upstream = Upstream::echo();
    let gateway = gateway(upstream.addr, "400ms");
    for requests in [0, 1, 3] {
        // The time of the first head begins with the connection, that of each further one when the answer before it has been
        // sent, which may be well before it is read here.
        let mut begun = Instant::now();
        let mut connection = Connection::open(gateway.addr());
        for _ in 0..requests {
            connection.send(GET);
            begun = Instant::now();
            assert_eq!(answer(&mut connection).status, 200);
        }
        connection.send(b"GET /x HTTP/1.1\r\nHost: a\r\n");
        assert_problem(&drip(connection.stream(), b"X-Drip: 1\r\n"), 408, "request_timeout");
        assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
    }
    assert_eq!(upstream.received().len(), 4, "what was cut off has gone nowhere");
}

#[test]
fn a_head_after_a_body_has_a_limit_too() {
    let upstream = Upstream::echo();
    let gateway = gateway(upstream.addr, "400ms");
    let mut connection = Connection::open(gateway.addr());
    connection.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(answer(&mut connection).status, 200);
    assert_eq!(drip(connection.stream(), b"G"), "", "an answer could be taken for one to something else");
}

#[test]
fn an_idle_connection_lives_longer_than_a_head_may_take() {
    let upstream = Upstream::echo();
    let gateway = gateway(upstream.addr, "200ms");
    let mut connection = Connection::open(gateway.addr());
    let post = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    for request in [GET, GET, post, GET] {
        connection.send(request);
        assert_eq!(answer(&mut connection).status, 200);
        stays_open(connection.stream(), Duration::from_secs(1));
    }
}

#[test]
fn nothing_that_came_early_is_lost_while_a_connection_is_idle() {
    let upstream = Upstream::echo();
    let gateway = gateway(upstream.addr, "200ms");
    for early in [&b"G"[..], b"GET /x HTTP/1.1\r\n", b"GET /x HTTP/1.1\r\nHost: a\r\n\r"] {
        let mut connection = Connection::open(gateway.addr());
        connection.send(&[GET, GET, early].concat());
        assert_eq!([answer(&mut connection).status, answer(&mut connection).status], [200, 200]);
        connection.send(&GET[early.len()..]);
        assert_eq!(answer(&mut connection).status, 200, "{early:?}");
    }
    // More than the server takes at once.
    let mut connection = Connection::open(gateway.addr());
    connection.send(&GET.repeat(40));
    for nth in 0..40 {
        assert_eq!(answer(&mut connection).status, 200, "{nth}");
    }
}

#[test]
fn bodies_and_websockets_take_the_time_that_they_need() {
    let upstream = upstream(|mut reader| {
        while let Some(request) = Received::read(&mut reader) {
            if request.header("upgrade").is_empty() {
                std::thread::park_timeout(Duration::from_secs(1));
                reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no").unwrap();
                std::thread::park_timeout(Duration::from_secs(1));
                reader.get_mut().write_all(b"k").unwrap();
            } else {
                let switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
                reader.get_mut().write_all(switched).unwrap();
                let _ = std::io::copy(&mut reader.get_ref().try_clone().unwrap(), reader.get_mut());
            }
        }
    });
    let gateway = gateway(upstream, "100ms");
    let mut up = Connection::open(gateway.addr());
    up.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    for _ in 0..5 {
        stays_open(up.stream(), Duration::from_millis(200));
        up.send(b"x");
    }
    let uploaded = answer(&mut up);
    assert_eq!((uploaded.status, uploaded.body.as_slice()), (200, &b"ok"[..]));
    let mut tunnel = Connection::open(gateway.addr());
    tunnel.send(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(tunnel.head().unwrap().0, 101);
    for _ in 0..2 {
        stays_open(tunnel.stream(), Duration::from_secs(1));
        tunnel.send(b"ping");
        assert_eq!(tunnel.read_exact(4), b"ping");
    }
}

#[test]
fn a_connection_that_the_client_gives_up_ends_at_once() {
    let upstream = Upstream::echo();
    let gateway = gateway(upstream.addr, "10s");
    let mut connection = get("/x").begin(gateway.addr());
    assert_eq!(answer(&mut connection).header("connection"), Some("close"));
    let answered = Instant::now();
    assert!(connection.read_to_end().is_empty());
    // Shorter than the five seconds for which it waits for the rest of a body that it has refused.
    assert!(answered.elapsed() < Duration::from_secs(4), "{:?}", answered.elapsed());
}

#[test]
fn a_client_is_told_why_nothing_could_be_read() {
    let upstream = Upstream::echo();
    let gateway = gateway(upstream.addr, "10s");
    // Right but for its size: the server may refuse it half read, or read all of it, and then leaves the limit to us.
    let head = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Large: ".to_vec();
    let large = [head, vec![b'x'; 200 * 1024], b"\r\n\r\n".to_vec()].concat();
    for (request, status, code) in [
        (&b"what is this?\r\n\r\n"[..], 400, "bad_request"),
        (b"GET /x HTTP/1.1\r\nno colon\r\n\r\n", 400, "bad_request"),
        (&large, 431, "head_too_large"),
    ] {
        for first in [&b""[..], GET] {
            let mut connection = Connection::open(gateway.addr());
            if !first.is_empty() {
                connection.send(first);
                assert_eq!(answer(&mut connection).status, 200);
            }
            connection.send(request);
            assert_problem(&String::from_utf8_lossy(&connection.read_to_end()), status, code);
        }
    }
    let metrics = get("/metrics").send(gateway.admin).text();
    assert!(metrics.contains("gateway_problems_total{code=\"bad_request\"} 4"), "{metrics}");
}

/// Number of idle connections: few enough for the files that a process may open.
const CLIENTS: usize = 400;
/// Maximum growth of the memory: up to 256 connections may be in the server, with 20 KiB each, and those that wait take
/// 2 KiB each: 6 MiB, and what the allocator keeps. All of them in the server would take 10 MiB.
const GROWTH_MAX: usize = 8 * 1024 * 1024;

#[test]
fn idle_connections_take_little_memory() {
    let upstream = Upstream::echo();
    let yaml = |head_timeout: &str| {
        format!(
            "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nlimits: {{head_timeout: {head_timeout}}}\n\
             tokens: {{issuer: test, audience: api}}\nupstreams: {{u: {{targets: [\"http://{}\"]}}}}\n\
             routes: [{{route: GET /x, to: u, auth: signed-in}}]\n",
            upstream.addr
        )
    };
    let token = own_token(&serde_json::json!({}));
    let request = format!("GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    for (what, head_timeout, requests) in [("unused", "60s", 0), ("used", "200ms", 1)] {
        let gateway = Process::start(&File::new(&yaml(head_timeout)));
        let ask = |connection: &mut Connection| {
            connection.send(request.as_bytes());
            assert_eq!(answer(connection).status, 200);
        };
        // What is made once.
        ask(&mut Connection::open(gateway.addr));
        let before = gateway.resident_bytes();
        let mut held: Vec<Connection> = Vec::new();
        for _ in 0..CLIENTS {
            let mut connection = Connection::open(gateway.addr);
            (0..requests).for_each(|_| ask(&mut connection));
            held.push(connection);
        }
        // After all of them, so that they have been accepted.
        ask(&mut Connection::open(gateway.addr));
        let growth = gateway.resident_bytes().saturating_sub(before);
        assert!(growth < GROWTH_MAX, "{CLIENTS} {what} connections take {growth} bytes");
        // They are there all the same.
        held.iter_mut().for_each(ask);
    }
}
