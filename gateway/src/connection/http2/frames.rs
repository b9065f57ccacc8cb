//! Follows the frames that a client sends, without decoding them (RFC 9113, section 4.1). Pure: knows no sockets and no
//! clock.

/// The bytes with which a client begins (section 3.4).
const PREFACE_BYTES: usize = 24;
/// Size of the head of a frame: length (3), type, flags, stream (4).
const FRAME_HEAD_BYTES: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// Where a client is in what it sends.
#[derive(Debug, Default)]
pub(super) struct Frames {
    preface_read: usize,
    head: [u8; FRAME_HEAD_BYTES],
    head_read: usize,
    /// Number of bytes that are missing from the payload of the current frame.
    payload_left: u32,
    /// The current payload is the content of a message.
    in_data: bool,
    /// Number of frames whose head was received.
    count: u64,
    /// The number of the frame that began a header block, while `END_HEADERS` is yet to come.
    header_block: Option<u64>,
    overhead: u32,
    /// The first frame is not SETTINGS.
    begins_wrongly: bool,
}

impl Frames {
    /// Bytes were received.
    pub(super) fn on_received(&mut self, mut bytes: &[u8]) {
        let preface = bytes.len().min(PREFACE_BYTES - self.preface_read);
        self.preface_read += preface;
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            let payload = bytes.len().min(self.payload_left as usize);
            bytes = &bytes[payload..];
            // Not more than `payload_left`, which has 24 bits.
            self.payload_left -= u32::try_from(payload).unwrap_or(self.payload_left);
            let part = bytes.len().min(FRAME_HEAD_BYTES - self.head_read);
            self.head[self.head_read..][..part].copy_from_slice(&bytes[..part]);
            self.head_read += part;
            bytes = &bytes[part..];
            if self.head_read == FRAME_HEAD_BYTES {
                self.head_read = 0;
                self.on_frame();
            }
        }
    }

    /// The head of a frame is complete.
    fn on_frame(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.head;
        self.payload_left = u32::from_be_bytes([0, high, middle, low]);
        self.in_data = kind == DATA;
        self.count += 1;
        self.begins_wrongly |= self.count == 1 && kind != SETTINGS;
        let is_overhead = match kind {
            DATA => self.payload_left == 0 && flags & END_STREAM == 0,
            HEADERS | CONTINUATION => {
                let begun = self.header_block.unwrap_or(self.count);
                self.header_block = (flags & END_HEADERS == 0).then_some(begun);
                false
            }
            SETTINGS | PING => flags & ACK == 0,
            // The client can be sent no more than its windows allow, so that these cost it as much as us.
            GOAWAY | WINDOW_UPDATE => false,
            // PRIORITY, RST_STREAM, and what nobody knows.
            _ => true,
        };
        self.overhead += u32::from(is_overhead);
    }

    /// Returns the number of the header block, or of the frame other than DATA, that was begun and is not complete.
    /// Nothing else can be received before its end, so that only its client can be waited for.
    pub(super) fn incomplete(&self) -> Option<u64> {
        if self.header_block.is_some() {
            self.header_block
        } else if self.head_read > 0 || self.preface_read < PREFACE_BYTES {
            Some(self.count + 1)
        } else {
            (self.payload_left > 0 && !self.in_data).then_some(self.count)
        }
    }

    /// Returns whether the first frame is another one than SETTINGS: a connection error (section 3.4) that `h2` does not
    /// see.
    pub(super) const fn begins_wrongly(&self) -> bool {
        self.begins_wrongly
    }

    /// Returns how many frames were received since the last call that carry nothing of a message, but must be processed
    /// and perhaps answered: PING, SETTINGS, PRIORITY, RST_STREAM, empty DATA, unknown ones.
    pub(super) fn take_overhead(&mut self) -> u32 {
        std::mem::take(&mut self.overhead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const RST_STREAM: u8 = 0x3;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn after(frames: &[Vec<u8>]) -> Frames {
        let mut watched = Frames::default();
        watched.on_received(PREFACE);
        frames.iter().for_each(|frame| watched.on_received(frame));
        watched
    }

    #[test]
    fn a_header_block_is_incomplete_until_end_headers() {
        let ping = frame(PING, 0, &[0; 8]);
        let begun = frame(HEADERS, 0, b"abc");
        let more = frame(CONTINUATION, 0, b"");
        assert_eq!(after(&[ping.clone(), begun.clone()]).incomplete(), Some(2));
        assert_eq!(after(&[ping.clone(), begun.clone(), more.clone(), more]).incomplete(), Some(2), "the same one");
        assert_eq!(after(&[begun, frame(CONTINUATION, END_HEADERS, b"d")]).incomplete(), None);
        assert_eq!(after(&[frame(HEADERS, END_HEADERS, b"abc")]).incomplete(), None);
    }

    #[test]
    fn a_part_of_a_frame_is_incomplete_except_the_content_of_a_message() {
        assert_eq!(Frames::default().incomplete(), Some(1), "the preface");
        for kind in [HEADERS, PING, SETTINGS] {
            let whole = frame(kind, END_HEADERS, b"12345678");
            for cut in 1..whole.len() {
                assert_eq!(after(&[whole.clone(), whole[..cut].to_vec()]).incomplete(), Some(2), "{kind} cut at {cut}");
            }
            assert_eq!(after(&[whole]).incomplete(), None);
        }
        let data = frame(DATA, 0, b"12345678");
        assert_eq!(after(&[data[..FRAME_HEAD_BYTES + 2].to_vec()]).incomplete(), None);
    }

    #[test]
    fn the_first_frame_is_settings() {
        let settings = frame(SETTINGS, 0, &[]);
        let headers = frame(HEADERS, END_HEADERS, b"abc");
        assert!(!after(&[settings.clone(), headers.clone()]).begins_wrongly());
        assert!(after(&[headers, settings]).begins_wrongly());
    }

    #[test]
    fn overhead_is_counted_however_the_bytes_arrive() {
        let sent = [
            (frame(PING, 0, &[0; 8]), true),
            (frame(PING, ACK, &[0; 8]), false),
            (frame(SETTINGS, 0, &[]), true),
            (frame(SETTINGS, ACK, &[]), false),
            (frame(RST_STREAM, 0, &[0; 4]), true),
            (frame(DATA, 0, b""), true),
            (frame(DATA, END_STREAM, b""), false),
            (frame(DATA, 0, b"x"), false),
            (frame(WINDOW_UPDATE, 0, &[0, 0, 0, 1]), false),
            (frame(0x2, 0, &[0; 5]), true),
            (frame(0xbe, 0, b"greased"), true),
        ];
        let expected = u32::try_from(sent.iter().filter(|(_, is_overhead)| *is_overhead).count()).unwrap();
        let bytes = [PREFACE.to_vec(), sent.into_iter().flat_map(|(frame, _)| frame).collect()].concat();
        for size in [1, 2, 7, 10, bytes.len()] {
            let mut frames = Frames::default();
            bytes.chunks(size).for_each(|chunk| frames.on_received(chunk));
            assert_eq!(frames.take_overhead(), expected, "in chunks of {size}");
            assert_eq!(frames.take_overhead(), 0);
            assert_eq!(frames.incomplete(), None);
        }
    }
}
