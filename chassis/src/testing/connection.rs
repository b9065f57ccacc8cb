//! A client on one connection: sends any bytes, and reads answers whole or piece by piece.

use std::{
    io::{self, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

use super::{
    answer::{Answer, status},
    message::{Fields, Head, read_chunk},
    wait::PATIENCE,
};

/// A connection.
#[derive(Debug)]
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// Where nobody listens.
    #[track_caller]
    pub fn open(addr: SocketAddr) -> Self {
        Self::try_open(addr).unwrap_or_else(|error| panic!("cannot connect to {addr}: {error}"))
    }

    /// Connects to a service that may have ended.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn try_open(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends what can be sent: a peer that refuses may close before it has read everything, and what it answered is read
    /// all the same.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.get_mut().write_all(bytes);
    }

    /// The socket below, for timeouts and half-closed connections. Bytes that are buffered already cannot be read from it.
    pub fn stream(&mut self) -> &mut TcpStream {
        self.0.get_mut()
    }

    /// Reads bytes that are neither head nor body.
    ///
    /// # Panics
    /// Where the connection ends first.
    #[track_caller]
    pub fn read_exact(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap_or_else(|error| panic!("{count} bytes did not come: {error}"));
        bytes
    }

    /// Reads to the end of the connection; a reset is an end, too.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.0.read_to_end(&mut bytes);
        bytes
    }

    /// Reads one answer, whole or not; one to HEAD has no body. Returns `None` at the end of the connection.
    ///
    /// # Panics
    /// Where what came is no answer.
    #[track_caller]
    pub fn answer(&mut self, to_head: bool) -> Option<Answer> {
        self.try_answer(to_head).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Reads one answer of a service that may end meanwhile.
    ///
    /// # Errors
    /// The connection ended within the head, or something is no head.
    pub fn try_answer(&mut self, to_head: bool) -> io::Result<Option<Answer>> {
        Answer::read(&mut self.0, to_head)
    }

    /// Reads the head of an answer and leaves its body. Returns `None` at the end of the connection.
    ///
    /// # Panics
    /// Where what came is no head of an answer.
    #[track_caller]
    pub fn head(&mut self) -> Option<(u16, Fields)> {
        let head = Head::read(&mut self.0).unwrap_or_else(|error| panic!("{error}"))?;
        let status = status(&head.line).unwrap_or_else(|| panic!("no status line: {:?}", head.line));
        Some((status, head.headers))
    }

    /// Reads one chunk; the last one is empty. Returns `None` where the connection ends first.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        read_chunk(&mut self.0)
    }

    /// Reads the only answer of this connection, which must be whole and the last thing that comes.
    ///
    /// # Panics
    /// Where it is not.
    #[track_caller]
    pub(crate) fn only_answer(mut self, to_head: bool) -> Answer {
        let answer = self.answer(to_head).expect("an answer before the end of the connection");
        assert!(answer.whole, "the answer was cut short: {answer:?} {}", answer.text());
        // A server that has refused a body still waits for its end, for some seconds: this is it.
        let _ = self.0.get_ref().shutdown(Shutdown::Write);
        let rest = self.read_to_end();
        assert!(rest.is_empty(), "after the answer came {:?}", String::from_utf8_lossy(&rest));
        answer
    }
}

/// Sends any bytes on a connection of their own and reads the answer, which must end the connection.
#[track_caller]
pub fn exchange(addr: SocketAddr, bytes: &[u8]) -> Answer {
    let mut connection = Connection::open(addr);
    connection.send(bytes);
    connection.only_answer(bytes.starts_with(b"HEAD "))
}

/// Sends any bytes on a connection of their own and reads to its end; nothing where the peer reset it.
#[track_caller]
pub fn exchange_raw(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut connection = Connection::open(addr);
    connection.send(bytes);
    connection.read_to_end()
}
