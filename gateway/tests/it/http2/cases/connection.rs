//! Frames that are about the connection as a whole: its beginning, SETTINGS, PING, GOAWAY, windows; and sizes.

use super::{
    super::{
        client::request,
        frame::{
            Frame, PAYLOAD_BYTES_MAX, PREFACE, WINDOW, WINDOW_MAX, data,
            error::{FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR},
            flag, go_away, headers, kind, open, ping,
            setting::{ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE},
            settings, window_update,
        },
    },
    Case, case,
};

/// `h2` says PROTOCOL_ERROR of whatever it cannot parse.
const CODE: &str = "(7: a code tells a person what was wrong; what follows is the same)";

pub(super) fn cases() -> Vec<Case> {
    [beginning(), sizes(), of_settings(), of_ping_and_goaway(), of_windows()].into_iter().flatten().collect()
}

fn get() -> Frame {
    headers(1, &request("GET", "/x"))
}

fn beginning() -> Vec<Case> {
    vec![
        case("a preface that is wrong in its last byte", "3.4: GOAWAY may be omitted")
            .without_preface()
            .bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r")
            .closes(),
        case("HTTP/1.1 where the handshake said h2", "3.4")
            .without_preface()
            .bytes(b"GET /x HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
            .closes(),
        case("a preface without SETTINGS", "3.4: a connection error")
            .without_preface()
            .bytes(PREFACE)
            .send([get()])
            .ends(PROTOCOL_ERROR),
        case("a request together with the preface", "3.4: a client need not wait for SETTINGS")
            .without_preface()
            .bytes(PREFACE)
            .send([settings(&[]), get()])
            .status(1, 200),
    ]
}

fn sizes() -> Vec<Case> {
    let too_large = vec![0; PAYLOAD_BYTES_MAX + 1];
    let post = || open(1, &request("POST", "/x"));
    vec![
        case("DATA larger than any frame may be", "4.2").send([post(), data(1, &too_large)]).ends(FRAME_SIZE_ERROR),
        case("HEADERS larger than any frame may be", "4.2")
            .send([Frame::new(kind::HEADERS, flag::END_HEADERS, 1, too_large.clone())])
            .ends(FRAME_SIZE_ERROR),
        case("a frame of an unknown type larger than any may be", "4.2")
            .send([Frame::new(0xbe, flag::NONE, 0, too_large)])
            .ends(FRAME_SIZE_ERROR),
        case("a frame of an unknown type", "5.5: ignored")
            .send([Frame::new(0xbe, flag::NONE, 0, b"greased".to_vec()), get()])
            .status(1, 200),
        case("flags that a frame does not have", "4.1: ignored")
            .send([ping().with_flags(0xfe), get().with_flags(0x80 | 0x40 | flag::END_HEADERS | flag::END_STREAM)])
            .status(1, 200),
        case("the reserved bit of a stream", "4.1: ignored")
            .send([Frame { stream: 1 | 1 << 31, ..get() }])
            .status(1, 200),
    ]
}

fn of_settings() -> Vec<Case> {
    vec![
        case("SETTINGS on a stream", "6.5").send([Frame { stream: 1, ..settings(&[]) }]).ends(PROTOCOL_ERROR),
        case("SETTINGS of 5 bytes", "6.5: FRAME_SIZE_ERROR")
            .send([Frame { payload: vec![0; 5], ..settings(&[]) }])
            .ends(PROTOCOL_ERROR)
            .because(CODE),
        case("an acknowledgement of SETTINGS with settings", "6.5: FRAME_SIZE_ERROR")
            .send([settings(&[(MAX_CONCURRENT_STREAMS, 1)]).with_flags(flag::ACK)])
            .ends(PROTOCOL_ERROR)
            .because(CODE),
        case("ENABLE_PUSH of 2", "6.5.2").send([settings(&[(ENABLE_PUSH, 2)])]).ends(PROTOCOL_ERROR),
        case("a window beyond the largest in SETTINGS", "6.5.2: FLOW_CONTROL_ERROR")
            .send([settings(&[(INITIAL_WINDOW_SIZE, WINDOW_MAX + 1)])])
            .ends(PROTOCOL_ERROR)
            .because(CODE),
        case("frames smaller than all must take", "6.5.2")
            .send([settings(&[(MAX_FRAME_SIZE, 16_383)])])
            .ends(PROTOCOL_ERROR),
        case("frames larger than their length can tell", "6.5.2")
            .send([settings(&[(MAX_FRAME_SIZE, 1 << 24)])])
            .ends(PROTOCOL_ERROR),
        case("a setting that nobody knows", "6.5.2: ignored").send([settings(&[(0xbebe, 7)]), get()]).status(1, 200),
        case("the same setting twice", "6.5.3: the last one counts")
            .send([settings(&[(MAX_FRAME_SIZE, 20_000), (MAX_FRAME_SIZE, 16_384)]), get()])
            .status(1, 200),
        case("no stream for pushes", "6.5.2: requests are not pushes")
            .send([settings(&[(MAX_CONCURRENT_STREAMS, 0)]), get()])
            .status(1, 200),
    ]
}

fn of_ping_and_goaway() -> Vec<Case> {
    let of = |kind, length| Frame::new(kind, flag::NONE, 0, vec![0; length]);
    vec![
        case("a PING of 7 bytes", "6.7: FRAME_SIZE_ERROR").send([of(kind::PING, 7)]).ends(PROTOCOL_ERROR).because(CODE),
        case("a PING of 9 bytes", "6.7: FRAME_SIZE_ERROR").send([of(kind::PING, 9)]).ends(PROTOCOL_ERROR).because(CODE),
        case("a PING on a stream", "6.7").send([Frame { stream: 1, ..ping() }]).ends(PROTOCOL_ERROR),
        case("an answer to a PING that nobody sent", "6.7: only requests are answered")
            .send([ping().with_flags(flag::ACK), get()])
            .status(1, 200),
        case("GOAWAY on a stream", "6.8").send([Frame { stream: 1, ..go_away(0, 0) }]).ends(PROTOCOL_ERROR),
        case("GOAWAY of 7 bytes", "4.2: FRAME_SIZE_ERROR")
            .send([of(kind::GOAWAY, 7)])
            .ends(PROTOCOL_ERROR)
            .because(CODE),
    ]
}

fn of_windows() -> Vec<Case> {
    let hold = || headers(1, &request("GET", "/hold"));
    vec![
        case("WINDOW_UPDATE of 3 bytes", "6.9: FRAME_SIZE_ERROR")
            .send([Frame::new(kind::WINDOW_UPDATE, flag::NONE, 0, vec![0, 0, 1])])
            .ends(PROTOCOL_ERROR)
            .because(CODE),
        case("WINDOW_UPDATE of the connection by nothing", "6.9").send([window_update(0, 0)]).ends(PROTOCOL_ERROR),
        case("WINDOW_UPDATE of a stream by nothing", "6.9: a stream error")
            .send([hold(), window_update(1, 0)])
            .ends(PROTOCOL_ERROR)
            .because("(5.4.1: an endpoint may treat a stream error as a connection error)"),
        case("WINDOW_UPDATE of a stream that was never opened", "5.1").send([window_update(1, 1)]).ends(PROTOCOL_ERROR),
        case("a window of the connection beyond the largest", "6.9.1")
            .send([window_update(0, WINDOW_MAX - WINDOW), window_update(0, 1)])
            .ends(FLOW_CONTROL_ERROR),
        case("a window of a stream beyond the largest", "6.9.1")
            .send([hold(), window_update(1, WINDOW_MAX - WINDOW), window_update(1, 1)])
            .resets(1, FLOW_CONTROL_ERROR),
        case("a window that SETTINGS raise beyond the largest", "6.9.2")
            .send([hold(), window_update(1, WINDOW_MAX - WINDOW), settings(&[(INITIAL_WINDOW_SIZE, WINDOW + 1)])])
            .ends(FLOW_CONTROL_ERROR),
        case("windows that SETTINGS close and open again", "6.9.2: they change the windows of open streams too")
            .send([settings(&[(INITIAL_WINDOW_SIZE, 0)]), get(), settings(&[(INITIAL_WINDOW_SIZE, WINDOW)])])
            .status(1, 200),
    ]
}
