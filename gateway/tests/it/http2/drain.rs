//! The end of a gateway (RFC 9113, section 6.8): clients are told, requests in flight finish, and later ones can be
//! repeated elsewhere.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chassis::testing::until;

use super::{
    client::{Client, End, Manners},
    frame::{WINDOW_MAX, error::NO_ERROR},
    gateway::{Certificate, Http2Process},
};
use crate::fixture::{Process, Upstream};

/// Much less than the 30 s after which requests in flight are cut off.
const SOON: Duration = Duration::from_secs(15);

/// Requests that are in flight when their gateway is asked to end.
struct InFlight {
    http2: Http2Process,
    client: Client,
    upstream: Upstream,
    /// Lets the upstream answer.
    release: Arc<AtomicBool>,
}

const STREAMS: [u32; 3] = [1, 3, 5];

impl InFlight {
    fn with(manners: Manners) -> Self {
        let release = Arc::new(AtomicBool::new(false));
        let released = Arc::clone(&release);
        let upstream = Upstream::start(move |_| {
            until("the upstream may answer", || released.load(Ordering::Acquire));
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()
        });
        let http2 = Http2Process::with(upstream.addr, "");
        let mut client = http2.client_with(manners, &[]);
        STREAMS.iter().for_each(|stream| client.get(*stream, "/x"));
        let in_flight = "gateway_in_flight{route=\"* /{path...}\",upstream=\"u\"}";
        until("the requests are in flight", || http2.gateway.metric(in_flight) == 3.0);
        http2.gateway.signal("TERM");
        Self { http2, client, upstream, release }
    }

    /// Lets the upstream answer, and sees that all requests are answered whole.
    fn assert_answered(&mut self) {
        self.release.store(true, Ordering::Release);
        for stream in STREAMS {
            let answer = self.client.answer(stream);
            answer.assert_whole(200);
            assert_eq!(answer.body, b"ok");
        }
    }
}

#[test]
fn a_drain_finishes_what_is_in_flight_and_begins_nothing() {
    let mut draining = InFlight::with(Manners::GOOD);
    // First no number is named, because requests may be on their way; a round trip later, the last one that is taken.
    assert_eq!(draining.client.go_away(), (WINDOW_MAX, NO_ERROR));
    assert_eq!(draining.client.go_away(), (5, NO_ERROR));
    draining.client.get(7, "/late");
    draining.assert_answered();
    let answered = Instant::now();
    assert_eq!(draining.client.answer(7).end, Some(End::Connection), "its client may repeat it");
    draining.http2.gateway.ended_well();
    assert!(answered.elapsed() < SOON, "{:?}", answered.elapsed());
    assert!(draining.upstream.received().iter().all(|received| !received.line.contains("/late")));
}

#[test]
fn a_drain_finishes_what_is_in_flight_of_a_client_that_confirms_nothing() {
    let mut draining = InFlight::with(Manners::NONE);
    assert_eq!(draining.client.go_away(), (WINDOW_MAX, NO_ERROR));
    draining.assert_answered();
    draining.http2.gateway.ended_well();
}

#[test]
fn a_client_that_holds_its_connection_does_not_hold_up_the_end() {
    let upstream = Upstream::echo();
    let http2 = Http2Process::with(upstream.addr, "");
    // One that says nothing more, not even that it has read that the connection ends.
    let mut silent = http2.client_with(Manners::NONE, &[]);
    assert!(silent.is_served(1));
    let asked = Instant::now();
    http2.gateway.signal("TERM");
    http2.gateway.ended_well();
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!(silent.go_away(), (WINDOW_MAX, NO_ERROR));
}

#[test]
fn connections_during_a_drain_are_served_once() {
    let upstream = Upstream::echo();
    let certificate = Certificate::new();
    let gateway = Process::start_draining_slowly(&certificate.file(upstream.addr, "", ""), "3s");
    gateway.signal("TERM");
    gateway.said("SIGTERM: draining");
    let mut client = Client::open(gateway.addr, &certificate.config, Manners::GOOD, &[]);
    assert!(client.is_served(1));
    assert_eq!(client.go_away().1, NO_ERROR);
    client.read_to_end();
    gateway.ended_well();
}
