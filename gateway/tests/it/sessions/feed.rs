//! A service that keeps sessions, as far as the gateway sees it: its feed of those that have ended, with long polls.

use std::{
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant, SystemTime},
};

use chassis::{
    config::Secret,
    identity::{Assertion, AssertionVerifier, unix_seconds},
    testing::Received,
};
use serde_json::{Value, json};

use crate::fixture::Upstream;

const PAGE_ENTRIES_MAX: usize = 1000;

pub(super) fn now() -> u64 {
    unix_seconds(SystemTime::now())
}

/// A feed.
pub(super) struct Feed {
    server: Upstream,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    feed: Mutex<Inner>,
    changed: Condvar,
}

struct Inner {
    /// Cursors of another life are gone.
    life: u32,
    ended: Vec<Value>,
    kept_for: u64,
    mode: Mode,
}

impl Default for Inner {
    fn default() -> Self {
        Self { life: 0, ended: Vec::new(), kept_for: 86_400, mode: Mode::Well }
    }
}

/// How it answers.
#[derive(Clone)]
pub(super) enum Mode {
    Well,
    /// Not at all: it closes the connection.
    Down,
    /// It says nothing until the mode changes.
    Silent,
    /// With these bytes.
    Bytes(Arc<[u8]>),
    /// With another page each time, and always more.
    Endless,
}

impl Feed {
    /// Starts a feed to which no session has come yet.
    pub(super) fn start() -> Self {
        let state = Arc::<State>::default();
        let served = Arc::clone(&state);
        let server = Upstream::start(move |received| served.answer(received));
        Self { server, state }
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.server.addr
    }

    /// A session ends now.
    pub(super) fn end(&self, sid: &str) {
        self.end_at(sid, now());
    }

    /// A session ended then.
    pub(super) fn end_at(&self, sid: &str, at: u64) {
        self.change(|feed| feed.ended.push(json!({"sid": sid, "at": at})));
    }

    /// Forgets everything, and the cursors with it.
    pub(super) fn begin_again(&self) {
        self.change(|feed| {
            feed.life += 1;
            feed.ended.clear();
        });
    }

    /// Answers in this way from now on, also to those who wait.
    pub(super) fn set(&self, mode: Mode) {
        self.change(|feed| feed.mode = mode);
    }

    /// Says that ended sessions are kept for this many seconds.
    pub(super) fn keep_for(&self, seconds: u64) {
        self.change(|feed| feed.kept_for = seconds);
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.state.feed.lock().unwrap());
        self.state.changed.notify_all();
    }

    /// The request lines that were answered so far.
    pub(super) fn questions(&self) -> Vec<String> {
        self.server.received().into_iter().map(|received| received.line).collect()
    }

    /// What the gateway said about the caller in each of them.
    pub(super) fn assertions(&self) -> Vec<Assertion> {
        let verifier = AssertionVerifier::new("users", &Secret::new("k".repeat(32))).unwrap();
        let verify = |received: &Received| {
            let mut headers = actix_http::header::HeaderMap::new();
            for value in received.header("gateway-assertion") {
                headers.append("gateway-assertion".parse().unwrap(), value.parse().unwrap());
            }
            verifier.verify(&headers).unwrap()
        };
        self.server.received().iter().map(verify).collect()
    }
}

impl State {
    fn answer(&self, received: &Received) -> Vec<u8> {
        let since = parameter(&received.line, "since");
        let wait = parameter(&received.line, "wait").and_then(|wait| wait.parse().ok()).unwrap_or(0);
        let deadline = Instant::now() + Duration::from_secs(wait);
        let mut feed = self.feed.lock().unwrap();
        loop {
            match feed.mode.clone() {
                Mode::Well => {}
                Mode::Down => return Vec::new(),
                Mode::Silent => {
                    feed = self.changed.wait(feed).unwrap();
                    continue;
                }
                Mode::Bytes(bytes) => return bytes.to_vec(),
                Mode::Endless => {
                    let next = since.and_then(|since| since.parse().ok()).unwrap_or(0) + 1;
                    let ended = [json!({"sid": "again and again", "at": now()})];
                    return ok(&json!({"ended": ended, "next": next.to_string(), "kept_for": 86_400, "more": true}));
                }
            }
            let Some(from) = feed.position(since.as_deref()) else {
                return b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n".to_vec();
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if from < feed.ended.len() || left.is_zero() {
                return ok(&feed.page(from));
            }
            feed = self.changed.wait_timeout(feed, left).unwrap().0;
        }
    }
}

impl Inner {
    /// Where to go on; `None` where the cursor is of another life.
    fn position(&self, since: Option<&str>) -> Option<usize> {
        let Some(since) = since else { return Some(0) };
        let (life, position) = since.split_once("%3A")?;
        (life.parse() == Ok(self.life)).then(|| position.parse().ok())?
    }

    fn page(&self, from: usize) -> Value {
        let to = self.ended.len().min(from + PAGE_ENTRIES_MAX);
        json!({
            "ended": self.ended[from..to], "next": format!("{}:{to}", self.life),
            "kept_for": self.kept_for, "more": to < self.ended.len(),
        })
    }
}

/// An answer with this body.
pub(super) fn ok(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// A parameter of the query in a request line, as it was written.
fn parameter(line: &str, name: &str) -> Option<String> {
    let (_, query) = line.split(' ').nth(1)?.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
}
