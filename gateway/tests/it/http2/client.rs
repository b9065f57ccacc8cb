//! A client of HTTP/2 that sends any frame, right or wrong, and tells what comes back.
//!
//! How a connection goes (RFC 9113, section 3.4): after a TLS handshake in which both say `h2` (ALPN), the client sends 24
//! fixed bytes and SETTINGS. The server sends SETTINGS too, and each acknowledges those of the other. Then the client opens
//! a stream for each request, with odd numbers that only grow: HEADERS, and DATA if there is a body; the last frame has
//! the flag END_STREAM. The answer comes on the same stream, in the same form. Nobody sends more DATA than the windows
//! allow that the other side has opened; WINDOW_UPDATE opens them further.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use chassis::testing::PATIENCE;
use loona_hpack::Decoder;
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use super::{
    frame::{Frame, PREFACE, error, flag, headers, kind, settings, settings_ack, window_update},
    hpack::{self, Field},
};

/// The name in the certificate of every gateway here.
pub(crate) const HOST: &str = "gateway.test";

/// A connection.
pub(crate) struct Client {
    tls: StreamOwned<ClientConnection, TcpStream>,
    /// Received, and not yet a whole frame.
    received: Vec<u8>,
    decoder: Decoder<'static>,
    /// The answers as far as they have come, by their streams.
    answers: BTreeMap<u32, Answer>,
    /// The GOAWAY frames that have come and that nobody has asked for: the last stream, and the code.
    go_aways: VecDeque<(u32, u32)>,
    /// What the client does by itself.
    manners: Manners,
}

/// What a client does by itself when frames arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// Acknowledges SETTINGS and PING, as every client must.
    pub acknowledges: bool,
    /// Opens windows again by what it has received.
    pub opens_windows: bool,
}

impl Manners {
    /// As every client in use behaves.
    pub(crate) const GOOD: Self = Self { acknowledges: true, opens_windows: true };
    /// The windows are left to the test.
    pub(crate) const NO_WINDOWS: Self = Self { acknowledges: true, opens_windows: false };
    /// Sends nothing but what the test does.
    pub(crate) const NONE: Self = Self { acknowledges: false, opens_windows: false };
}

/// An answer, as far as it has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// Statuses before the final one: 100.
    pub interim: Vec<u16>,
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// How it ended; `None` while more may come.
    pub end: Option<End>,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By END_STREAM.
    Whole,
    /// By RST_STREAM with this code.
    Reset(u32),
    /// With the connection.
    Connection,
}

impl Client {
    /// Connects, and speaks TLS only.
    pub(crate) fn connect(addr: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        Self::try_connect(addr, config).unwrap_or_else(|error| panic!("cannot connect to {addr}: {error}"))
    }

    /// Connects to a gateway that may have ended.
    pub(crate) fn try_connect(addr: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let session = ClientConnection::new(Arc::clone(config), ServerName::try_from(HOST).unwrap()).unwrap();
        let mut tls = StreamOwned::new(session, stream);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        assert_eq!(tls.conn.alpn_protocol(), Some(&b"h2"[..]));
        Ok(Self {
            tls,
            received: Vec::new(),
            decoder: Decoder::new(),
            answers: BTreeMap::new(),
            go_aways: VecDeque::new(),
            manners: Manners::NONE,
        })
    }

    /// Connects and begins as a client must, with these settings.
    pub(crate) fn open(addr: SocketAddr, config: &Arc<ClientConfig>, manners: Manners, values: &[(u16, u32)]) -> Self {
        let mut client = Self::connect(addr, config);
        client.manners = manners;
        client.send(&[PREFACE, &settings(values).bytes()].concat());
        client
    }

    /// Begins as a client must, on a connection that has said nothing yet.
    pub(crate) fn begin(mut self) -> Self {
        self.manners = Manners::GOOD;
        self.send(&[PREFACE, &settings(&[]).bytes()].concat());
        self
    }

    /// Sends what can be sent: a gateway that refuses may close before it has read everything, and what it said is read all
    /// the same.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.tls.write_all(bytes).and_then(|()| self.tls.flush());
    }

    pub(crate) fn send_all(&mut self, frames: &[Frame]) {
        self.send(&frames.iter().flat_map(Frame::bytes).collect::<Vec<u8>>());
    }

    /// Sends `GET path` on a stream.
    pub(crate) fn get(&mut self, stream: u32, path: &str) {
        self.send_all(&[headers(stream, &request("GET", path))]);
    }

    /// Reads the next frame; `None` at the end of the connection.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        self.frame_within(PATIENCE).unwrap_or_else(|| panic!("nothing comes; so far {:#?}", self.answers))
    }

    /// Reads the next frame, `Some(None)` at the end of the connection. `None` if nothing comes in this time.
    #[expect(clippy::option_option, reason = "nothing yet, and nothing ever again")]
    pub(crate) fn frame_within(&mut self, time: Duration) -> Option<Option<Frame>> {
        self.tls.sock.set_read_timeout(Some(time)).unwrap();
        let mut bytes = [0; 16 * 1024];
        loop {
            if let Some(frame) = Frame::take(&mut self.received) {
                self.on_frame(&frame);
                return Some(Some(frame));
            }
            match self.tls.read(&mut bytes) {
                Ok(read @ 1..) => self.received.extend_from_slice(&bytes[..read]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                // The end, in order or by a reset.
                Ok(_) | Err(_) => {
                    self.answers.values_mut().for_each(|answer| _ = answer.end.get_or_insert(End::Connection));
                    return Some(None);
                }
            }
        }
    }

    /// Reads frames until one is wanted, and returns that. `None` if the connection ends before.
    pub(crate) fn next(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        loop {
            match self.frame() {
                Some(frame) if !wanted(&frame) => {}
                end => return end,
            }
        }
    }

    /// The next GOAWAY that has come or comes: the last stream that the gateway takes, and the code.
    pub(crate) fn go_away(&mut self) -> (u32, u32) {
        while self.go_aways.is_empty() {
            assert!(self.frame().is_some(), "the connection ended without GOAWAY");
        }
        self.go_aways.pop_front().unwrap()
    }

    /// Reads until the answer on a stream has ended, and returns it.
    pub(crate) fn answer(&mut self, stream: u32) -> Answer {
        self.until(stream, |answer| answer.end.is_some());
        self.answers.remove(&stream).unwrap()
    }

    /// Reads until the answer on a stream has come as far as this.
    pub(crate) fn until(&mut self, stream: u32, has_come: impl Fn(&Answer) -> bool) -> &Answer {
        self.answers.entry(stream).or_default();
        while !has_come(&self.answers[&stream]) {
            assert!(self.answers[&stream].end.is_none(), "{:?}", self.answers[&stream]);
            self.frame();
        }
        &self.answers[&stream]
    }

    /// Whether the answer on a stream has come to its end, as far as it was read.
    pub(crate) fn has_ended(&self, stream: u32) -> bool {
        self.answers.get(&stream).is_some_and(|answer| answer.end.is_some())
    }

    /// Whether nothing comes in this time but what comes by itself: SETTINGS, windows.
    pub(crate) fn is_quiet(&mut self, time: Duration) -> bool {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            match self.frame_within(left) {
                None => return true,
                Some(Some(frame)) if [kind::SETTINGS, kind::WINDOW_UPDATE].contains(&frame.kind) => {}
                Some(_) => return false,
            }
        }
        true
    }

    /// Reads to the end of the connection.
    pub(crate) fn read_to_end(&mut self) {
        while self.frame().is_some() {}
    }

    /// Whether the gateway answers a further request on this connection.
    pub(crate) fn is_served(&mut self, stream: u32) -> bool {
        self.get(stream, "/x");
        let answer = self.answer(stream);
        (answer.status, answer.end) == (200, Some(End::Whole))
    }

    /// What a client does by itself, and what it remembers.
    fn on_frame(&mut self, frame: &Frame) {
        let answer = self.answers.entry(frame.stream);
        match frame.kind {
            kind::SETTINGS if self.manners.acknowledges && !frame.has(flag::ACK) => self.send_all(&[settings_ack()]),
            kind::PING if self.manners.acknowledges && !frame.has(flag::ACK) => {
                self.send_all(&[frame.clone().with_flags(flag::ACK)]);
            }
            kind::GOAWAY => self.go_aways.push_back((frame.number(0), frame.number(4))),
            kind::HEADERS => {
                assert!(frame.has(flag::END_HEADERS), "the heads of these tests fit into one frame");
                let fields = hpack::read(&mut self.decoder, &frame.payload);
                answer.or_default().on_head(fields, frame.has(flag::END_STREAM));
            }
            kind::DATA => {
                let answer = answer.or_default();
                answer.body.extend_from_slice(&frame.payload);
                answer.end = frame.has(flag::END_STREAM).then_some(End::Whole);
                let has_ended = answer.end.is_some();
                if self.manners.opens_windows && !frame.payload.is_empty() {
                    let increment = u32::try_from(frame.payload.len()).unwrap();
                    self.send_all(&[window_update(0, increment)]);
                    if !has_ended {
                        self.send_all(&[window_update(frame.stream, increment)]);
                    }
                }
            }
            kind::RST_STREAM => {
                // After a whole answer it only says that the rest of the request is not wanted.
                answer.or_default().end.get_or_insert(End::Reset(frame.number(0)));
            }
            _ => {}
        }
    }
}

impl Answer {
    fn on_head(&mut self, fields: Vec<(String, String)>, is_last: bool) {
        let status = fields.first().filter(|(name, _)| name == ":status").map(|(_, status)| status.parse().unwrap());
        match status {
            Some(interim @ 100..200) => self.interim.push(interim),
            Some(status) => (self.status, self.fields) = (status, fields),
            None => self.trailers = fields,
        }
        self.end = is_last.then_some(End::Whole);
    }

    /// The values of a field.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The answer has been read to its end, and this is its status.
    #[track_caller]
    pub(crate) fn assert_whole(&self, status: u16) {
        assert_eq!((self.status, self.end), (status, Some(End::Whole)), "{self:?}");
    }

    /// The stream was reset, for this reason.
    #[track_caller]
    pub(crate) fn assert_reset(&self, code: u32) {
        assert_eq!(self.end, Some(End::Reset(code)), "{self:?}");
    }
}

/// The fields of a request that is as it should be.
pub(crate) fn request<'a>(method: &'a str, path: &'a str) -> [Field<'a>; 4] {
    [(":method", method), (":scheme", "https"), (":authority", HOST), (":path", path)]
}

/// A request that is as it should be, with more fields.
pub(crate) fn request_with<'a>(method: &'a str, path: &'a str, more: &[Field<'a>]) -> Vec<Field<'a>> {
    [&request(method, path)[..], more].concat()
}

/// The code of an error by its name in messages.
pub(crate) fn code_name(code: u32) -> &'static str {
    match code {
        error::NO_ERROR => "NO_ERROR",
        error::PROTOCOL_ERROR => "PROTOCOL_ERROR",
        error::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR",
        error::STREAM_CLOSED => "STREAM_CLOSED",
        error::FRAME_SIZE_ERROR => "FRAME_SIZE_ERROR",
        error::REFUSED_STREAM => "REFUSED_STREAM",
        error::CANCEL => "CANCEL",
        error::COMPRESSION_ERROR => "COMPRESSION_ERROR",
        error::ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM",
        _ => "another code",
    }
}
