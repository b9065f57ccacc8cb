//! Random paths through a real gateway: what the upstream gets is what was matched, however the upstream reads it.

use std::{
    cell::{Cell, RefCell},
    io::Write,
    sync::{Arc, Mutex},
};

use gateway::{
    config::{Config, Destination},
    routing::{condition::Asked, path, table::Lookup},
};
use proptest::{prelude::*, test_runner::TestRunner};

use crate::raw::{self, Connection};

/// Everything but what is private may be reached without a token.
const ROUTES: &str = "  - {route: \"* /{path...}\", to: u, auth: public}\n  \
    - {route: \"* /private\", to: u, auth: signed-in}\n  \
    - {route: \"* /private/{path...}\", to: u, auth: signed-in}\n  \
    - {route: \"* /kept/{path...}\", to: u, auth: public, path: {encoded_slash: keep, merge_slashes: false}}\n  \
    - {route: \"* /kept/private/{path...}\", to: u, auth: signed-in}\n";

/// Names that matter, in all spellings, and what may stand between them.
fn paths() -> impl Strategy<Value = String> {
    let separator = proptest::sample::select(vec![
        "/", "/", "/", "//", "%2F", "%2f", "/./", "/%2e/", "/x/../", "/x/%2E./", "%5C", "\\", ";/", "?", "%", "",
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

/// How the most careless upstream reads a path: decoded, slashes merged, dots resolved.
fn careless(path: &str) -> String {
    let decoded =
        path.replace("%2F", "/").replace("%2f", "/").replace("%5C", "/").replace("%2E", ".").replace("%2e", ".");
    let mut kept = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

#[test]
fn no_path_leads_past_the_policy_that_it_belongs_to() {
    let received = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&received);
    let upstream = raw::upstream(move |mut reader| {
        while let Some(request) = raw::request(&mut reader) {
            log.lock().unwrap().push(request.line);
            if reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_err() {
                return;
            }
        }
    });
    let gateway = raw::gateway(upstream, ROUTES);
    let yaml = format!(
        "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\ntokens: {{issuer: t, audience: a}}\n\
         upstreams: {{u: {{targets: [\"http://a\"]}}}}\nroutes:\n{ROUTES}"
    );
    let lookup = |name: &str| (name == "GATEWAY_JWT_SECRET").then(|| crate::fixture::SECRET.to_owned());
    let config = Config::load(&yaml, &lookup).unwrap();
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() });
    let (connection, forwarded) = (RefCell::new(Connection::open(gateway.addr())), Cell::new(0));
    runner
        .run(&paths(), |sent| {
            received.lock().unwrap().clear();
            let mut connection = connection.borrow_mut();
            connection.send(format!("GET {sent} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            let Some(answer) = connection.answer(false) else {
                // A target that is no URI ends the connection.
                *connection = Connection::open(gateway.addr());
                return Ok(());
            };
            if answer.header("connection") == ["close"] || answer.status == 400 {
                *connection = Connection::open(gateway.addr());
            }
            let lines = received.lock().unwrap().clone();
            prop_assert_eq!(answer.status == 204, lines.len() == 1, "{} {:?}", answer.status, lines);
            let Some(line) = lines.first() else { return Ok(()) };
            forwarded.set(forwarded.get() + 1);
            let target = line.split(' ').nth(1).unwrap_or_default();
            let got = target.split('?').next().unwrap_or_default();
            let Lookup::Found(Destination::Route(route)) = config.table.find(&Asked::plain("GET", got)) else {
                return Err(TestCaseError::fail(format!("{got} belongs to no route")));
            };
            let route = &config.routes[route];
            prop_assert!(route.policy.is_public(), "{} reached {}", sent, got);
            let normal = path::normalize_with(got, route.path);
            prop_assert_eq!(normal.as_deref(), Ok(got), "what is sent is in the normal form of its route");
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
