//! For tests only (feature `testing`): a service in a thread of its own, and an HTTP client that can send any bytes.

#![expect(clippy::expect_used, reason = "a test stops at the first thing that is not as it should be")]

use std::{
    fmt::Write as _,
    future::Future,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    pin::Pin,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::Value;
use tokio::sync::oneshot;

use crate::config::StartError;

/// Longer than anything here takes; a test that hangs fails with this instead.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A service that runs in a thread of its own until this is dropped.
pub struct Running {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), StartError>>>,
}

/// What a test gives to [`Running::start`]: binds, tells its address, and serves until told to stop.
pub type Serving = Pin<Box<dyn Future<Output = Result<(), StartError>>>>;

impl Running {
    /// Starts a service and waits for its address.
    ///
    /// # Errors
    /// Why the service did not start.
    pub fn start<F>(serve: F) -> Result<Self, StartError>
    where
        F: FnOnce(mpsc::Sender<SocketAddr>, oneshot::Receiver<()>) -> Serving + Send + 'static,
    {
        let (addr_sender, addr_receiver) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || actix_rt::System::new().block_on(serve(addr_sender, stopped)));
        match addr_receiver.recv_timeout(TIMEOUT) {
            Ok(addr) => Ok(Self { addr, stop: Some(stop), thread: Some(thread) }),
            Err(_) => Err(thread.join().expect("the service panicked").expect_err("the service told no address")),
        }
    }

    /// Where the service listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops the service and waits for its end.
    ///
    /// # Errors
    /// What its `run_until` returned.
    pub fn stop(mut self) -> Result<(), StartError> {
        self.end().unwrap_or(Ok(()))
    }

    fn end(&mut self) -> Option<Result<(), StartError>> {
        let _ = self.stop.take()?.send(());
        self.thread.take()?.join().ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Call {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A request of any method for any target.
pub fn call(method: &str, target: &str) -> Call {
    Call { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: Vec::new() }
}

/// A GET request.
pub fn get(target: &str) -> Call {
    call("GET", target)
}

/// A POST request with a JSON body.
pub fn post(target: &str, body: &Value) -> Call {
    call("POST", target).json(body)
}

impl Call {
    /// Adds a header; the same name may be given more than once.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a bearer token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string().as_bytes())
    }

    /// Sets a body of any type.
    #[must_use]
    pub fn body(mut self, media_type: &str, body: &[u8]) -> Self {
        body.clone_into(&mut self.body);
        self.header("Content-Type", media_type)
    }

    /// Sends the request on a connection of its own.
    pub fn send(&self, addr: SocketAddr) -> Answer {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !self.body.is_empty() {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        exchange(addr, &bytes)
    }
}

/// Sends any bytes and reads the answer to the end of the connection.
pub fn exchange(addr: SocketAddr, bytes: &[u8]) -> Answer {
    Answer::parse(&exchange_raw(addr, bytes))
}

/// Sends any bytes and reads to the end of the connection; nothing where the peer reset it.
pub fn exchange_raw(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).expect("connect");
    stream.set_read_timeout(Some(TIMEOUT)).expect("set the timeout");
    // A peer that refuses may close before it has read everything; what it answered is read all the same.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        let parsed = head.parse(bytes).unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(bytes)));
        let httparse::Status::Complete(end) = parsed else {
            panic!("no complete answer: {:?}", String::from_utf8_lossy(bytes));
        };
        let status = head.code.expect("a status");
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = head.headers.iter().map(|h| (h.name.to_ascii_lowercase(), text(h.value))).collect();
        let mut answer = Self { status, headers, body: bytes[end..].to_vec() };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = unchunk(&answer.body);
        }
        answer
    }

    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?} {}", self.text()))
    }

    /// The code of a problem, after checking that the answer is one, whole and in the right shape.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        let body = self.json();
        for member in ["type", "title", "detail", "instance", "code", "request_id"] {
            assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "`{member}` is missing: {body}");
        }
        assert_eq!(body["status"], self.status, "{body}");
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"), "{body}");
        let code = body["code"].as_str().unwrap_or_default().to_owned();
        assert_eq!(body["type"], format!("urn:problem:{code}"), "{body}");
        code
    }
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").expect("a chunk size");
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let size = size.expect("a hexadecimal chunk size");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}
