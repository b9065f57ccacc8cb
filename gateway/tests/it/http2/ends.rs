//! A request ends with its stream, and with its connection: its place, its connection to the upstream, its work.

use std::{
    io::{BufReader, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use chassis::testing::{PATIENCE, message::Head, until};

use super::{
    client::{Client, request},
    frame::{
        PAYLOAD_BYTES_MAX, data,
        error::{CANCEL, INTERNAL_ERROR},
        flag, kind, open, ping, reset,
    },
    gateway::{Http2, wait_for_end},
};
use crate::fixture::upstream;

/// Less than the 30 s after which the gateway gives up an upstream by itself that falls silent (`timeout.idle`; 59 s before
/// its head).
const AT_ONCE: Duration = Duration::from_secs(20);
/// As many requests as a browser may have on one connection.
const REQUESTS: u32 = 64;

/// An upstream that reads the heads of requests, says the beginning of an answer or nothing, and tells when a request has
/// arrived, and when its connection has ended.
struct Observed {
    addr: SocketAddr,
    arrived: Receiver<()>,
    ended: Receiver<()>,
}

impl Observed {
    fn saying(beginning: &'static [u8]) -> Self {
        let (arrival, arrived) = channel();
        let (end, ended) = channel();
        let addr = upstream(move |mut reader: BufReader<TcpStream>| {
            let Ok(Some(_)) = Head::read(&mut reader) else { return };
            arrival.send(()).unwrap();
            reader.get_mut().write_all(beginning).unwrap();
            wait_for_end(&mut reader);
            end.send(()).unwrap();
        });
        Self { addr, arrived, ended }
    }

    fn silent() -> Self {
        Self::saying(b"")
    }

    fn await_arrivals(&self, count: u32) {
        (0..count).for_each(|_| self.arrived.recv_timeout(PATIENCE).unwrap());
    }

    fn await_ends(&self, count: u32) {
        (0..count).for_each(|_| self.ended.recv_timeout(AT_ONCE).unwrap());
    }
}

fn streams() -> impl Iterator<Item = u32> {
    (0..REQUESTS).map(|nth| 2 * nth + 1)
}

/// The connection itself goes on.
fn assert_alive(client: &mut Client) {
    client.send_all(&[ping()]);
    assert!(client.next(|frame| frame.kind == kind::PING && frame.has(flag::ACK)).is_some());
}

#[test]
fn a_stream_that_is_reset_ends_its_request_and_no_other() {
    let silent = Observed::silent();
    let http2 = Http2::before(silent.addr);
    let mut client = http2.client();
    streams().for_each(|stream| client.get(stream, "/x"));
    silent.await_arrivals(REQUESTS);
    client.send_all(&streams().skip(1).map(|stream| reset(stream, CANCEL)).collect::<Vec<_>>());
    silent.await_ends(REQUESTS - 1);
    until("one request is in flight", || http2.in_flight() == 1.0);
    assert_alive(&mut client);
    client.send_all(&[reset(1, CANCEL)]);
    silent.await_ends(1);
    until("no request is in flight", || http2.in_flight() == 0.0);
}

#[test]
fn a_connection_that_closes_ends_all_its_requests() {
    let silent = Observed::silent();
    let http2 = Http2::before(silent.addr);
    let mut client = http2.client();
    streams().for_each(|stream| client.get(stream, "/x"));
    silent.await_arrivals(REQUESTS);
    drop(client);
    silent.await_ends(REQUESTS);
    until("no request is in flight", || http2.in_flight() == 0.0);
}

#[test]
fn an_upload_that_is_reset_ends_at_the_upstream_before_its_end() {
    let silent = Observed::silent();
    let http2 = Http2::before(silent.addr);
    let mut client = http2.client();
    client.send_all(&[open(1, &request("POST", "/x")), data(1, &[b'x'; PAYLOAD_BYTES_MAX])]);
    silent.await_arrivals(1);
    client.send_all(&[reset(1, CANCEL)]);
    silent.await_ends(1);
    assert_alive(&mut client);
}

#[test]
fn an_answer_that_is_reset_ends_at_the_upstream() {
    let talking = Observed::saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbeginning");
    let http2 = Http2::before(talking.addr);
    let mut client = http2.client();
    client.get(1, "/x");
    client.until(1, |answer| answer.body == b"beginning");
    client.send_all(&[reset(1, CANCEL)]);
    talking.await_ends(1);
    until("no request is in flight", || http2.in_flight() == 0.0);
    assert_alive(&mut client);
}

#[test]
fn an_answer_that_the_upstream_breaks_off_is_reset_and_not_ended() {
    for framing in ["Content-Length: 1000\r\n\r\nbeginning", "Transfer-Encoding: chunked\r\n\r\n9\r\nbeginning\r\n"] {
        let breaking = upstream(move |mut reader| {
            let Ok(Some(_)) = Head::read(&mut reader) else { return };
            reader.get_mut().write_all(format!("HTTP/1.1 200 OK\r\n{framing}").as_bytes()).unwrap();
        });
        let http2 = Http2::before(breaking);
        let mut client = http2.client();
        client.get(1, "/x");
        let answer = client.answer(1);
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"beginning"[..]));
        answer.assert_reset(INTERNAL_ERROR);
        assert_alive(&mut client);
    }
}
