//! Heads: how they are compressed, and what a request may have in its own (sections 8.2 and 8.3).

use super::{
    super::{
        client::{HOST, request, request_with},
        frame::{
            Frame, continuation, data,
            error::{ENHANCE_YOUR_CALM, PROTOCOL_ERROR},
            flag, headers, kind, last_data, open,
        },
        hpack::{self, Field},
    },
    Case, case,
};

/// `h2` says PROTOCOL_ERROR of whatever it cannot decode.
const CODE: &str = "(7: a code tells a person what was wrong; what follows is the same)";
/// A malformed request is a stream error, which may be treated as one of the connection.
const MAY_END: &str = "(5.4.1: an endpoint may treat a stream error as a connection error)";

pub(super) fn cases() -> Vec<Case> {
    [compression(), pseudo_fields(), targets(), hosts(), fields(), about_connections(), lengths(), sizes()]
        .into_iter()
        .flatten()
        .collect()
}

fn head(block: &[u8]) -> Frame {
    Frame::new(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, block.to_vec())
}

/// `GET /x` with more fields.
fn get(more: &[Field<'_>]) -> Frame {
    headers(1, &request_with("GET", "/x", more))
}

/// `GET /x` with more bytes of a header block.
fn get_and(more: &[u8]) -> Frame {
    head(&[hpack::block(&request("GET", "/x")), more.to_vec()].concat())
}

fn compression() -> Vec<Case> {
    let wrong = |name, rule, block: &[u8]| case(name, rule).send([get_and(block)]).ends(PROTOCOL_ERROR).because(CODE);
    let remembered = hpack::literal(0b0100_0000, b"x-remembered", b"1");
    let again = Frame { stream: 3, ..get_and(&hpack::indexed(62)) };
    vec![
        wrong("a reference to field 0", "RFC 7541, 6.1: COMPRESSION_ERROR", &hpack::indexed(0)),
        wrong("a reference to a field that was never sent", "RFC 7541, 2.3.3: COMPRESSION_ERROR", &hpack::indexed(70)),
        wrong("a string longer than its head", "4.3: COMPRESSION_ERROR", &[0b0000_0000, 9, b'x']),
        wrong("an integer without end", "RFC 7541, 5.1: COMPRESSION_ERROR", &[0xff; 9]),
        wrong("Huffman padding that is no padding", "RFC 7541, 5.2: COMPRESSION_ERROR", &[0, 1, b'x', 0b1000_0001, 0]),
        wrong(
            "the end of a string within a string",
            "RFC 7541, 5.2: COMPRESSION_ERROR",
            &[0, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff],
        ),
        wrong("a new table size at the end of a head", "RFC 7541, 4.2: COMPRESSION_ERROR", &hpack::table_size(0)),
        case("a table larger than allowed", "RFC 7541, 6.3: COMPRESSION_ERROR")
            .send([head(&[hpack::table_size(4097), hpack::block(&request("GET", "/x"))].concat())])
            .ends(PROTOCOL_ERROR)
            .because(CODE),
        case("a table of no size", "RFC 7541, 4.2")
            .send([head(&[hpack::table_size(0), hpack::block(&request("GET", "/x"))].concat())])
            .status(1, 200),
        case("a field that is remembered for the next request", "RFC 7541, 2.3.2")
            .send([get_and(&remembered)])
            .answered(1)
            .send([again.clone()])
            .status(3, 200),
        case("a field that is never remembered", "RFC 7541, 6.2.3")
            .send([get_and(&hpack::literal(0b0001_0000, b"x-secret", b"1"))])
            .answered(1)
            .send([again])
            .ends(PROTOCOL_ERROR)
            .because(CODE),
    ]
}

fn pseudo_fields() -> Vec<Case> {
    let all = request("GET", "/x");
    let without = |name: &str| headers(1, &all.into_iter().filter(|(known, _)| *known != name).collect::<Vec<_>>());
    let malformed = |name, rule, frame| case(name, rule).send([frame]).resets(1, PROTOCOL_ERROR);
    vec![
        malformed("no method", "8.3.1", without(":method")),
        malformed("no scheme", "8.3.1", without(":scheme")),
        malformed("no path", "8.3.1", without(":path")),
        malformed("two methods", "8.3.1", get(&[(":method", "GET")])),
        malformed("two paths", "8.3.1", get(&[(":path", "/y")])),
        malformed("two authorities", "8.3.1", get(&[(":authority", HOST)])),
        malformed(
            "a pseudo-header field after another field",
            "8.3",
            headers(1, &[&[("x-first", "1")], &all[..]].concat()),
        ),
        malformed("a status in a request", "8.3.1", get(&[(":status", "200")])),
        case("a pseudo-header field that nobody knows", "8.3: malformed")
            .send([get(&[(":colour", "blue")])])
            .ends(PROTOCOL_ERROR)
            .because(MAY_END),
        case("a pseudo-header field in trailers", "8.1: malformed")
            .send([open(1, &request("POST", "/x")), data(1, b"x"), headers(1, &[(":path", "/y")])])
            .status(1, 200)
            .because("(h2 is lenient: it drops the field, and nobody behind it can see it)"),
        malformed("CONNECT to a path", "8.5", headers(1, &request("CONNECT", "/x"))),
        malformed(
            "CONNECT for another protocol",
            "RFC 8441, 3: only where the server has said that it can",
            headers(1, &request_with("CONNECT", "/x", &[(":protocol", "websocket")])),
        ),
        case("CONNECT", "RFC 9110, 9.3.6: a gateway opens no tunnels")
            .send([headers(1, &[(":method", "CONNECT"), (":authority", HOST)])])
            .status(1, 405),
        case("TRACE", "RFC 9110, 9.3.8: it would show what the gateway adds")
            .send([headers(1, &request("TRACE", "/x"))])
            .status(1, 405),
        case("a method with a space", "8.3.1: malformed")
            .send([headers(1, &request("GET /y", "/x"))])
            .ends(PROTOCOL_ERROR)
            .because(MAY_END),
    ]
}

fn targets() -> Vec<Case> {
    let target = |name, rule, method, path| case(name, rule).send([headers(1, &request(method, path))]);
    vec![
        target("an empty path", "8.3.1", "GET", "").resets(1, PROTOCOL_ERROR),
        target("a path that does not begin with a slash", "8.3.1", "GET", "x").resets(1, PROTOCOL_ERROR),
        target("an address for a path", "8.3.1", "GET", "https://other.test/x").resets(1, PROTOCOL_ERROR),
        target("a path with a fragment", "8.3.1", "GET", "/x#y")
            .status(1, 200)
            .because("(h2 is lenient: it drops the fragment, and nobody behind it can see it)"),
        target("a path with a space", "8.3.1", "GET", "/x y").resets(1, PROTOCOL_ERROR),
        target("a path that leads out", "RFC 3986, 5.2.4: there is nothing above the root", "GET", "/x/../../y")
            .status(1, 200),
        target("OPTIONS of the gateway itself", "8.3.1", "OPTIONS", "*").status(1, 204),
        target("GET of the gateway itself", "8.3.1: for OPTIONS only", "GET", "*").status(1, 400),
        case("a scheme of another protocol", "8.3.1: schemes are not restricted to http and https")
            .send([headers(1, &[(":method", "GET"), (":scheme", "ftp"), (":authority", HOST), (":path", "/x")])])
            .status(1, 200),
    ]
}

fn hosts() -> Vec<Case> {
    let with = |authority: &[&'static str], more: &[Field<'static>]| {
        let authorities = authority.iter().map(|authority| (":authority", *authority));
        let all = [(":method", "GET"), (":scheme", "https"), (":path", "/x")].into_iter().chain(authorities);
        headers(1, &all.chain(more.iter().copied()).collect::<Vec<_>>())
    };
    let host = |name, rule, frame, status| case(name, rule).send([frame]).status(1, status);
    vec![
        host("neither :authority nor Host", "8.3.1, RFC 9112, 3.2", with(&[], &[]), 400),
        host("Host alone", "8.3.1", with(&[], &[("host", HOST)]), 200),
        host("an authority and the same Host", "8.3.1", with(&[HOST], &[("host", HOST)]), 200),
        host("a Host that differs in case only", "RFC 3986, 6.2.2.1", with(&[HOST], &[("host", "GATEWAY.test")]), 200),
        host("an authority and another Host", "8.3.1", with(&[HOST], &[("host", "other.test")]), 400),
        host("another port in Host", "8.3.1", with(&[HOST], &[("host", "gateway.test:8443")]), 400),
        host("two Host fields", "RFC 9112, 3.2", with(&[], &[("host", HOST), ("host", HOST)]), 400),
        host("an authority and two Host fields", "8.3.1", with(&[HOST], &[("host", HOST), ("host", HOST)]), 400),
        host("a user in an authority", "8.3.1", with(&["user@gateway.test"], &[]), 400),
        host("an empty Host", "RFC 9110, 4.2.1", with(&[], &[("host", "")]), 400),
        case("an empty authority", "8.3.1: malformed").send([with(&[""], &[])]).resets(1, PROTOCOL_ERROR),
        case("an authority with a path", "8.3.1: malformed")
            .send([with(&["gateway.test/x"], &[])])
            .resets(1, PROTOCOL_ERROR),
    ]
}

fn fields() -> Vec<Case> {
    let wrong = |name, rule, field: &[u8], value: &[u8]| {
        case(name, rule).send([get_and(&hpack::literal(0, field, value))]).ends(PROTOCOL_ERROR).because(MAY_END)
    };
    vec![
        wrong("a name in upper case", "8.2", b"X-Upper", b"1"),
        wrong("a name with a space", "8.2.1", b"x y", b"1"),
        wrong("a name with a colon", "8.2.1", b"x:y", b"1"),
        wrong("a name that is no ASCII", "8.2.1", b"x-\xc3\xa9", b"1"),
        wrong("a name of no bytes", "8.2.1", b"", b"1"),
        wrong("a line break in a value", "8.2.1", b"x-split", b"1\r\nx-injected: 1"),
        wrong("a zero byte in a value", "8.2.1", b"x-zero", b"a\0b"),
        case("a value that begins and ends with a space", "8.2.1: malformed")
            .send([get(&[("x-spaced", " 1 ")])])
            .resets(1, PROTOCOL_ERROR),
        case("a value that is no ASCII", "RFC 9110, 5.5: opaque")
            .send([get_and(&hpack::literal(0, b"x-text", b"\xc3\xa9"))])
            .status(1, 200),
        case("a value of no bytes", "RFC 9110, 5.5").send([get(&[("x-empty", "")])]).status(1, 200),
    ]
}

fn about_connections() -> Vec<Case> {
    let malformed = |name, field| case(name, "8.2.2").send([get(&[field])]).resets(1, PROTOCOL_ERROR);
    vec![
        malformed("Connection", ("connection", "close")),
        malformed("Keep-Alive", ("keep-alive", "timeout=5")),
        malformed("Proxy-Connection", ("proxy-connection", "keep-alive")),
        malformed("Transfer-Encoding", ("transfer-encoding", "chunked")),
        malformed("Upgrade", ("upgrade", "websocket")),
        malformed("TE other than trailers", ("te", "gzip")),
        case("TE: trailers", "8.2.2").send([get(&[("te", "trailers")])]).status(1, 200),
        case("a field about the connection in trailers", "8.2.2")
            .send([open(1, &request("POST", "/x")), data(1, b"x"), headers(1, &[("connection", "close")])])
            .resets(1, PROTOCOL_ERROR),
    ]
}

fn lengths() -> Vec<Case> {
    let post = |length| open(1, &request_with("POST", "/x", &[("content-length", length)]));
    vec![
        case("a body longer than Content-Length", "8.1.1")
            .send([post("1"), last_data(1, b"ab")])
            .resets(1, PROTOCOL_ERROR),
        case("a body shorter than Content-Length", "8.1.1")
            .send([post("3"), last_data(1, b"ab")])
            .resets(1, PROTOCOL_ERROR),
        case("no body though Content-Length says so", "8.1.1")
            .send([get(&[("content-length", "1")])])
            .resets(1, PROTOCOL_ERROR),
        case("trailers before the length is reached", "8.1.1")
            .send([post("3"), data(1, b"ab"), headers(1, &[("x-trailer", "1")])])
            .resets(1, PROTOCOL_ERROR),
        case("a Content-Length that is no number", "8.1.1")
            .send([post("two"), last_data(1, b"ab")])
            .resets(1, PROTOCOL_ERROR),
        case("a Content-Length with a sign", "8.1.1").send([post("+2"), last_data(1, b"ab")]).resets(1, PROTOCOL_ERROR),
        case("a Content-Length beyond all numbers", "8.1.1")
            .send([post("99999999999999999999"), last_data(1, b"ab")])
            .resets(1, PROTOCOL_ERROR),
        case("two lengths that differ", "8.1.1, RFC 9110, 8.6")
            .send([
                open(1, &request_with("POST", "/x", &[("content-length", "2"), ("content-length", "3")])),
                last_data(1, b"ab"),
            ])
            .resets(1, PROTOCOL_ERROR),
        case("a body of the length that it says", "8.1.1").send([post("2"), last_data(1, b"ab")]).status(1, 200),
    ]
}

fn sizes() -> Vec<Case> {
    let value = "x".repeat(3_000);
    let fields = |count: usize| (0..count).map(|nth| format!("x-{nth}")).collect::<Vec<_>>();
    // In frames of the largest size, as any head must be sent that does not fit into one.
    let in_frames = |names: &[String], value: &str| {
        let more: Vec<Field<'_>> = names.iter().map(|name| (name.as_str(), value)).collect();
        let block = hpack::block(&request_with("GET", "/x", &more));
        let mut frames: Vec<Frame> =
            block.chunks(16_384).map(|part| continuation(1, part).with_flags(flag::NONE)).collect();
        (frames[0].kind, frames[0].flags) = (kind::HEADERS, flag::END_STREAM);
        frames.last_mut().unwrap().flags |= flag::END_HEADERS;
        frames
    };
    vec![
        case("a head as large as it may be", "10.5.1").send(in_frames(&fields(5), &value)).status(1, 200),
        case("a head larger than head_bytes", "10.5.1, RFC 6585, 5").send(in_frames(&fields(7), &value)).status(1, 431),
        case("a head much larger than head_bytes", "10.5.1, RFC 6585, 5")
            .send(in_frames(&fields(11), &value))
            .status(1, 431),
        case("30,000 distinct fields", "10.5.1").send(in_frames(&fields(30_000), "1")).ends(ENHANCE_YOUR_CALM),
        case("a head that unpacks to a thousand times its size", "10.5.1, RFC 7541, 7.3")
            .send([get_and(
                &[hpack::literal(0b0100_0000, b"x-bomb", value.as_bytes()), hpack::indexed(62).repeat(3_000)].concat(),
            )])
            .ends(ENHANCE_YOUR_CALM),
        case("a string longer than any head may be", "10.5.1")
            .send(in_frames(&fields(1), &"x".repeat(600_000)))
            .ends(ENHANCE_YOUR_CALM),
    ]
}
