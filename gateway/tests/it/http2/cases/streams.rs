//! Frames on streams that are not in the right state for them, and what a stream is made of.

use super::{
    super::{
        client::{request, request_with},
        frame::{
            Frame, continuation, data,
            error::{NO_ERROR, PROTOCOL_ERROR, STREAM_CLOSED},
            flag, headers, kind, last_data, open, ping, priority, reset,
        },
        hpack,
    },
    Case, case,
};

/// `h2` says PROTOCOL_ERROR of whatever it cannot parse.
const CODE: &str = "(7: a code tells a person what was wrong; what follows is the same)";
/// A stream error may be treated as one of the connection (section 5.4.1).
const MAY_END: &str = "(5.4.1: an endpoint may treat a stream error as a connection error)";

pub(super) fn cases() -> Vec<Case> {
    [numbers(), states(), resets(), header_blocks(), padding(), priorities()].into_iter().flatten().collect()
}

fn get(stream: u32) -> Frame {
    headers(stream, &request("GET", "/x"))
}

fn hold() -> Frame {
    headers(1, &request("GET", "/hold"))
}

fn upload() -> Frame {
    open(1, &request("POST", "/x"))
}

fn numbers() -> Vec<Case> {
    vec![
        case("HEADERS on stream 0", "6.2").send([get(0)]).ends(PROTOCOL_ERROR),
        case("HEADERS on a stream that only a server opens", "5.1.1").send([get(2)]).ends(PROTOCOL_ERROR),
        case("a stream with a lower number than one before", "5.1.1").send([get(5), get(3)]).ends(PROTOCOL_ERROR),
        case("numbers that are left out", "5.1.1: closed without having been used").send([get(7)]).status(7, 200),
        case("DATA on stream 0", "6.1").send([data(0, b"x")]).ends(PROTOCOL_ERROR),
        case("a push by a client", "8.4")
            .send([Frame::new(kind::PUSH_PROMISE, flag::END_HEADERS, 1, vec![0, 0, 0, 2])])
            .ends(PROTOCOL_ERROR),
        case("a push in a request by a client", "8.4")
            .send([upload(), Frame::new(kind::PUSH_PROMISE, flag::END_HEADERS, 1, vec![0, 0, 0, 2])])
            .ends(PROTOCOL_ERROR),
    ]
}

fn states() -> Vec<Case> {
    vec![
        case("DATA on a stream that was never opened", "5.1").send([data(1, b"x")]).ends(PROTOCOL_ERROR),
        case("DATA after the end of a request", "5.1: STREAM_CLOSED")
            .send([hold(), data(1, b"x")])
            .ends(PROTOCOL_ERROR)
            .because(MAY_END),
        case("HEADERS after the end of a request", "5.1: STREAM_CLOSED")
            .send([hold(), headers(1, &[("x-late", "1")])])
            .ends(PROTOCOL_ERROR)
            .because(MAY_END),
        case("DATA after an answer", "5.1").send([get(1)]).answered(1).send([data(1, b"x")]).resets(1, STREAM_CLOSED),
        case("a second request on a stream that was answered", "5.1.1")
            .send([get(1)])
            .answered(1)
            .send([get(1)])
            .ends(PROTOCOL_ERROR),
        case("DATA after a reset", "5.1").send([hold(), reset(1, NO_ERROR), data(1, b"x")]).resets(1, STREAM_CLOSED),
        case("trailers that are not the end", "8.1")
            .send([upload(), data(1, b"x"), open(1, &[("x-trailer", "1")])])
            .resets(1, PROTOCOL_ERROR),
        case("trailers", "8.1").send([upload(), data(1, b"x"), headers(1, &[("x-trailer", "1")])]).status(1, 200),
        case("a body that ends with an empty frame", "6.1")
            .send([upload(), data(1, b"x"), last_data(1, b"")])
            .status(1, 200),
    ]
}

fn resets() -> Vec<Case> {
    let of = |length| Frame::new(kind::RST_STREAM, flag::NONE, 1, vec![0; length]);
    vec![
        case("RST_STREAM on stream 0", "6.4").send([reset(0, NO_ERROR)]).ends(PROTOCOL_ERROR),
        case("RST_STREAM on a stream that was never opened", "6.4").send([reset(1, NO_ERROR)]).ends(PROTOCOL_ERROR),
        case("RST_STREAM of 3 bytes", "6.4: FRAME_SIZE_ERROR").send([hold(), of(3)]).ends(PROTOCOL_ERROR).because(CODE),
        case("RST_STREAM of a stream that was answered", "5.1: both may end a stream at once")
            .send([get(1)])
            .answered(1)
            .send([reset(1, NO_ERROR), get(3)])
            .status(3, 200),
        case("a reset for a reason that nobody knows", "7: no special behaviour")
            .send([hold(), reset(1, 0xbebe), get(3)])
            .status(3, 200),
    ]
}

fn header_blocks() -> Vec<Case> {
    let block = hpack::block(&request("GET", "/x"));
    let begun = |block: &[u8]| Frame::new(kind::HEADERS, flag::END_STREAM, 1, block.to_vec());
    let bytes = block.iter().map(|byte| continuation(1, &[*byte]).with_flags(flag::NONE));
    // Not more of them than a head of this size can need.
    let in_pieces: Vec<Frame> = [begun(&block[..1])].into_iter().chain(bytes.skip(1).take(3)).collect();
    vec![
        case("CONTINUATION of nothing", "6.10").send([continuation(1, &block)]).ends(PROTOCOL_ERROR),
        case("CONTINUATION after the end of a head", "6.10")
            .send([upload(), continuation(1, &[])])
            .ends(PROTOCOL_ERROR),
        case("CONTINUATION on another stream", "6.10")
            .send([begun(&block[..5]), continuation(3, &block[5..])])
            .ends(PROTOCOL_ERROR),
        case("CONTINUATION on stream 0", "6.10")
            .send([begun(&block[..5]), continuation(0, &block[5..])])
            .ends(PROTOCOL_ERROR),
        case("a PING within a head", "4.3").send([begun(&block[..5]), ping()]).ends(PROTOCOL_ERROR),
        case("DATA within a head", "4.3").send([begun(&block[..5]), data(1, b"x")]).ends(PROTOCOL_ERROR),
        case("a frame of an unknown type within a head", "4.3, 5.5")
            .send([begun(&block[..5]), Frame::new(0xbe, flag::NONE, 1, Vec::new())])
            .ends(PROTOCOL_ERROR),
        case("a head in two frames, cut anywhere", "4.3")
            .send([begun(&block[..7]), continuation(1, &block[7..])])
            .status(1, 200),
        case("a head that begins with nothing", "6.2").send([begun(&[]), continuation(1, &block)]).status(1, 200),
        case("a head in five frames", "4.3")
            .send(in_pieces.into_iter().chain([continuation(1, &block[4..])]))
            .status(1, 200),
    ]
}

fn padding() -> Vec<Case> {
    let padded = |kind, flags, padding: u8, content: &[u8]| {
        let payload = [&[padding], content, &vec![0; usize::from(padding)]].concat();
        Frame::new(kind, flags | flag::PADDED, 1, payload)
    };
    let block = hpack::block(&request("GET", "/x"));
    let too_long = |kind, flags| Frame::new(kind, flags | flag::PADDED, 1, vec![9, 0, 0]);
    vec![
        case("padding of HEADERS and DATA", "6.1, 6.2")
            .send([
                padded(
                    kind::HEADERS,
                    flag::END_HEADERS,
                    200,
                    &hpack::block(&request_with("POST", "/x", &[("content-length", "2")])),
                ),
                padded(kind::DATA, flag::NONE, 255, b"o"),
                padded(kind::DATA, flag::END_STREAM, 0, b"k"),
            ])
            .status(1, 200),
        case("padding longer than DATA", "6.1")
            .send([upload(), too_long(kind::DATA, flag::END_STREAM)])
            .ends(PROTOCOL_ERROR),
        case("padding longer than HEADERS", "6.2")
            .send([too_long(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM)])
            .ends(PROTOCOL_ERROR),
        case("DATA with no room for the length of its padding", "6.1: FRAME_SIZE_ERROR")
            .send([upload(), Frame::new(kind::DATA, flag::PADDED, 1, Vec::new())])
            .ends(PROTOCOL_ERROR)
            .because(CODE),
        case("padding that takes the place of a head", "8.1.1: a request without method is malformed")
            .send([padded(
                kind::HEADERS,
                flag::END_HEADERS | flag::END_STREAM,
                u8::try_from(block.len()).unwrap(),
                &[],
            )])
            .resets(1, PROTOCOL_ERROR),
    ]
}

fn priorities() -> Vec<Case> {
    let dependent = |on: u32| {
        let payload = [&on.to_be_bytes()[..], &[15], &hpack::block(&request("GET", "/x"))].concat();
        Frame::new(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM | flag::PRIORITY, 1, payload)
    };
    vec![
        case("a request with a priority", "5.3.2: read and ignored").send([dependent(0)]).status(1, 200),
        case("PRIORITY of a stream that is not open", "6.3: allowed in any state")
            .send([priority(9, 3), get(1)])
            .status(1, 200),
        case("PRIORITY on stream 0", "6.3").send([priority(0, 1)]).ends(PROTOCOL_ERROR),
        case("PRIORITY of 4 bytes", "6.3: a stream error of FRAME_SIZE_ERROR")
            .send([hold(), Frame { payload: vec![0; 4], ..priority(1, 0) }])
            .ends(PROTOCOL_ERROR)
            .because(MAY_END),
        case("a request that depends on itself", "RFC 7540, 5.3.1").send([dependent(1)]).resets(1, PROTOCOL_ERROR),
        case("a frame without room for the priority that it has", "6.2: FRAME_SIZE_ERROR")
            .send([Frame::new(kind::HEADERS, flag::END_HEADERS | flag::PRIORITY, 1, vec![0; 3])])
            .ends(PROTOCOL_ERROR)
            .because(CODE),
    ]
}
