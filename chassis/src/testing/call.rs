//! A well-formed request: method, target, headers, body.

use std::{fmt::Write as _, net::SocketAddr};

use serde_json::Value;

use super::{answer::Answer, connection::Connection};

/// A request to be sent on a connection of its own.
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

    /// Sends the request and reads the answer, which must be whole and end the connection.
    #[track_caller]
    pub fn send(&self, addr: SocketAddr) -> Answer {
        self.begin(addr).only_answer(self.is_head())
    }

    /// Sends the request to a service that may end meanwhile. Returns `None` where no whole answer came.
    pub fn try_send(&self, addr: SocketAddr) -> Option<Answer> {
        let mut connection = self.try_begin(addr)?;
        // A reset after a whole answer leaves the answer whole.
        connection.try_answer(self.is_head()).ok()?.filter(|answer| answer.whole)
    }

    /// Sends the request and leaves the answer to be read from the connection.
    #[track_caller]
    pub fn begin(&self, addr: SocketAddr) -> Connection {
        let mut connection = Connection::open(addr);
        connection.send(&self.bytes(addr));
        connection
    }

    /// Sends the request to a service that may have ended, and leaves the answer to be read. Returns `None` where nobody listens.
    pub fn try_begin(&self, addr: SocketAddr) -> Option<Connection> {
        let mut connection = Connection::try_open(addr).ok()?;
        connection.send(&self.bytes(addr));
        Some(connection)
    }

    fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    fn bytes(&self, addr: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !self.body.is_empty() {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}
