//! Raw bytes on both sides: a client that reads answers one by one, and an upstream that closes when a test says so.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use crate::fixture;

/// Longer than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One answer as it came.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The body came to the end that its framing says.
    pub whole: bool,
}

impl RawAnswer {
    /// The values of a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// A client on one connection.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Sends what can be sent: who refuses may close before it has read everything.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.get_mut().write_all(bytes);
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.0.get_mut()
    }

    /// Reads bytes that are neither head nor body.
    pub(crate) fn read_exact(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads to the end of the connection; a reset is an end, too.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.0.read_to_end(&mut bytes);
        bytes
    }

    /// Reads one answer; `None` at the end of the connection.
    pub(crate) fn answer(&mut self, to_head: bool) -> Option<RawAnswer> {
        let (status, headers) = self.head()?;
        let mut answer = RawAnswer { status, headers, body: Vec::new(), whole: true };
        if to_head || status < 200 || matches!(status, 204 | 304) {
            return Some(answer);
        }
        answer.whole = if answer.header("transfer-encoding") == ["chunked"] {
            self.chunks(&mut answer.body).is_some()
        } else if let [length] = answer.header("content-length")[..] {
            let length: u64 = length.parse().unwrap();
            let _ = self.0.by_ref().take(length).read_to_end(&mut answer.body);
            answer.body.len() as u64 == length
        } else {
            answer.body = self.read_to_end();
            true
        };
        Some(answer)
    }

    /// Reads the head of an answer.
    pub(crate) fn head(&mut self) -> Option<(u16, Vec<(String, String)>)> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {line:?}"));
        let mut headers = Vec::new();
        loop {
            let field = self.line().unwrap_or_else(|| panic!("the head ends early: {status} {headers:?}"));
            match field.split_once(':') {
                Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
                None => return Some((status, headers)),
            }
        }
    }

    /// Reads one chunk; `None` where the connection ends first, or nothing of it after the last one.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.line()?, 16).ok()?;
        let mut chunk = vec![0; size + 2];
        self.0.read_exact(&mut chunk).ok()?;
        chunk.truncate(size);
        Some(chunk)
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> Option<()> {
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Some(());
            }
            body.extend_from_slice(&chunk);
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.0.read_until(b'\n', &mut line) {
            Ok(read) if read > 0 => Some(String::from_utf8_lossy(&line).trim_end().to_owned()),
            Ok(_) | Err(_) => None,
        }
    }
}

/// An upstream whose connections a test serves by itself, each in a thread of its own.
pub(crate) fn upstream(serve: impl Fn(BufReader<TcpStream>) + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            stream.set_read_timeout(Some(TIMEOUT)).unwrap();
            let serve = serve.clone();
            thread::spawn(move || serve(BufReader::new(stream)));
        }
    });
    addr
}

/// Reads one request from such a connection.
pub(crate) fn request(reader: &mut BufReader<TcpStream>) -> Option<fixture::Received> {
    fixture::read(reader)
}

/// A gateway before an address, which it goes on asking whatever the answers are.
pub(crate) fn gateway(upstream: SocketAddr, routes: &str) -> fixture::Gateway {
    fixture::Gateway::start(
        &format!("upstreams: {{u: {{targets: [\"http://{upstream}\"], breaker: off}}}}\nroutes:\n{routes}"),
        &[],
    )
}
