//! Random paths through a real gateway: what the upstream gets is what was matched, however the upstream reads it.

use std::{
    cell::{Cell, RefCell},
    io::Write,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use chassis::testing::{Connection, Received};
use proptest::{prelude::*, test_runner::TestRunner};

use crate::fixture::{Gateway, upstream};

/// Everything but what is private may be reached without a token.
const ROUTES: &str = "  - {route: \"* /{path...}\", to: u, auth: public}\n  \
    - {route: \"* /private\", to: u, auth: signed-in}\n  \
    - {route: \"* /private/{path...}\", to: u, auth: signed-in}\n  \
    - {route: \"* /kept/{path...}\", to: u, auth: public, path: {encoded_slash: keep, merge_slashes: false}}\n  \
    - {route: \"* /kept/private/{path...}\", to: u, auth: signed-in}\n";

/// Sends a request and returns the status, if there was an answer. A connection that the gateway closed is replaced.
fn status(connection: &mut Connection, addr: SocketAddr, path: &str) -> Option<u16> {
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    let answer = connection.answer(false);
    if answer.as_ref().is_none_or(|answer| answer.header("connection") == Some("close") || answer.status == 400) {
        *connection = Connection::open(addr);
    }
    answer.map(|answer| answer.status)
}

/// Names that matter, in all spellings, and what may stand between them.
fn paths() -> impl Strategy<Value = String> {
    let separator = proptest::sample::select(vec![
        "/", "/", "/", "//", "%2F", "%2f", "/./", "/%2e/", "/x/../", "/x/%2E./", "%5C", "\\", ";/", "%3B/", "?", "%",
        "",
    ]);
    let name = proptest::sample::select(vec![
        "kept",
        "kept",
        "%6Bept",
        "private",
        "private",
        "%70rivate",
        "a",
        "..",
        "%2e%2E",
        ".",
        "%252F",
        "%C3%A9",
        "~",
        "{",
        "%00",
    ]);
    let segment = (separator, name).prop_map(|(separator, name)| format!("{separator}{name}"));
    proptest::collection::vec(segment, 0..6).prop_map(|segments| format!("/{}", segments.concat()))
}

/// How the most careless upstream reads a path: decoded, slashes merged, parameters of dots dropped, dots resolved.
fn careless(path: &str) -> String {
    let decoded =
        path.replace("%2F", "/").replace("%2f", "/").replace("%5C", "/").replace("%2E", ".").replace("%2e", ".");
    let decoded = decoded.replace("%3B", ";");
    let mut kept = Vec::new();
    for segment in decoded.split('/') {
        match segment.split(';').next() {
            Some(".") => {}
            Some("..") => drop(kept.pop()),
            Some(_) | None if segment.is_empty() => {}
            Some(_) | None => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[test]
fn no_path_leads_past_the_policy_that_it_belongs_to() {
    let received = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&received);
    let upstream = upstream(move |mut reader| {
        while let Some(request) = Received::read(&mut reader) {
            log.lock().unwrap().push(request.line);
            if reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_err() {
                return;
            }
        }
    });
    let gateway = Gateway::before_addr(upstream, ROUTES);
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() });
    let (connection, forwarded) = (RefCell::new(Connection::open(gateway.addr())), Cell::new(0));
    runner
        .run(&paths(), |sent| {
            received.lock().unwrap().clear();
            let mut connection = connection.borrow_mut();
            // A target that is no URI ends the connection without an answer.
            let Some(answered) = status(&mut connection, gateway.addr(), &sent) else { return Ok(()) };
            let lines = received.lock().unwrap().clone();
            prop_assert_eq!(answered == 204, lines.len() == 1, "{} {:?}", answered, lines);
            let Some(line) = lines.first() else { return Ok(()) };
            forwarded.set(forwarded.get() + 1);
            let target = line.split(' ').nth(1).unwrap_or_default();
            let got = target.split('?').next().unwrap_or_default();
            // What is sent is in normal form and belongs to a public route: sent again, it goes the same way unchanged.
            received.lock().unwrap().clear();
            let answered = status(&mut connection, gateway.addr(), target);
            prop_assert_eq!((answered, &*received.lock().unwrap()), (Some(204), &lines), "{}", sent);
            let read = careless(got);
            for private in ["/private", "/kept/private"] {
                let inside = read.strip_prefix(private).is_some_and(|rest| rest.starts_with('/') || rest.is_empty());
                let is_private = inside && (private == "/private" || read.len() > private.len());
                prop_assert!(!is_private, "{} reached {}, which can be read as {}", sent, got, read);
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(forwarded.get() > 200, "only {} paths came through: the test would see nothing", forwarded.get());
}
