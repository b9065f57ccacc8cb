//! Limits of an HTTP/2 connection: how many streams, how large a head, how long it waits.

use std::time::{Duration, Instant};

use chassis::testing::until;

use super::{
    client::{Client, End, Manners, request},
    frame::{
        Frame, PREFACE, continuation,
        error::{CANCEL, ENHANCE_YOUR_CALM, NO_ERROR, REFUSED_STREAM},
        flag, headers, kind, ping, reset,
        setting::{MAX_CONCURRENT_STREAMS, MAX_HEADER_LIST_SIZE},
        settings,
    },
    gateway::{Http2, Http2Process, upstream_by_path},
    hpack,
};

#[test]
fn requests_beyond_the_limit_are_refused_so_that_they_can_be_repeated() {
    let http2 = Http2::with(upstream_by_path(), "streams: 3, head_bytes: 16KiB", "");
    // The limit holds for clients that never say that they have seen it, too.
    for manners in [Manners::GOOD, Manners::NONE] {
        let mut client = http2.client_with(manners, &[]);
        let told = client.next(|frame| frame.kind == kind::SETTINGS && !frame.has(flag::ACK)).unwrap();
        let value = |setting: u16| {
            let found = told.payload.chunks(6).find(|pair| pair[..2] == setting.to_be_bytes());
            found.map(|pair| u32::from_be_bytes(pair[2..].try_into().unwrap()))
        };
        assert_eq!(value(MAX_CONCURRENT_STREAMS), Some(3));
        assert!(value(MAX_HEADER_LIST_SIZE).is_some_and(|bytes| (16_384..65_536).contains(&bytes)), "{told:?}");
        for stream in [1, 3, 5] {
            client.get(stream, "/hold");
        }
        client.get(7, "/x");
        client.answer(7).assert_reset(REFUSED_STREAM);
        client.send_all(&[reset(1, CANCEL)]);
        let mut stream = 9;
        until("a place is free", || {
            client.get(stream, "/x");
            let answer = client.answer(stream);
            stream += 2;
            answer.end == Some(End::Whole)
        });
    }
}

#[test]
fn a_head_that_never_ends_is_cut_off() {
    let http2 = Http2::with(upstream_by_path(), "head_timeout: 400ms", "");
    let block = hpack::block(&request("GET", "/x"));
    let begun = Frame::new(kind::HEADERS, flag::END_STREAM, 1, block[..3].to_vec());
    let more: Vec<Frame> = (3..6).map(|at| continuation(1, &block[at..=at]).with_flags(flag::NONE)).collect();
    let half = begun.bytes()[..5].to_vec();
    let large = Frame::new(kind::HEADERS, flag::END_HEADERS, 1, vec![0; 100]).bytes()[..20].to_vec();
    for (what, first, drops) in [
        ("a head", begun.bytes(), more.iter().map(Frame::bytes).collect::<Vec<_>>()),
        ("the head of a frame", half, vec![vec![0], vec![0]]),
        ("the content of a frame", large, vec![vec![0], vec![0], vec![0]]),
    ] {
        let mut client = http2.client();
        client.send_all(&[ping()]);
        client.next(|frame| frame.kind == kind::PING).unwrap();
        let start = Instant::now();
        client.send(&first);
        for drop in drops {
            assert!(client.is_quiet(Duration::from_millis(50)), "{what} may take its time");
            client.send(&drop);
        }
        assert_eq!(client.go_away().1, ENHANCE_YOUR_CALM, "{what}");
        let took = start.elapsed();
        assert!((Duration::from_millis(400)..Duration::from_secs(30)).contains(&took), "{what}: {took:?}");
        client.read_to_end();
    }
}

#[test]
fn a_client_that_does_not_begin_is_cut_off() {
    let http2 = Http2::with(upstream_by_path(), "head_timeout: 400ms", "");
    for beginning in [&b""[..], &PREFACE[..10]] {
        let start = Instant::now();
        let mut client = Client::connect(http2.addr(), &http2.certificate.config);
        client.send(beginning);
        client.read_to_end();
        let took = start.elapsed();
        assert!((Duration::from_millis(400)..Duration::from_secs(30)).contains(&took), "{took:?}");
    }
}

#[test]
fn a_request_and_its_body_take_the_time_that_they_need() {
    let http2 = Http2::with(upstream_by_path(), "head_timeout: 200ms", "");
    let mut client = http2.client();
    client.send_all(&[super::frame::open(1, &request("POST", "/x"))]);
    for _ in 0..4 {
        assert!(client.is_quiet(Duration::from_millis(150)));
        client.send_all(&[super::frame::data(1, b"x")]);
    }
    client.send_all(&[super::frame::last_data(1, b"")]);
    client.answer(1).assert_whole(200);
}

#[test]
fn an_idle_http_2_connection_ends_after_its_time_whatever_it_sends() {
    const KEEP_ALIVE: Duration = Duration::from_secs(2);
    let http2 = Http2::with(upstream_by_path(), "keep_alive: 2s", "");
    let (mut unused, mut used) = (http2.client(), http2.client());
    assert!(used.is_served(1));
    let start = Instant::now();
    // PINGs keep the connection alive for those between, and say nothing about whether anybody needs it.
    while start.elapsed() < KEEP_ALIVE - Duration::from_secs(1) {
        for client in [&mut unused, &mut used] {
            client.send_all(&[ping()]);
            assert!(client.next(|frame| frame.kind == kind::PING).is_some(), "after {:?}", start.elapsed());
            assert!(client.is_quiet(Duration::from_millis(100)));
        }
    }
    for client in [&mut unused, &mut used] {
        assert_eq!(client.go_away().1, NO_ERROR);
        client.read_to_end();
    }
    assert!(start.elapsed() >= KEEP_ALIVE - Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn a_client_that_does_not_close_its_idle_connection_has_it_closed() {
    let http2 = Http2::with(upstream_by_path(), "keep_alive: 500ms", "");
    // It does not even say that it has read GOAWAY.
    let mut client = http2.client_with(Manners::NONE, &[]);
    assert_eq!(client.go_away().1, NO_ERROR);
    let told = Instant::now();
    client.read_to_end();
    assert!(told.elapsed() < Duration::from_secs(30), "{:?}", told.elapsed());
}

/// Number of idle connections: few enough for the files that a process may open.
const CLIENTS: usize = 400;
/// Maximum memory of an idle connection: 57 KiB were measured, most of it buffers of TLS and of HTTP/2.
const IDLE_BYTES_MAX: usize = 80 * 1024;

#[test]
fn idle_http_2_connections_take_little_memory() {
    let http2 = Http2Process::with(upstream_by_path(), "");
    let open = || {
        let mut client = http2.client_with(Manners::GOOD, &[]);
        assert!(client.is_served(1));
        client
    };
    // What is made once.
    open();
    let before = http2.gateway.resident_bytes();
    let mut held: Vec<Client> = (0..CLIENTS).map(|_| open()).collect();
    let growth = http2.gateway.resident_bytes().saturating_sub(before);
    assert!(growth < CLIENTS * IDLE_BYTES_MAX, "{} bytes for each idle connection", growth / CLIENTS);
    assert!(held.iter_mut().all(|client| client.is_served(3)), "they are there all the same");
}

#[test]
fn a_client_that_cancels_what_it_gets_is_not_taken_for_a_flood() {
    let http2 = Http2::before(upstream_by_path());
    let mut client = http2.client();
    // Four times what may be reset at once.
    for nth in 0..1_024 {
        let stream = 4 * nth + 1;
        client.get(stream, "/x");
        client.answer(stream).assert_whole(200);
        client.send_all(&[headers(stream + 2, &request("GET", "/x")), reset(stream + 2, CANCEL)]);
    }
    assert!(client.is_served(9_999));
}

#[test]
fn settings_may_be_changed_now_and_then() {
    let http2 = Http2::before(upstream_by_path());
    let mut client = http2.client();
    for _ in 0..50 {
        client.send_all(&[settings(&[(super::frame::setting::INITIAL_WINDOW_SIZE, 70_000)])]);
        assert!(client.next(|frame| frame.kind == kind::SETTINGS && frame.has(flag::ACK)).is_some());
    }
    assert!(client.is_served(1));
}
