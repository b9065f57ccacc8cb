//! Requests and answers: what becomes of them between HTTP/2 and the HTTP/1.1 of upstreams.

use std::{
    io::{Read, Write},
    sync::mpsc,
};

use chassis::testing::{
    PATIENCE, Received,
    message::{Head, first, read_chunk},
    until,
};

use super::{
    client::{Client, request, request_with},
    frame::{PAYLOAD_BYTES_MAX, data, error::NO_ERROR, headers, last_data, open},
    gateway::{Http2, upstream_by_path},
};
use crate::fixture::{Upstream, upstream};

#[test]
fn a_request_becomes_one_of_http_1_1() {
    let upstream = Upstream::echo();
    let http2 = Http2::before(upstream.addr);
    let mut client = http2.client();
    let crumbs = [("cookie", "a=1"), ("x-kept", "one"), ("cookie", "b=2"), ("x-kept", "two"), ("cookie", "c=3")];
    client.send_all(&[headers(1, &request_with("GET", "/x?q=1", &crumbs))]);
    client.answer(1).assert_whole(200);
    let received = upstream.only();
    assert_eq!(received.line, "GET /x?q=1 HTTP/1.1");
    assert_eq!(received.header("cookie"), ["a=1; b=2; c=3"]);
    assert_eq!(received.header("x-kept"), ["one", "two"]);
    assert_eq!(received.header("x-forwarded-host"), ["gateway.test"]);
    assert!(received.headers.iter().all(|(name, _)| !name.starts_with(':')), "{received:?}");
    assert_eq!(received.header("content-length"), [""; 0]);
    assert_eq!(received.header("transfer-encoding"), [""; 0]);
}

#[test]
fn a_body_keeps_its_length_or_that_it_has_none() {
    let upstream = Upstream::echo();
    let http2 = Http2::before(upstream.addr);
    let mut client = http2.client();
    let with_length = request_with("POST", "/x", &[("content-length", "6")]);
    client.send_all(&[open(1, &with_length), data(1, b"abc"), last_data(1, b"def")]);
    client.answer(1).assert_whole(200);
    client.send_all(&[open(3, &request("POST", "/x")), data(3, b"abc"), last_data(3, b"def")]);
    client.answer(3).assert_whole(200);
    client.send_all(&[open(5, &request("POST", "/x")), last_data(5, b"")]);
    client.answer(5).assert_whole(200);
    let received = upstream.received();
    let framing = |received: &Received| {
        ["content-length", "transfer-encoding"].map(|name| first(&received.headers, name).map(str::to_owned))
    };
    assert_eq!(framing(&received[0]), [Some("6".to_owned()), None]);
    assert_eq!(framing(&received[1]), [None, Some("chunked".to_owned())]);
    assert!(received[..2].iter().all(|received| received.body == b"abcdef"));
    assert!(received[2].body.is_empty());
}

#[test]
fn an_answer_becomes_one_of_http_2() {
    let upstream = Upstream::answering(
        "HTTP/1.1 201 Created\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n\
         Transfer-Encoding: chunked\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Mixed-Case: Kept\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    );
    let http2 = Http2::before(upstream.addr);
    let mut client = http2.client();
    client.get(1, "/x");
    let answer = client.answer(1);
    answer.assert_whole(201);
    assert_eq!(answer.body, b"ok");
    for absent in ["connection", "keep-alive", "x-hop", "transfer-encoding"] {
        assert_eq!(answer.values(absent), [""; 0]);
    }
    assert_eq!(answer.values("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(answer.values("x-mixed-case"), ["Kept"]);
    assert_eq!(answer.values("date").len(), 1);
    assert_eq!(answer.values("content-length"), [""; 0], "an answer without a length has none in HTTP/2 either");
}

#[test]
fn the_date_of_an_upstream_is_kept() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\nok");
    let http2 = Http2::before(upstream.addr);
    let mut client = http2.client();
    client.get(1, "/x");
    assert_eq!(client.answer(1).values("date"), [date]);
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    let http2 = Http2::before(upstream_by_path());
    let mut client = http2.client();
    for (stream, method, path, status, length) in
        [(1, "HEAD", "/x", 200, Some("2")), (3, "GET", "/empty", 204, None), (5, "GET", "/unchanged", 304, Some("7"))]
    {
        client.send_all(&[headers(stream, &request(method, path))]);
        let answer = client.answer(stream);
        answer.assert_whole(status);
        assert!(answer.body.is_empty(), "{method} {path}");
        assert_eq!(answer.values("content-length").first().copied(), length, "{method} {path}");
    }
}

#[test]
fn a_client_that_waits_for_100_gets_it_when_the_body_is_wanted() {
    let upstream = Upstream::echo();
    let http2 = Http2::before(upstream.addr);
    let mut client = http2.client();
    let expecting = request_with("POST", "/x", &[("expect", "100-continue"), ("content-length", "4")]);
    client.send_all(&[open(1, &expecting)]);
    client.until(1, |answer| answer.interim == [100]);
    client.send_all(&[last_data(1, b"body")]);
    client.answer(1).assert_whole(200);
    assert_eq!(upstream.only().body, b"body");
    // One that is refused without its body gets no 100.
    let too_large = request_with("POST", "/x", &[("expect", "100-continue"), ("content-length", "9999999999")]);
    client.send_all(&[open(3, &too_large)]);
    let refused = client.answer(3);
    assert_eq!((refused.status, refused.interim.as_slice()), (413, &[][..]));
}

/// The answer comes before the end of the request, and is whole: that the rest is not wanted is said afterwards.
fn assert_refused_early(client: &mut Client, stream: u32) {
    let answer = client.answer(stream);
    answer.assert_whole(413);
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(body.contains("\"code\":\"payload_too_large\"") || body.contains("too_large"), "{body}");
}

#[test]
fn an_upload_that_is_too_large_is_refused_before_its_end() {
    let upstream = Upstream::echo();
    let http2 = Http2::before(upstream.addr);
    let mut client = http2.client();
    client.send_all(&[open(1, &request_with("POST", "/x", &[("content-length", "9999999999")])), data(1, b"some")]);
    assert_refused_early(&mut client, 1);
    // The others are not concerned.
    assert!(client.is_served(3));
    client.send_all(&[super::frame::reset(1, NO_ERROR)]);
    assert!(client.is_served(5));
    assert!(upstream.received().iter().all(|received| received.line.starts_with("GET ")));
}

#[test]
fn trailers_end_a_request_and_an_answer() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    let http2 = Http2::before(upstream.addr);
    let mut client = http2.client();
    let post = request_with("POST", "/x", &[("te", "trailers"), ("trailer", "x-sum")]);
    client.send_all(&[open(1, &post), data(1, b"body"), headers(1, &[("x-sum", "1")])]);
    let answer = client.answer(1);
    answer.assert_whole(200);
    assert_eq!(answer.body, b"ok");
    assert_eq!(upstream.only().body, b"body");
    assert!(client.is_served(3));
}

/// Reads a request with chunks and trailers to its end, byte for byte.
fn read_raw(reader: &mut impl Read) -> String {
    let mut raw = Vec::new();
    while !(raw.windows(5).any(|bytes| bytes == b"\r\n0\r\n") && raw.ends_with(b"\r\n\r\n")) {
        let mut byte = [0];
        reader.read_exact(&mut byte).unwrap();
        raw.push(byte[0]);
    }
    String::from_utf8(raw).unwrap()
}

#[test]
fn trailers_are_carried_both_ways_but_for_those_that_must_not_be_trailers() {
    let (seen, received) = mpsc::channel();
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\
                  Grpc-Status: 0\r\nX-Sum: 1\r\nSet-Cookie: a=1\r\nContent-Length: 9\r\n\r\n";
    let addr = upstream(move |mut reader| {
        for _ in 0..2 {
            let _ = seen.send(read_raw(&mut reader));
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    let http2 = Http2::before(addr);
    let mut client = http2.client();
    let trailers =
        [("x-sum", "7"), ("request-user-id", "1"), ("x-forwarded-for", "1.1.1.1"), ("authorization", "Bearer x")];
    client.send_all(&[
        open(1, &request_with("POST", "/x", &[("te", "trailers")])),
        data(1, b"body"),
        headers(1, &trailers),
    ]);
    let mut answered = client.answer(1);
    answered.assert_whole(200);
    // Fields of different names have no order (RFC 9110, section 5.3).
    answered.trailers.sort();
    let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        (&answered.body[..], &answered.trailers[..]),
        (&b"ok"[..], &[of("grpc-status", "0"), of("x-sum", "1")][..])
    );
    let first = received.recv().unwrap();
    assert!(first.ends_with("\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 7\r\n\r\n"), "{first}");

    // A client that does not say that it takes trailers gets none (RFC 9110, section 6.5.1).
    client.send_all(&[open(3, &request("POST", "/x")), data(3, b"body"), headers(3, &[("x-sum", "8")])]);
    let answered = client.answer(3);
    answered.assert_whole(200);
    assert_eq!((&answered.body[..], &answered.trailers[..]), (&b"ok"[..], &[][..]));
    assert!(received.recv().unwrap().ends_with("0\r\nx-sum: 8\r\n\r\n"));
}

#[test]
fn an_upload_that_stalls_is_refused_and_ends_with_its_stream() {
    let http2 = Http2::with(upstream_by_path(), "", ", timeout: {idle: 300ms}");
    let mut client = http2.client();
    client.send_all(&[open(1, &request_with("POST", "/x", &[("content-length", "10")])), data(1, b"some")]);
    client.answer(1).assert_whole(408);
    assert!(client.is_served(3));
    until("nothing is in flight", || http2.in_flight() == 0.0);
}

#[test]
fn an_answer_that_comes_before_the_end_of_its_request_is_whole() {
    // It answers by the head alone, and never reads the body.
    let upstream = upstream(|mut reader| {
        let Ok(Some(_)) = Head::read(&mut reader) else { return };
        let answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!";
        reader.get_mut().write_all(answer).unwrap();
        std::thread::park_timeout(PATIENCE);
    });
    let http2 = Http2::before(upstream);
    let mut client = http2.client();
    client.send_all(&[open(1, &request("POST", "/x")), data(1, &[b'x'; PAYLOAD_BYTES_MAX])]);
    let answer = client.answer(1);
    answer.assert_whole(403);
    assert_eq!(answer.body, b"no!");
    until("nothing is in flight", || http2.in_flight() == 0.0);
}

#[test]
fn both_directions_go_on_beside_each_other() {
    const PIECES: usize = 50;
    // It sends back each chunk when it has come, as a transcoder does.
    let upstream = upstream(|mut reader| {
        let Ok(Some(_)) = Head::read(&mut reader) else { return };
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        while let Some(chunk) = read_chunk(&mut reader) {
            let head = format!("{:x}\r\n", chunk.len());
            reader.get_mut().write_all(&[head.as_bytes(), &chunk, b"\r\n"].concat()).unwrap();
            if chunk.is_empty() {
                return;
            }
        }
    });
    let http2 = Http2::before(upstream);
    let mut client = http2.client();
    client.send_all(&[open(1, &request("POST", "/x"))]);
    for piece in 1..=PIECES {
        // The next piece is sent only when this one has come back.
        client.send_all(&[data(1, &[b'x'; PAYLOAD_BYTES_MAX])]);
        client.until(1, |answer| answer.body.len() == piece * PAYLOAD_BYTES_MAX);
    }
    client.send_all(&[last_data(1, b"")]);
    client.answer(1).assert_whole(200);
}
