//! Windows (RFC 9113, section 5.2): what is held for a client that does not read, for how long, and what a client may send.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use chassis::testing::{PATIENCE, Received, message::Head, until};

use super::{
    client::{Client, End, Manners, request_with},
    frame::{
        Frame, PAYLOAD_BYTES_MAX, WINDOW, WINDOW_MAX, data,
        error::{CANCEL, PROTOCOL_ERROR},
        kind, last_data, open, ping,
        setting::INITIAL_WINDOW_SIZE,
        window_update,
    },
    gateway::{Http2, Http2Process},
};
use crate::fixture::{Upstream, upstream};

const MIB: usize = 1024 * 1024;

#[test]
fn a_stream_whose_window_stays_closed_is_given_up_and_the_others_go_on() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789");
    let http2 = Http2::with(upstream.addr, "write_timeout: 500ms", "");
    let mut client = http2.client_with(Manners::NO_WINDOWS, &[(INITIAL_WINDOW_SIZE, 0)]);
    let begun = Instant::now();
    client.get(1, "/closed");
    client.until(1, |answer| answer.status == 200);
    let mut stream = 3;
    // Requests beside it, for longer than it has.
    while begun.elapsed() < Duration::from_millis(700) {
        client.get(stream, "/open");
        client.send_all(&[window_update(stream, 10)]);
        client.answer(stream).assert_whole(200);
        stream += 2;
    }
    let given_up = client.answer(1);
    given_up.assert_reset(CANCEL);
    assert!(given_up.body.is_empty());
    until("no request is in flight", || http2.in_flight() == 0.0);
}

/// Opens the window of an answer step by step, and returns whether the client gets all of it.
fn is_answered_in_steps(http2: &Http2, step: u32, interval: Duration) -> bool {
    let mut client = http2.client_with(Manners::NO_WINDOWS, &[(INITIAL_WINDOW_SIZE, 0)]);
    client.get(1, "/x");
    let mut next = Instant::now();
    while !client.has_ended(1) {
        if Instant::now() >= next {
            client.send_all(&[window_update(1, step)]);
            next += interval;
        }
        client.frame_within(Duration::from_millis(10));
    }
    let answer = client.answer(1);
    assert!(matches!(answer.end, Some(End::Whole | End::Reset(CANCEL))), "{answer:?}");
    answer.end == Some(End::Whole)
}

#[test]
fn an_answer_may_take_its_time_if_the_client_goes_on_reading() {
    const BYTES: u32 = 3_000;
    let upstream = Upstream::start(|_| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n");
        [head.into_bytes(), vec![b'x'; BYTES as usize]].concat()
    });
    // 240 bytes in each second that it waits.
    let http2 = Http2::with(upstream.addr, "write_timeout: 1s, write_rate: 240B/s", "");
    let interval = Duration::from_millis(300);
    assert!(is_answered_in_steps(&http2, 300, interval), "ten steps take three times the write timeout");
    assert!(!is_answered_in_steps(&http2, 10, interval), "slower than the minimum rate");
}

#[test]
fn the_time_for_a_whole_answer_runs_while_its_window_is_closed() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789");
    let http2 = Http2::with(upstream.addr, "", ", timeout: {total: 500ms}");
    let mut client = http2.client_with(Manners::NO_WINDOWS, &[(INITIAL_WINDOW_SIZE, 0)]);
    let begun = Instant::now();
    client.get(1, "/x");
    let answer = client.answer(1);
    // The write timeout is 60 s.
    let took = begun.elapsed();
    assert!((Duration::from_millis(500)..Duration::from_secs(30)).contains(&took), "{took:?}");
    answer.assert_reset(CANCEL);
}

/// Number of answers that nobody reads, and the size of each: 200 MiB together.
const DOWNLOADS: u32 = 100;
const DOWNLOAD_BYTES: usize = 2 * MIB;
/// Maximum growth of the gateway's memory for one connection with a slow reader: for each stream, 32 KiB that wait to be
/// sent and the chunks that were read last, of up to 64 KiB each, and what the allocator keeps.
const GROWTH_MAX: usize = 32 * MIB;

/// An upstream whose answers are large, and that counts how much of them was taken.
struct Downloads {
    addr: SocketAddr,
    taken: Arc<AtomicU64>,
}

impl Downloads {
    fn start() -> Self {
        let taken = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&taken);
        let addr = upstream(move |mut reader| {
            let Some(_) = Received::read(&mut reader) else { return };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {DOWNLOAD_BYTES}\r\n\r\n");
            reader.get_mut().write_all(head.as_bytes()).unwrap();
            let piece = [b'x'; 16 * 1024];
            for _ in 0..DOWNLOAD_BYTES / piece.len() {
                if reader.get_mut().write_all(&piece).is_err() {
                    return;
                }
                counted.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        });
        Self { addr, taken }
    }

    /// Waits until nothing more is taken.
    fn await_standstill(&self) {
        let (mut so_far, mut since) = (0, Instant::now());
        until("nothing more is taken from the upstream", || {
            let now = self.taken.load(Ordering::Relaxed);
            if now != so_far || now == 0 {
                (so_far, since) = (now, Instant::now());
            }
            since.elapsed() > Duration::from_secs(2)
        });
    }
}

/// Asks for all downloads. The windows allow everything; only the socket holds the gateway back.
fn ask_for_all(client: &mut Client) {
    client.send_all(&[window_update(0, WINDOW_MAX - WINDOW)]);
    (0..DOWNLOADS).for_each(|nth| client.get(2 * nth + 1, "/x"));
}

#[test]
fn a_client_that_reads_nothing_makes_the_gateway_hold_little() {
    let downloads = Downloads::start();
    let http2 = Http2Process::with(downloads.addr, "");
    let mut client = http2.client_with(Manners::NO_WINDOWS, &[(INITIAL_WINDOW_SIZE, WINDOW_MAX)]);
    let before = http2.gateway.resident_bytes();
    ask_for_all(&mut client);
    downloads.await_standstill();
    let growth = http2.gateway.resident_bytes().saturating_sub(before);
    assert!(growth < GROWTH_MAX, "{growth} bytes for {DOWNLOADS} answers");
    // Nothing is lost.
    let answer = client.answer(1);
    answer.assert_whole(200);
    assert_eq!(answer.body.len(), DOWNLOAD_BYTES);
}

#[test]
fn a_client_that_reads_nothing_is_given_up_with_all_its_requests() {
    let downloads = Downloads::start();
    let http2 = Http2::with(downloads.addr, "write_timeout: 1s", "");
    let mut client = http2.client_with(Manners::NO_WINDOWS, &[(INITIAL_WINDOW_SIZE, WINDOW_MAX)]);
    ask_for_all(&mut client);
    until("answers are under way", || downloads.taken.load(Ordering::Relaxed) > 0 && http2.in_flight() > 0.0);
    until("nothing is in flight", || http2.in_flight() == 0.0);
}

#[test]
fn a_client_that_is_behind_with_reading_still_sees_why_its_connection_ends() {
    let downloads = Downloads::start();
    let http2 = Http2Process::with(downloads.addr, "");
    let mut client = http2.client_with(Manners::NO_WINDOWS, &[(INITIAL_WINDOW_SIZE, WINDOW_MAX)]);
    ask_for_all(&mut client);
    downloads.await_standstill();
    // A mistake, and more after it that nobody reads: closing with that unread would throw away what is being sent.
    let on_stream = Frame { stream: 1, ..ping() };
    client.send_all(&vec![on_stream; 4_000]);
    assert_eq!(client.go_away().1, PROTOCOL_ERROR);
    client.read_to_end();
}

/// The windows that the gateway has opened to a client, for one stream.
struct Windows {
    stream: i64,
    connection: i64,
}

impl Windows {
    /// As they are before anything is sent: the gateway has told them by SETTINGS and WINDOW_UPDATE.
    fn of(client: &mut Client) -> Self {
        let mut windows = Self { stream: i64::from(WINDOW), connection: i64::from(WINDOW) };
        // Its SETTINGS come first, and WINDOW_UPDATE before the answer to a PING.
        client.send_all(&[ping()]);
        while let Some(frame) = client.frame() {
            match frame.kind {
                kind::SETTINGS => {
                    let setting =
                        frame.payload.chunks(6).find(|setting| setting[..2] == INITIAL_WINDOW_SIZE.to_be_bytes());
                    if let Some(setting) = setting {
                        windows.stream = i64::from(u32::from_be_bytes(setting[2..].try_into().unwrap()));
                    }
                }
                kind::PING => break,
                _ => windows.on_frame(&frame),
            }
        }
        windows
    }

    fn on_frame(&mut self, frame: &Frame) {
        if frame.kind == kind::WINDOW_UPDATE {
            let window = if frame.stream == 0 { &mut self.connection } else { &mut self.stream };
            *window += i64::from(frame.number(0));
        }
    }

    fn open(&self) -> usize {
        usize::try_from(self.stream.min(self.connection)).unwrap()
    }

    fn spend(&mut self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap();
        (self.stream, self.connection) = (self.stream - bytes, self.connection - bytes);
    }
}

#[test]
fn an_upload_waits_for_its_upstream_and_arrives_whole() {
    const BYTES: usize = 64 * MIB;
    let (read, may_read) = mpsc::channel::<()>();
    let may_read = Mutex::new(may_read);
    let upstream = {
        let may_read = Arc::new(may_read);
        upstream(move |mut reader| {
            let Ok(Some(head)) = Head::read(&mut reader) else { return };
            assert!(head.headers.contains(&("content-length".to_owned(), BYTES.to_string())), "{head:?}");
            may_read.lock().unwrap().recv().unwrap();
            let (mut piece, mut left) = (vec![0; MIB], BYTES);
            while left > 0 {
                reader.read_exact(&mut piece).unwrap();
                assert!(piece.iter().all(|byte| *byte == b'u'));
                left -= piece.len();
            }
            reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        })
    };
    let http2 = Http2Process::with(upstream, "");
    let mut client = http2.client_with(Manners::NO_WINDOWS, &[]);
    let mut windows = Windows::of(&mut client);
    let before = http2.gateway.resident_bytes();
    let length = BYTES.to_string();
    client.send_all(&[open(1, &request_with("POST", "/x", &[("content-length", length.as_str())]))]);
    let (piece, mut left, mut is_held_back) = (vec![b'u'; PAYLOAD_BYTES_MAX], BYTES, false);
    while left > 0 {
        let bytes = left.min(windows.open()).min(piece.len());
        if bytes == 0 {
            match client.frame_within(Duration::from_secs(1)) {
                Some(frame) => windows.on_frame(&frame.expect("the connection goes on")),
                None => {
                    assert!(!is_held_back, "the windows open once the upstream reads");
                    is_held_back = true;
                    let (sent, growth) = (BYTES - left, http2.gateway.resident_bytes().saturating_sub(before));
                    assert!(sent < BYTES / 2, "{sent} bytes were taken for an upstream that reads nothing");
                    assert!(growth < 8 * MIB, "{growth} bytes");
                    read.send(()).unwrap();
                }
            }
            continue;
        }
        left -= bytes;
        windows.spend(bytes);
        let part = &piece[..bytes];
        client.send_all(&[if left == 0 { last_data(1, part) } else { data(1, part) }]);
    }
    assert!(is_held_back);
    client.answer(1).assert_whole(200);
}

#[test]
fn an_answer_that_comes_during_an_upload_is_whole() {
    let upstream = upstream(|mut reader| {
        let Ok(Some(_)) = Head::read(&mut reader) else { return };
        let answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!";
        reader.get_mut().write_all(answer).unwrap();
        // It reads no further, and closes only when the other side does.
        std::thread::park_timeout(PATIENCE);
    });
    let http2 = Http2::before(upstream);
    let mut client = http2.client_with(Manners::NO_WINDOWS, &[]);
    let mut windows = Windows::of(&mut client);
    let length = (20 * MIB).to_string();
    client.send_all(&[open(1, &request_with("POST", "/x", &[("content-length", length.as_str())]))]);
    let mut left = 20 * MIB;
    while left > 0 && !client.has_ended(1) {
        let bytes = left.min(windows.open()).min(PAYLOAD_BYTES_MAX);
        if bytes == 0 {
            windows.on_frame(&client.frame().expect("the connection goes on"));
            continue;
        }
        left -= bytes;
        windows.spend(bytes);
        let part = vec![b'u'; bytes];
        client.send_all(&[if left == 0 { last_data(1, &part) } else { data(1, &part) }]);
    }
    let answer = client.answer(1);
    answer.assert_whole(403);
    assert_eq!(answer.body, b"no!");
    until("nothing is in flight", || http2.in_flight() == 0.0);
}
