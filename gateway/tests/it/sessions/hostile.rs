//! A feed that answers what no feed should: nothing of it costs more than its bounds, and afterwards it is read as before.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use chassis::testing::{Received, get, until};
use serde_json::{Value, json};

use super::{
    ask, environment,
    feed::{Feed, Mode, ok},
    gateway, sections, token,
};
use crate::fixture::{Gateway, Upstream, upstream};

fn page(more: &Value) -> Vec<u8> {
    let mut page = json!({"ended": [{"sid": "x", "at": 1}], "next": "1", "kept_for": 86_400, "more": false});
    page.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ok(&page)
}

#[test]
fn an_answer_that_is_none_counts_as_no_answer() {
    let with_length = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let feed = Feed::start();
    let (gateway, _upstream) = gateway(&feed, "unreachable: accept");
    for answer in [
        with_length("500 Internal Server Error", ""),
        with_length("410 Gone", ""),
        with_length("400 Bad Request", ""),
        with_length("302 Found", "{}"),
        with_length("204 No Content", ""),
        with_length("200 OK", "<html>"),
        with_length("200 OK", "{\"ended\": []"),
        with_length("200 OK", &" ".repeat(300 * 1024)),
        b"HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n{".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"ended\"".to_vec(),
        b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
        page(&json!({"more": true, "ended": []})),
        page(&json!({"next": "x".repeat(2000)})),
        page(&json!({"next": ""})),
        page(&json!({"ended": [{"sid": null, "at": 1}]})),
        page(&json!({"kept_for": 1})),
    ] {
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(80)]).into_owned();
        until(&format!("the feed is read before {shown}"), || failure(&gateway).is_none());
        feed.set(Mode::Bytes(answer.into()));
        until(&format!("this is refused: {shown}"), || failure(&gateway).is_some());
        assert_eq!(ask(&gateway, &token("a")).status, 200, "{shown}");
        feed.end(&shown);
        feed.set(Mode::Well);
        until(&format!("what ended meanwhile is known: {shown}"), || ask(&gateway, &token(&shown)).status == 401);
    }
}

/// Why the gateway cannot read the feed.
fn failure(gateway: &Gateway) -> Option<String> {
    get("/status").send(gateway.admin).json()["sessions"]["failure"].as_str().map(str::to_owned)
}

#[test]
fn a_feed_that_always_has_more_is_not_asked_without_end() {
    let feed = Feed::start();
    feed.set(Mode::Endless);
    let (gateway, _upstream) = gateway(&feed, "unreachable: accept");
    assert_eq!(ask(&gateway, &token("a")).status, 200);
    until("it is given up", || feed.questions().len() >= 2000);
    until("a retry brings a page", || feed.questions().len() > 2000);
    // Pauses of half a second and more from then on.
    let before = feed.questions().len();
    thread::sleep(Duration::from_secs(3));
    let asked = feed.questions().len() - before;
    assert!(asked <= 12, "{asked}");
    assert_eq!(ask(&gateway, &token("again and again")).problem(), "session_ended", "what it says is used");
    assert_eq!(ask(&gateway, &token("a")).status, 200);
}

#[test]
fn a_feed_that_does_not_wait_is_not_asked_all_the_time() {
    let feed = Feed::start();
    feed.set(Mode::Bytes(page(&json!({"ended": []})).into()));
    let (_gateway, _upstream) = gateway(&feed, "unreachable: accept");
    until("it is asked", || !feed.questions().is_empty());
    let before = feed.questions().len();
    thread::sleep(Duration::from_secs(2));
    let asked = feed.questions().len() - before;
    assert!((2..=21).contains(&asked), "about ten times a second: {asked}");
}

/// Starts a feed that answers with this head and then, as long as it is read, with this piece again and again.
fn streaming(head: &'static str, piece: &'static [u8], pause: Duration) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let addr = upstream(move |mut reader| {
        while Received::read(&mut reader).is_some() {
            let stream = reader.get_mut();
            if stream.write_all(head.as_bytes()).is_err() {
                return;
            }
            while stream.write_all(piece).is_ok() {
                counted.fetch_add(piece.len(), Ordering::SeqCst);
                thread::sleep(pause);
            }
        }
    });
    (addr, sent)
}

#[test]
fn an_answer_without_end_is_given_up() {
    for (name, head, piece, pause, sent_max) in [
        // What the buffers of two sockets hold is sent, too.
        ("huge", "HTTP/1.1 200 OK\r\n\r\n", &[b' '; 64 * 1024][..], Duration::ZERO, 64 * 1024 * 1024),
        ("slow", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b" ", Duration::from_millis(100), 1000),
        ("a head without end", "HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", Duration::from_millis(100), 100_000),
    ] {
        let (addr, sent) = streaming(head, piece, pause);
        let (feed, app) = (Feed::start(), Upstream::echo());
        let sections =
            sections(&feed, &app, "unreachable: accept").replace(&feed.addr().to_string(), &addr.to_string());
        let gateway = Gateway::with_tokens(&sections, &environment());
        assert_eq!(ask(&gateway, &token("a")).status, 200, "{name}: after the time that the start waits");
        until("the answer is given up", || failure(&gateway).is_some());
        assert!(sent.load(Ordering::SeqCst) < sent_max, "{name}: {}", sent.load(Ordering::SeqCst));
    }
}
