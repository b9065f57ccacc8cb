//! Frames that cost their sender nothing and the gateway something (section 10.5), in numbers that no client needs.

use super::{
    super::{
        client::request,
        frame::{
            Frame, WINDOW_MAX, continuation, data,
            error::{CANCEL, ENHANCE_YOUR_CALM},
            flag, headers, kind, open, ping, priority, reset, settings, window_update,
        },
        hpack,
    },
    Case, case,
};

/// Number of frames or requests of a flood: ten times what is allowed at once.
const FLOOD: u32 = 2_560;
/// What any client may send at once.
const BURST: u32 = 200;

pub(super) fn cases() -> Vec<Case> {
    let hold = |stream| headers(stream, &request("GET", "/hold"));
    let streams = || (0..FLOOD).map(|nth| 2 * nth + 1);
    let post = || open(1, &request("POST", "/hold"));
    let begun = || Frame::new(kind::HEADERS, flag::END_STREAM, 1, hpack::block(&request("GET", "/x")));
    vec![
        flood("PING", "CVE-2019-9512", &ping()),
        flood("SETTINGS", "CVE-2019-9515", &settings(&[])),
        flood("PRIORITY", "CVE-2019-9513", &priority(9, 3)),
        flood("frames of unknown types", "10.5", &Frame::new(0xbe, flag::NONE, 0, Vec::new())),
        case("a flood of empty DATA", "CVE-2019-9518")
            .send([post()].into_iter().chain((0..FLOOD).map(|_| data(1, b""))))
            .ends(ENHANCE_YOUR_CALM),
        case("a flood of DATA of one byte", "CVE-2019-9511, RFC 9113, 10.5")
            .send([post()].into_iter().chain((0..2 * FLOOD).map(|_| data(1, b"x"))))
            .ends(ENHANCE_YOUR_CALM),
        case("a flood of CONTINUATION", "CVE-2024-27316")
            .send([begun()].into_iter().chain((0..FLOOD).map(|_| continuation(1, &[]).with_flags(flag::NONE))))
            .ends(ENHANCE_YOUR_CALM),
        case("requests that are reset at once", "CVE-2023-44487")
            .send(streams().flat_map(|stream| [hold(stream), reset(stream, CANCEL)]))
            .ends(ENHANCE_YOUR_CALM),
        case("requests that make the gateway reset them", "CVE-2019-9514")
            .send(streams().map(|stream| headers(stream, &[(":method", "GET")])))
            .after_resets()
            .ends(ENHANCE_YOUR_CALM),
        case("requests whose windows make the gateway reset them", "CVE-2025-8671")
            .send(streams().flat_map(|stream| [hold(stream), window_update(stream, WINDOW_MAX)]))
            .after_resets()
            .ends(ENHANCE_YOUR_CALM),
        case("as many PINGs as any client may send", "6.7")
            .send((0..BURST).map(|_| ping()).chain([headers(1, &request("GET", "/x"))]))
            .status(1, 200),
    ]
}

fn flood(what: &'static str, rule: &'static str, frame: &Frame) -> Case {
    case(what, rule).send((0..FLOOD).map(|_| frame.clone())).ends(ENHANCE_YOUR_CALM)
}
