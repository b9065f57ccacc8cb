//! Each answer is split at every byte: what awc gets must not depend on how the bytes arrive.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// What becomes of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    given: String,
    error: Option<FramingError>,
    poisoned: bool,
}

fn outcome(given: &str, error: Option<FramingError>, poisoned: bool) -> Outcome {
    Outcome { given: given.to_owned(), error, poisoned }
}

/// Feeds pieces of an answer, then, if so, the end of the connection.
fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, to_head: bool, then_end: bool) -> Outcome {
    let mut pieces: VecDeque<&[u8]> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
    let mut framing = Framing::new();
    let mut given = Vec::new();
    framing.begin_exchange(to_head, false);
    let error = loop {
        let piece = match framing.advance() {
            Err(error) => break Some(error),
            Ok(Step::Deliver(bytes)) => {
                given.extend_from_slice(&bytes);
                continue;
            }
            Ok(next) => pieces.pop_front().map(|piece| (next, piece)),
        };
        match piece {
            None if then_end => break framing.on_eof().err(),
            None => break None,
            Some((Step::ReadHead, piece)) => framing.push_head(piece),
            Some((Step::ReadBody, piece)) => given.extend_from_slice(&piece[..framing.track_body(piece)]),
            Some((Step::Idle | Step::Deliver(_), _)) => framing.poison(),
        }
    };
    Outcome { given: String::from_utf8_lossy(&given).into_owned(), error, poisoned: framing.is_poisoned() }
}

/// Feeds an answer whole, byte by byte, and in two pieces at every place.
fn every_way(answer: &str, to_head: bool, then_end: bool) -> Outcome {
    let bytes = answer.as_bytes();
    let whole = feed([bytes], to_head, then_end);
    assert_eq!(feed(bytes.chunks(1), to_head, then_end), whole, "byte by byte: {answer:?}");
    for at in 1..bytes.len() {
        let (first, second) = bytes.split_at(at);
        assert_eq!(feed([first, second], to_head, then_end), whole, "split at {at}: {answer:?}");
    }
    whole
}

#[test]
fn whole_answers_go_through_as_they_are() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 500 \r\nTransfer-Encoding: Chunked\r\n\r\n3;x\r\nabc\r\n0\r\nT: 1\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\ncontent-length : 1\r\nConnection: keep-alive\r\n\r\na",
    ] {
        assert_eq!(every_way(answer, false, false), outcome(answer, None, false), "{answer:?}");
    }
}

#[test]
fn interim_answers_are_cut_out() {
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n\
                  HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    let rest = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    assert_eq!(every_way(answer, false, false), outcome(rest, None, false));
    let flood = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(INTERIM_HEADS_MAX + 1);
    let error = FramingError::Invalid("there are too many interim answers");
    assert_eq!(every_way(&flood, false, false), outcome("", Some(error), true));
}

#[test]
fn an_answer_without_length_is_read_to_the_end_of_the_connection() {
    let answer = "HTTP/1.1 200 OK\r\nA: b\r\n\r\nto the end";
    let shown = "HTTP/1.0 200 OK\r\nA: b\r\n\r\nto the end";
    assert_eq!(every_way(answer, false, true), outcome(shown, None, true));
}

#[test]
fn an_answer_cut_short_is_told_from_a_whole_one() {
    for (answer, error) in [
        ("", FramingError::Closed),
        ("HTTP/1.1 200 OK\r\nContent-", FramingError::Truncated),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", FramingError::Truncated),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", FramingError::Truncated),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r", FramingError::Truncated),
    ] {
        // A head that is whole is given with what there is of its body.
        let given = if answer.contains("\r\n\r\n") { answer } else { "" };
        assert_eq!(every_way(answer, false, true), outcome(given, Some(error), true), "{answer:?}");
    }
}

#[test]
fn a_used_connection_that_ends_without_a_byte_was_stale() {
    let mut framing = Framing::new();
    framing.begin_exchange(false, false);
    framing.push_head(b"HTTP/1.1 204 No Content\r\n\r\n");
    assert!(matches!(framing.advance(), Ok(Step::Deliver(_))));
    assert!(framing.is_idle() && !framing.is_poisoned());
    framing.begin_exchange(false, false);
    assert_eq!(framing.on_eof(), Err(FramingError::Stale));
}

#[test]
fn what_has_no_body_is_not_waited_for() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(every_way(head, true, false), outcome(head, None, false));
    let not_modified = "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n";
    let shown = "HTTP/1.1 304 Not Modified\r\nx-guard-length: 5\r\n\r\n";
    assert_eq!(every_way(not_modified, false, false), outcome(shown, None, false));
    let no_content = "HTTP/1.0 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(
        every_way(no_content, false, false).error,
        Some(FramingError::Invalid("an answer of HTTP/1.0 has a transfer coding"))
    );
    let old = "HTTP/1.0 304 Not Modified\r\n\r\n";
    assert_eq!(every_way(old, false, false), outcome("HTTP/1.1 304 Not Modified\r\n\r\n", None, true));
}

#[test]
fn the_hidden_length_is_never_that_of_the_upstream() {
    for (answer, shown) in [
        (
            "HTTP/1.1 304 Not Modified\r\nX-Guard-Length: 9\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\nx-guard-forged: 9\r\n\r\n",
        ),
        (
            "HTTP/1.1 304 Not Modified\r\nx-guard-length: 9\r\nContent-Length: 5\r\nx-guard-LENGTH : 8\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\nx-guard-forged: 9\r\nx-guard-length: 5\r\nx-guard-forged : 8\r\n\r\n",
        ),
    ] {
        assert_eq!(every_way(answer, false, false), outcome(shown, None, false), "{answer}");
    }
}

#[test]
fn what_was_not_asked_for_poisons_the_connection_and_goes_no_further() {
    for (answer, given) in [
        ("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"),
    ] {
        assert_eq!(every_way(answer, false, false), outcome(given, None, true), "{answer:?}");
    }
}

#[test]
fn a_connection_is_kept_only_where_both_sides_keep_it() {
    for (version, fields, poisoned) in [
        ("1.1", "", false),
        ("1.1", "Connection: close\r\n", true),
        ("1.1", "Connection: x, Close\r\n", true),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", true),
        ("1.0", "", true),
        ("1.0", "Connection: keep-alive\r\n", false),
    ] {
        let answer = format!("HTTP/{version} 200 OK\r\n{fields}Content-Length: 1\r\n\r\na");
        assert_eq!(every_way(&answer, false, false).poisoned, poisoned, "{answer:?}");
    }
}

#[test]
fn framing_that_could_be_read_in_two_ways_is_an_error() {
    for fields in [
        "Content-Length: 1\r\nContent-Length: 1",
        "Content-Length: 1, 1",
        "Content-Length: +1",
        "Content-Length: ",
        "Content-Length: 1 1",
        "Content-Length: 99999999999999999999",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "A: 1\r\n folded",
    ] {
        let came = every_way(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\na"), false, false);
        assert!(matches!(came.error, Some(FramingError::Invalid(_))), "{fields:?}: {came:?}");
        assert_eq!((came.given.as_str(), came.poisoned), ("", true), "{fields:?}");
    }
}

#[test]
fn an_upgrade_that_did_not_happen_is_hidden_and_one_that_did_is_a_tunnel() {
    let refused = "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\na";
    let shown = "HTTP/1.1 200 OK\r\nx-guard: websocket\r\nContent-Length: 1\r\n\r\na";
    assert_eq!(every_way(refused, false, false), outcome(shown, None, false));
    let done = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x01\x02anything";
    assert_eq!(every_way(done, false, true), outcome(done, None, true));
}

#[test]
fn a_head_has_a_limit() {
    let field = format!("A: {}\r\n", "b".repeat(1000));
    let large = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", field.repeat(66));
    let error = Some(FramingError::Invalid("the head of the answer is too large"));
    assert_eq!(feed([large.as_bytes()], false, false).error, error);
    assert_eq!(feed(large.as_bytes().chunks(997), false, false).error, error);
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(97));
    assert_eq!(every_way(&many, false, false).error, Some(FramingError::Invalid("the head has too many fields")));
}

/// Answers that are nearly right.
fn answers() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("HTTP/1.1 200 OK\r\n"),
        Just("HTTP/1.0 200 OK\r\n"),
        Just("HTTP/1.1 103 Hints\r\n\r\n"),
        Just("HTTP/1.1 304 Not Modified\r\n"),
        Just("HTTP/1.1 101 Switching Protocols\r\n"),
        Just("Content-Length: 3\r\n"),
        Just("Content-Length: 0\r\n"),
        Just("Transfer-Encoding: chunked\r\n"),
        Just("Connection: close\r\n"),
        Just("Upgrade: websocket\r\n"),
        Just("\r\n"),
        Just("3\r\nabc\r\n"),
        Just("0\r\n"),
        Just("abc"),
        Just("\n"),
        Just("\0"),
    ];
    proptest::collection::vec(line, 0..10).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn how_bytes_are_chunked_changes_nothing(
        answer in answers(),
        sizes in proptest::collection::vec(1..9_usize, 1..8),
        to_head: bool,
        then_end: bool,
    ) {
        let mut rest = answer.as_bytes();
        let mut pieces = Vec::new();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        prop_assert_eq!(feed(pieces, to_head, then_end), feed([answer.as_bytes()], to_head, then_end));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..200_usize) {
        let answer = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", bytes.as_slice()].concat();
        for bytes in [bytes.as_slice(), answer.as_slice()] {
            let (first, second) = bytes.split_at(at.min(bytes.len()));
            prop_assert_eq!(feed([first, second], false, true), feed([bytes], false, true));
        }
    }
}
