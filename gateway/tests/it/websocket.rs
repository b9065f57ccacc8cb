//! WebSockets and what comes before them: bytes are relayed only after the upstream said 101, and only where a route
//! allows it.

use std::io::{BufRead, BufReader, Read, Write};

use chassis::testing::{Connection, Received, message::first};

use crate::fixture::{Gateway, token, upstream};

const ROUTES: &str = "  - {route: \"GET /ws/{path...}\", to: u, auth: public, websocket: true}\n  \
    - {route: GET /signed, to: u, auth: signed-in, websocket: true}\n  \
    - {route: GET /idle, to: u, auth: public, websocket: true, timeout: {idle: 300ms}}\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A request for a WebSocket.
pub(crate) fn ask(path: &str, fields: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n"
    )
    .into_bytes()
}

/// An upstream that switches, greets, and then sends every byte back.
pub(crate) fn echo() -> std::net::SocketAddr {
    upstream(|mut reader| {
        let Some(request) = Received::read(&mut reader) else { return };
        assert_eq!(request.header("upgrade"), ["websocket"]);
        assert_eq!(request.header("connection"), ["upgrade"]);
        assert_eq!(request.header("sec-websocket-key"), ["dGhlIHNhbXBsZSBub25jZQ=="]);
        assert_eq!(request.header("sec-websocket-version"), ["13"]);
        reader.get_mut().write_all([SWITCHED, "hello"].concat().as_bytes()).unwrap();
        loop {
            let bytes = reader.fill_buf().unwrap_or_default().to_vec();
            if bytes.is_empty() || reader.get_mut().write_all(&bytes).is_err() {
                return;
            }
            reader.consume(bytes.len());
        }
    })
}

#[test]
fn bytes_go_both_ways_once_the_upstream_has_switched() {
    let gateway = Gateway::before_addr(echo(), ROUTES);
    let mut connection = Connection::open(gateway.addr());
    connection.send(&ask("/ws/chat?room=1", ""));
    let (status, headers) = connection.head().unwrap();
    let header = |name: &str| first(&headers, name);
    assert_eq!((status, header("upgrade"), header("connection")), (101, Some("websocket"), Some("upgrade")));
    assert_eq!(header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(connection.read_exact(5), b"hello");
    // Bytes that would be HTTP, and bytes that are nothing at all, are bytes.
    for message in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 255, 13, 10, 0], &vec![7; 300_000]] {
        connection.send(message);
        assert_eq!(connection.read_exact(message.len()), message);
    }
    drop(connection);
}

#[test]
fn a_caller_without_permission_gets_no_websocket() {
    let gateway = Gateway::before_addr(echo(), ROUTES);
    let mut stranger = Connection::open(gateway.addr());
    stranger.send(&ask("/signed", ""));
    let refused = stranger.answer(false).unwrap();
    assert_eq!((refused.status, refused.header("connection")), (401, Some("close")));
    assert!(stranger.read_to_end().is_empty());
    let mut known = Connection::open(gateway.addr());
    known.send(&ask("/signed", &format!("Authorization: Bearer {}\r\n", token(7, "default"))));
    assert_eq!(known.head().unwrap().0, 101);
}

#[test]
fn a_refusal_of_the_upstream_is_passed_on_whole_and_nothing_is_relayed() {
    let upstream = upstream(|mut reader| {
        if Received::read(&mut reader).is_some() {
            let refusal = "HTTP/1.1 403 Forbidden\r\nUpgrade: websocket\r\nX-Why: origin\r\n\
                           Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n1\r\n!\r\n0\r\n\r\n";
            reader.get_mut().write_all(refusal.as_bytes()).unwrap();
            // Nothing may come after it.
            let mut rest = Vec::new();
            let _ = reader.read_to_end(&mut rest);
            assert!(rest.is_empty(), "{rest:?}");
        }
    });
    let gateway = Gateway::before_addr(upstream, ROUTES);
    let mut connection = Connection::open(gateway.addr());
    connection.send(&[ask("/ws/x", ""), b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()].concat());
    let refused = connection.answer(false).unwrap();
    assert_eq!((refused.status, refused.body.as_slice()), (403, &b"no!"[..]));
    assert_eq!((refused.header("x-why"), refused.header("connection")), (Some("origin"), Some("close")));
    assert!(connection.read_to_end().is_empty());
}

#[test]
fn an_idle_websocket_ends() {
    let gateway = Gateway::before_addr(echo(), ROUTES);
    let mut connection = Connection::open(gateway.addr());
    connection.send(&ask("/idle", ""));
    assert_eq!(connection.head().unwrap().0, 101);
    assert_eq!(connection.read_to_end(), b"hello");
}

#[test]
fn the_end_of_one_side_is_the_end_of_the_other() {
    let (ended, end) = std::sync::mpsc::channel();
    let upstream = upstream(move |mut reader: BufReader<_>| {
        Received::read(&mut reader).unwrap();
        reader.get_mut().write_all(SWITCHED.as_bytes()).unwrap();
        let mut rest = Vec::new();
        let _ = reader.read_to_end(&mut rest);
        ended.send(rest).unwrap();
    });
    let gateway = Gateway::before_addr(upstream, ROUTES);
    let mut connection = Connection::open(gateway.addr());
    connection.send(&ask("/ws/x", ""));
    assert_eq!(connection.head().unwrap().0, 101);
    connection.send(b"last words");
    drop(connection);
    assert_eq!(end.recv_timeout(std::time::Duration::from_secs(60)).unwrap(), b"last words");
}
