//! Frames of HTTP/2 (RFC 9113, sections 4 and 6), with everything in them that is not as it should be.

use super::hpack::{self, Field};

/// The bytes with which a client begins (section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length (3), type, flags, stream (4).
pub(crate) const FRAME_HEAD_BYTES: usize = 9;
/// Size of the payload that everybody must take (section 4.2).
pub(crate) const PAYLOAD_BYTES_MAX: usize = 16_384;
/// The largest window (section 6.9.1).
pub(crate) const WINDOW_MAX: u32 = (1 << 31) - 1;
/// The window of a connection, and of a stream unless SETTINGS say otherwise (section 6.9.2).
pub(crate) const WINDOW: u32 = 65_535;

/// The types of frames (section 6).
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0x0;
    pub(crate) const HEADERS: u8 = 0x1;
    pub(crate) const PRIORITY: u8 = 0x2;
    pub(crate) const RST_STREAM: u8 = 0x3;
    pub(crate) const SETTINGS: u8 = 0x4;
    pub(crate) const PUSH_PROMISE: u8 = 0x5;
    pub(crate) const PING: u8 = 0x6;
    pub(crate) const GOAWAY: u8 = 0x7;
    pub(crate) const WINDOW_UPDATE: u8 = 0x8;
    pub(crate) const CONTINUATION: u8 = 0x9;
}

/// The flags of frames.
pub(crate) mod flag {
    pub(crate) const NONE: u8 = 0x0;
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// The codes of errors (section 7).
pub(crate) mod error {
    pub(crate) const NO_ERROR: u32 = 0x0;
    pub(crate) const PROTOCOL_ERROR: u32 = 0x1;
    pub(crate) const INTERNAL_ERROR: u32 = 0x2;
    pub(crate) const FLOW_CONTROL_ERROR: u32 = 0x3;
    pub(crate) const STREAM_CLOSED: u32 = 0x5;
    pub(crate) const FRAME_SIZE_ERROR: u32 = 0x6;
    pub(crate) const REFUSED_STREAM: u32 = 0x7;
    pub(crate) const CANCEL: u32 = 0x8;
    pub(crate) const COMPRESSION_ERROR: u32 = 0x9;
    pub(crate) const ENHANCE_YOUR_CALM: u32 = 0xb;
}

/// The settings (section 6.5.2).
pub(crate) mod setting {
    pub(crate) const ENABLE_PUSH: u16 = 0x2;
    pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 0x3;
    pub(crate) const INITIAL_WINDOW_SIZE: u16 = 0x4;
    pub(crate) const MAX_FRAME_SIZE: u16 = 0x5;
    pub(crate) const MAX_HEADER_LIST_SIZE: u16 = 0x6;
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub(crate) const fn new(kind: u8, flags: u8, stream: u32, payload: Vec<u8>) -> Self {
        Self { kind, flags, stream, payload }
    }

    /// With other flags.
    pub(crate) fn with_flags(self, flags: u8) -> Self {
        Self { flags, ..self }
    }

    pub(crate) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The bytes of it. The length is that of the payload, whatever the frame may have.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[self.kind, self.flags], &self.stream.to_be_bytes(), &self.payload].concat()
    }

    /// Takes a frame off the front of these bytes, if all of it is there.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let head: [u8; FRAME_HEAD_BYTES] = bytes.get(..FRAME_HEAD_BYTES)?.try_into().unwrap();
        let [high, middle, low, kind, flags, stream @ ..] = head;
        let end = FRAME_HEAD_BYTES + u32::from_be_bytes([0, high, middle, low]) as usize;
        let payload = bytes.get(FRAME_HEAD_BYTES..end)?.to_vec();
        bytes.drain(..end);
        Some(Self { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// The 32-bit number at this place of the payload: a code, an increment, a stream.
    pub(crate) fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// The head of a request that has no body.
pub(crate) fn headers(stream: u32, fields: &[Field<'_>]) -> Frame {
    Frame::new(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, stream, hpack::block(fields))
}

/// The head of a request whose body follows.
pub(crate) fn open(stream: u32, fields: &[Field<'_>]) -> Frame {
    headers(stream, fields).with_flags(flag::END_HEADERS)
}

/// A part of a body.
pub(crate) fn data(stream: u32, bytes: &[u8]) -> Frame {
    Frame::new(kind::DATA, flag::NONE, stream, bytes.to_vec())
}

/// The last part of a body.
pub(crate) fn last_data(stream: u32, bytes: &[u8]) -> Frame {
    data(stream, bytes).with_flags(flag::END_STREAM)
}

pub(crate) fn settings(values: &[(u16, u32)]) -> Frame {
    let payload = values.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    Frame::new(kind::SETTINGS, flag::NONE, 0, payload.collect())
}

pub(crate) fn settings_ack() -> Frame {
    settings(&[]).with_flags(flag::ACK)
}

pub(crate) fn ping() -> Frame {
    Frame::new(kind::PING, flag::NONE, 0, b"12345678".to_vec())
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Frame {
    Frame::new(kind::WINDOW_UPDATE, flag::NONE, stream, increment.to_be_bytes().to_vec())
}

pub(crate) fn reset(stream: u32, code: u32) -> Frame {
    Frame::new(kind::RST_STREAM, flag::NONE, stream, code.to_be_bytes().to_vec())
}

pub(crate) fn go_away(last_stream: u32, code: u32) -> Frame {
    Frame::new(kind::GOAWAY, flag::NONE, 0, [last_stream.to_be_bytes(), code.to_be_bytes()].concat())
}

pub(crate) fn priority(stream: u32, depends_on: u32) -> Frame {
    Frame::new(kind::PRIORITY, flag::NONE, stream, [&depends_on.to_be_bytes()[..], &[15]].concat())
}

pub(crate) fn continuation(stream: u32, block: &[u8]) -> Frame {
    Frame::new(kind::CONTINUATION, flag::END_HEADERS, stream, block.to_vec())
}
