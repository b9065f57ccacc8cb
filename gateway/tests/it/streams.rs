//! What flows: events at once, large bodies in little memory, and nothing for clients that have gone.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use chassis::testing::{Connection, PATIENCE, Received, message::read_chunk};

use crate::fixture::{File, Gateway, Process, upstream};

const ANY: &str = "  - {route: \"* /{path...}\", to: u, auth: public, body_limit: 1GiB}\n";
const LARGE: usize = 100 * 1024 * 1024;
/// Maximum growth of the gateway's memory while it passes 100 MiB on. It takes about 1 MiB; a third of the body would mean
/// that bodies are buffered.
const GROWTH_MAX: usize = 32 * 1024 * 1024;

#[test]
fn events_reach_the_client_when_they_happen() {
    let (next, happened) = mpsc::channel::<()>();
    let happened = Arc::new(Mutex::new(happened));
    let upstream = upstream(move |mut reader| {
        Received::read(&mut reader).unwrap();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        reader.get_mut().write_all(head.as_bytes()).unwrap();
        while happened.lock().unwrap().recv().is_ok() {
            reader.get_mut().write_all(b"9\r\ndata: 1\n\n\r\n").unwrap();
        }
    });
    let gateway = Gateway::before_addr(upstream, ANY);
    let mut connection = Connection::open(gateway.addr());
    connection.send(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(connection.head().unwrap().0, 200);
    for _ in 0..3 {
        // The next one happens only after this one has been seen.
        next.send(()).unwrap();
        assert_eq!(connection.chunk().unwrap(), b"data: 1\n\n");
    }
}

#[test]
fn a_client_that_goes_away_ends_its_request_at_the_upstream() {
    let (arrived, arrival) = mpsc::channel();
    let (ended, end) = mpsc::channel();
    let upstream = upstream(move |mut reader| {
        Received::read(&mut reader).unwrap();
        arrived.send(()).unwrap();
        let mut rest = Vec::new();
        let _ = reader.read_to_end(&mut rest);
        ended.send(()).unwrap();
    });
    let gateway = Gateway::before_addr(upstream, ANY);
    let mut connection = Connection::open(gateway.addr());
    connection.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    arrival.recv_timeout(PATIENCE).unwrap();
    drop(connection);
    // Long before the head timeout of 59 s, after which the gateway would give up by itself.
    end.recv_timeout(Duration::from_secs(30)).unwrap();
}

#[test]
fn large_bodies_pass_in_little_memory() {
    let upstream = upstream(|mut reader| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            reader.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let mut piece = vec![b'x'; 64 * 1024];
        if head.starts_with("put ") {
            assert!(head.contains(&format!("content-length: {LARGE}")), "{head}");
            for _ in 0..LARGE / piece.len() {
                reader.read_exact(&mut piece).unwrap();
            }
            reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
        } else {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\nConnection: close\r\n\r\n");
            reader.get_mut().write_all(head.as_bytes()).unwrap();
            for _ in 0..LARGE / piece.len() {
                reader.get_mut().write_all(&piece).unwrap();
            }
        }
    });
    // A process of its own, so that what is measured is the gateway's.
    let gateway = Process::start(&File::new(&format!(
        "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nupstreams: {{u: {{targets: [\"http://{upstream}\"]}}}}\n\
         routes:\n{ANY}"
    )));
    let before = gateway.resident_bytes();
    let mut piece = vec![b'y'; 64 * 1024];

    let mut down = Connection::open(gateway.addr);
    down.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(down.head().unwrap().0, 200);
    for _ in 0..LARGE / piece.len() {
        piece = down.read_exact(piece.len());
    }
    let downloaded = gateway.resident_bytes();

    let mut up = Connection::open(gateway.addr);
    up.send(format!("PUT /large HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes());
    for _ in 0..LARGE / piece.len() {
        up.stream().write_all(&piece).unwrap();
    }
    assert_eq!(up.answer(false).unwrap().status, 204);
    let uploaded = gateway.resident_bytes();

    for (what, after) in [("download", downloaded), ("upload", uploaded)] {
        let growth = after.saturating_sub(before);
        assert!(growth < GROWTH_MAX, "the {what} took {growth} bytes");
    }
}

#[test]
fn a_refusal_that_comes_during_an_upload_reaches_the_client() {
    let upstream = upstream(|mut reader| {
        let mut some = [0; 1024];
        reader.read_exact(&mut some).unwrap();
        let refusal = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!";
        reader.get_mut().write_all(refusal).unwrap();
        // It reads no further, and closes only when the other side does.
        std::thread::park_timeout(PATIENCE);
    });
    let gateway = Gateway::before_addr(upstream, ANY);
    let mut connection = Connection::open(gateway.addr());
    let length = 20 * 1024 * 1024;
    connection.send(format!("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n").as_bytes());
    connection.send(&vec![0; length]);
    let answer = connection.answer(false).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (413, &b"no!"[..]));
}

/// Reads the head of a request and no further.
fn read_head(reader: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "the head ends early: {head}");
    }
    head.to_ascii_lowercase()
}

#[test]
fn an_upstream_may_echo_a_body_that_is_larger_than_all_buffers() {
    const BYTES: usize = 40 * 1024 * 1024;
    let upstream = upstream(|mut reader| {
        let head = read_head(&mut reader);
        assert!(head.contains(&format!("content-length: {BYTES}\r\n")), "{head}");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n");
        reader.get_mut().write_all(head.as_bytes()).unwrap();
        let (mut piece, mut left) = (vec![0; 16 * 1024], BYTES);
        while left > 0 {
            // It reads no further before what it has read was taken back.
            let read = reader.read(&mut piece).unwrap();
            reader.get_mut().write_all(&piece[..read]).unwrap();
            left -= read;
        }
        // The connection serves the next request, too: another one would fail at its head.
        read_head(&mut reader);
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext").unwrap();
    });
    let gateway = Gateway::before_addr(upstream, ANY);
    let mut connection = Connection::open(gateway.addr());
    connection.send(format!("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: {BYTES}\r\n\r\n").as_bytes());
    let sent: Vec<u8> = (0..BYTES).map(|at| (at / 7) as u8).collect();
    let mut writer = connection.stream().try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&sent).unwrap());
        let answer = connection.answer(false).unwrap();
        assert_eq!((answer.status, answer.whole), (200, true));
        assert!(answer.body == sent, "{} bytes, and not those that were sent", answer.body.len());
    });
    let mut next = Connection::open(gateway.addr());
    next.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(next.answer(false).unwrap().text(), "next");
}

#[test]
fn a_client_gets_the_answer_to_what_it_has_sent_while_it_goes_on_sending() {
    let upstream = upstream(|mut reader| {
        let head = read_head(&mut reader);
        assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        reader.get_mut().write_all(head.as_bytes()).unwrap();
        while let Some(chunk) = read_chunk(&mut reader) {
            let upper = String::from_utf8(chunk.to_ascii_uppercase()).unwrap();
            let chunk = format!("{:x}\r\n{upper}\r\n", upper.len());
            reader.get_mut().write_all(chunk.as_bytes()).unwrap();
            if upper.is_empty() {
                return;
            }
        }
    });
    // The client takes longer than the target may: whoever waits for whom, nobody is to blame.
    let gateway =
        Gateway::before_addr(upstream, "  - {route: \"* /{path...}\", to: u, auth: public, timeout: {head: 300ms}}\n");
    let mut connection = Connection::open(gateway.addr());
    connection.send(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.send(b"3\r\nabc\r\n");
    assert_eq!(connection.head().unwrap().0, 200);
    assert_eq!(connection.chunk().unwrap(), b"ABC");
    for _ in 0..3 {
        connection.send(b"2\r\nde\r\n");
        assert_eq!(connection.chunk().unwrap(), b"DE");
    }
    connection.send(b"0\r\n\r\n");
    assert_eq!(connection.chunk().unwrap(), b"");
}

#[test]
fn an_upload_reaches_an_upstream_that_has_answered_already() {
    let (stored, storing) = mpsc::channel();
    let upstream = upstream(move |mut reader| {
        read_head(&mut reader);
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        let mut body = vec![0; 1000];
        reader.read_exact(&mut body).unwrap();
        stored.send(body).unwrap();
    });
    let gateway = Gateway::before_addr(upstream, ANY);
    let mut connection = Connection::open(gateway.addr());
    connection.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    for _ in 0..10 {
        connection.send(&[b'x'; 100]);
    }
    assert_eq!(connection.answer(false).unwrap().text(), "ok");
    assert_eq!(storing.recv_timeout(PATIENCE).unwrap(), vec![b'x'; 1000]);
}

#[test]
fn an_upstream_that_has_answered_and_reads_no_further_does_not_hold_its_client() {
    let upstream = upstream(|mut reader| {
        read_head(&mut reader);
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        thread::park_timeout(PATIENCE);
    });
    let gateway = Gateway::before_addr(upstream, ANY);
    let mut connection = Connection::open(gateway.addr());
    let length = 40 * 1024 * 1024;
    connection.send(format!("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n").as_bytes());
    connection.send(&vec![0; length]);
    let answer = connection.answer(false).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
}

#[test]
fn a_request_that_arrives_in_a_loop_is_refused() {
    // The upstream sends it on to where it came from, as a second gateway with a wrong target would.
    let entry = Arc::new(Mutex::new(None));
    let known = Arc::clone(&entry);
    let upstream = upstream(move |mut reader| {
        let received = Received::read(&mut reader).unwrap();
        let via = received.header("via").join(", ");
        let mut back = Connection::open(known.lock().unwrap().unwrap());
        back.send(format!("GET /x HTTP/1.1\r\nHost: a\r\nVia: {via}, 1.1 other\r\n\r\n").as_bytes());
        let answer = back.answer(false).unwrap();
        let head = format!("HTTP/1.1 {} Loop\r\nContent-Length: {}\r\n\r\n", answer.status, answer.body.len());
        reader.get_mut().write_all(&[head.into_bytes(), answer.body].concat()).unwrap();
    });
    let gateway = Gateway::before_addr(upstream, ANY);
    *entry.lock().unwrap() = Some(gateway.addr());
    let mut connection = Connection::open(gateway.addr());
    connection.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = connection.answer(false).unwrap();
    assert_eq!(answer.status, 508);
    assert!(String::from_utf8_lossy(&answer.body).contains("\"code\":\"loop_detected\""));
}

#[test]
fn an_idle_connection_that_the_upstream_closes_costs_no_request() {
    let upstream = upstream(|mut reader| {
        Received::read(&mut reader).unwrap();
        reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        // The next request on this connection is read, and never answered: it closes just then.
        let _ = Received::read(&mut reader);
    });
    let gateway = Gateway::before_addr(upstream, ANY);
    let status = |method: &str| {
        let mut connection = Connection::open(gateway.addr());
        connection.send(format!("{method} /x HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        connection.answer(false).unwrap().status
    };
    assert_eq!([status("GET"), status("GET"), status("GET")], [204, 204, 204]);
    // It may have been done: only what is safe is sent again.
    assert_eq!(status("POST"), 502);
}
