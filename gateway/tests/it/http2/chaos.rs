//! Frames by chance: whatever comes in whatever order, only the connection that it comes on may end.

use chassis::testing::until;

use super::{
    client::{Client, HOST, Manners, request},
    frame::{Frame, PREFACE, data, flag, headers, kind, last_data, ping, priority, reset, settings, window_update},
    gateway::{Http2Process, upstream_by_path},
    hpack,
};

/// Number of connections, and the largest number of frames on each.
const CONNECTIONS: u64 = 400;
const FRAMES_MAX: u64 = 24;

/// Numbers that look like chance, and are the same in each run (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }

    /// A frame of any type, with any flags and any payload.
    fn wrong_frame(&mut self, stream: u32) -> Frame {
        let kind = self.one_of(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xbe]);
        Frame::new(kind, self.byte(), self.one_of(&[0, 2, stream]), self.bytes(20))
    }

    /// A head with fields that belong there or not; sometimes it is cut off.
    fn block(&mut self) -> Vec<u8> {
        const FIELDS: [(&str, &str); 12] = [
            (":path", "/y"),
            ("host", HOST),
            ("host", "other.test"),
            ("content-length", "0"),
            ("content-length", "30"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("te", "trailers"),
            ("expect", "100-continue"),
            ("connection", "close"),
            ("x-any", ""),
            ("x-any", "1"),
        ];
        let method = self.one_of(&["GET", "HEAD", "POST", "PUT", "OPTIONS", "CONNECT"]);
        let mut block = hpack::block(&request(method, self.one_of(&["/x", "/x", "/hold", "*"])));
        for _ in 0..self.below(4) {
            let field = self.one_of(&FIELDS);
            block.extend(hpack::block(&[field]));
        }
        if self.below(16) == 0 {
            block.truncate(usize::try_from(self.below(block.len() as u64)).unwrap());
        }
        block
    }

    fn bytes(&mut self, max: u64) -> Vec<u8> {
        (0..self.below(max)).map(|_| self.byte()).collect()
    }
}

/// What a client sends, which is right most of the time: otherwise its first mistake would end everything.
struct Conversation {
    chance: Chance,
    next_stream: u32,
    /// Streams whose request has not ended.
    open: Vec<u32>,
}

impl Conversation {
    fn frames(seed: u64) -> Vec<Frame> {
        let mut conversation = Self { chance: Chance(seed), next_stream: 1, open: Vec::new() };
        let count = 1 + conversation.chance.below(FRAMES_MAX);
        (0..count).map(|_| conversation.frame()).collect()
    }

    fn frame(&mut self) -> Frame {
        match self.chance.below(32) {
            0 => self.chance.wrong_frame(self.next_stream),
            1 => settings(&[(self.chance.one_of(&[1, 3, 4, 6, 8]), self.chance.one_of(&[0, 1, 16_384, 65_536]))]),
            2 => window_update(0, 1 + u32::from(self.chance.byte())),
            3 => ping(),
            4 => priority(self.next_stream, 0),
            5..16 if !self.open.is_empty() => self.on_open_stream(),
            _ => self.request(),
        }
    }

    fn request(&mut self) -> Frame {
        let stream = self.next_stream;
        self.next_stream += 2;
        let end = self.chance.one_of(&[flag::NONE, flag::END_STREAM]);
        if end == flag::NONE {
            self.open.push(stream);
        }
        Frame::new(kind::HEADERS, flag::END_HEADERS | end, stream, self.chance.block())
    }

    fn on_open_stream(&mut self) -> Frame {
        let stream = self.chance.one_of(&self.open);
        let frame = match self.chance.below(6) {
            0 => reset(stream, u32::from(self.chance.byte())),
            1 => window_update(stream, 1 + u32::from(self.chance.byte())),
            2 => last_data(stream, &self.chance.bytes(100)),
            3 => headers(stream, &[("x-trailer", "1")]),
            _ => data(stream, &self.chance.bytes(100)),
        };
        if frame.kind == kind::RST_STREAM || frame.kind != kind::WINDOW_UPDATE && frame.has(flag::END_STREAM) {
            self.open.retain(|open| *open != stream);
        }
        frame
    }
}

#[test]
fn frames_by_chance_end_their_own_connection_at_most() {
    let http2 = Http2Process::with(upstream_by_path(), "head_timeout: 500ms");
    let mut bystander = http2.client_with(Manners::GOOD, &[]);
    for seed in 0..CONNECTIONS {
        let frames = Conversation::frames(seed);
        let mut client = Client::connect(http2.gateway.addr, &http2.certificate.config);
        client.send(&[PREFACE, &settings(&[]).bytes()].concat());
        // All at once, or one after another.
        if seed % 2 == 0 {
            client.send_all(&frames);
        } else {
            frames.iter().for_each(|frame| client.send(&frame.bytes()));
        }
        // It has been read when this is answered, or the connection has ended.
        client.send_all(&[ping()]);
        client.next(|frame| frame.kind == kind::PING && frame.has(flag::ACK));
        drop(client);
        let stream = u32::try_from(2 * seed + 1).unwrap();
        assert!(bystander.is_served(stream), "after seed {seed}: {frames:#?}");
    }
    let log = http2.gateway.log_text();
    assert!(!log.contains("panicked"), "{log}");
    let in_flight = "gateway_in_flight{route=\"* /{path...}\",upstream=\"u\"}";
    until("nothing is in flight", || http2.gateway.metric(in_flight) == 0.0);
}
