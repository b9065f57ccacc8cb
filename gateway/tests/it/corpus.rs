//! The corpus of `tests/corpus`: raw requests and raw answers, each with what must come of it and the rule that says so.

use std::{
    collections::BTreeMap,
    io::{BufReader, Write},
    net::TcpStream,
    sync::{Arc, Mutex},
};

use chassis::testing::{Answer, Connection, Received};
use serde::Deserialize;

use crate::fixture::{Gateway, upstream};

const FILES: [(&str, &str); 5] = [
    ("requests", include_str!("../corpus/requests.json")),
    ("hosts", include_str!("../corpus/hosts.json")),
    ("paths", include_str!("../corpus/paths.json")),
    ("headers", include_str!("../corpus/headers.json")),
    ("answers", include_str!("../corpus/answers.json")),
];

const ROUTES: &str = "  - {route: \"* /{path...}\", to: u, auth: public}\n  \
    - {route: \"* /private\", to: u, auth: signed-in}\n  \
    - {route: POST /small, to: u, auth: public, body_limit: 10}\n  \
    - {route: \"GET /ws/{path...}\", to: u, auth: public, websocket: true}\n  \
    - {route: \"* /kept/{path...}\", to: u, auth: public, path: {encoded_slash: keep, merge_slashes: false}}\n  \
    - {route: \"* /kept/private/{path...}\", to: u, auth: signed-in}\n";

const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nHost: a\r\n\r\n";
const PROBE_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nprobe";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// Where it is written, or why it is so.
    rule: String,
    send: String,
    /// What the upstream answers; nothing where it must not be asked.
    #[serde(default)]
    answer: Option<String>,
    /// `close`: the upstream closes after its answer.
    #[serde(default)]
    then: Option<String>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    status: u16,
    code: Option<String>,
    interim: Option<Vec<u16>>,
    body: Option<String>,
    whole: Option<bool>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    repeated: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    present: Vec<String>,
    #[serde(default)]
    absent: Vec<String>,
    /// Whether the gateway closes the connection afterwards.
    closed: Option<bool>,
    /// The request lines that the upstream gets.
    forwarded: Option<Vec<String>>,
    #[serde(default)]
    forwarded_headers: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    forwarded_present: Vec<String>,
    #[serde(default)]
    forwarded_absent: Vec<String>,
    forwarded_body: Option<String>,
}

/// What the upstream is to do, and what it got.
#[derive(Default)]
struct Script {
    answer: Vec<u8>,
    closes: bool,
    received: Vec<Received>,
}

fn serve(mut reader: BufReader<TcpStream>, script: &Mutex<Script>) {
    while let Some(received) = Received::read(&mut reader) {
        let (answer, closes) = {
            let mut script = script.lock().unwrap();
            if received.line.contains("/probe ") {
                (PROBE_ANSWER.to_vec(), false)
            } else {
                script.received.push(received);
                (script.answer.clone(), script.closes)
            }
        };
        if reader.get_mut().write_all(&answer).is_err() || closes {
            return;
        }
    }
}

#[test]
fn every_case_of_the_corpus_ends_as_its_rule_says() {
    let script = Arc::new(Mutex::new(Script::default()));
    let served = Arc::clone(&script);
    let gateway = Gateway::before_addr(upstream(move |reader| serve(reader, &served)), ROUTES);
    let mut wrong = Vec::new();
    let mut count = 0;
    for (file, text) in FILES {
        let cases: Vec<Case> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{file}.json: {error}"));
        for case in cases {
            count += 1;
            if let Err(difference) = run(&case, &gateway, &script) {
                wrong.push(format!("{file}: {} ({}): {difference}", case.name, case.rule));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 60, "only {count} cases were found");
}

fn run(case: &Case, gateway: &Gateway, script: &Mutex<Script>) -> Result<(), String> {
    let answer = case.answer.as_deref().unwrap_or("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nunexpected");
    *script.lock().unwrap() =
        Script { answer: expanded(answer), closes: case.then.as_deref() == Some("close"), received: Vec::new() };
    let mut connection = Connection::open(gateway.addr());
    connection.send(&expanded(&case.send));
    let mut interim = Vec::new();
    let answer = loop {
        let answer = connection.answer(case.send.starts_with("HEAD ")).ok_or("there was no answer")?;
        if answer.status >= 200 {
            break answer;
        }
        interim.push(answer.status);
    };
    check_answer(&case.expect, &answer, &interim)?;
    if let Some(closed) = case.expect.closed {
        check_closed(closed, &answer, &mut connection)?;
    }
    check_forwarded(&case.expect, &script.lock().unwrap().received)
}

/// `<b*1000>` stands for a thousand times `b`.
fn expanded(text: &str) -> Vec<u8> {
    let Some((before, rest)) = text.split_once('<') else { return text.as_bytes().to_vec() };
    let flood = rest.split_once('>').and_then(|(inner, after)| {
        let (what, count) = inner.split_once('*')?;
        Some((what.repeat(count.parse().ok()?), after))
    });
    match flood {
        Some((flood, after)) => [before, &flood, after].concat().into_bytes(),
        None => text.as_bytes().to_vec(),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    match (found, expected) {
        (found, expected) if found == expected => Ok(()),
        (found, expected) => Err(format!("{what} is {found:?}, not {expected:?}")),
    }
}

fn check_answer(expect: &Expect, answer: &Answer, interim: &[u16]) -> Result<(), String> {
    let body = String::from_utf8_lossy(&answer.body);
    same("the status", answer.status, expect.status).map_err(|error| format!("{error}: {body}"))?;
    if let Some(code) = &expect.code {
        let found = serde_json::from_slice(&answer.body).unwrap_or_default();
        let serde_json::Value::Object(found) = found else { return Err(format!("no problem: {body}")) };
        same("the code", found["code"].as_str(), Some(code.as_str()))?;
    }
    expect.interim.as_ref().map_or(Ok(()), |expected| same("interim", interim, expected))?;
    expect.body.as_ref().map_or(Ok(()), |expected| same("the body", &*body, expected))?;
    expect.whole.map_or(Ok(()), |expected| same("whole", answer.whole, expected))?;
    for (name, value) in &expect.headers {
        same(name, answer.values(name), vec![value.as_str()])?;
    }
    for (name, values) in &expect.repeated {
        same(name, answer.values(name), values.iter().map(String::as_str).collect())?;
    }
    for name in &expect.present {
        same(&format!("{name} is missing"), answer.values(name).is_empty(), false)?;
    }
    for name in &expect.absent {
        same(name, answer.values(name), vec![])?;
    }
    Ok(())
}

/// A second request on the connection is answered, or never.
fn check_closed(closed: bool, answer: &Answer, connection: &mut Connection) -> Result<(), String> {
    connection.send(PROBE);
    if closed {
        if answer.values("connection").iter().any(|option| option.contains("close")) {
            // It has said so; what it still waits for is our end.
            let _ = connection.stream().shutdown(std::net::Shutdown::Write);
        }
        let rest = connection.read_to_end();
        return same("after the close comes", String::from_utf8_lossy(&rest).into_owned(), String::new());
    }
    let probe = connection.answer(false).ok_or("the connection was closed")?;
    same("the next answer", String::from_utf8_lossy(&probe.body).into_owned(), "probe".to_owned())
}

fn check_forwarded(expect: &Expect, received: &[Received]) -> Result<(), String> {
    if let Some(lines) = &expect.forwarded {
        let found: Vec<&str> = received.iter().map(|received| received.line.as_str()).collect();
        same("what was forwarded", found, lines.iter().map(String::as_str).collect())?;
    }
    let Some(last) = received.last() else { return Ok(()) };
    for (name, values) in &expect.forwarded_headers {
        same(&format!("forwarded {name}"), last.header(name), values.iter().map(String::as_str).collect())?;
    }
    for name in &expect.forwarded_present {
        same(&format!("forwarded {name} is missing"), last.header(name).is_empty(), false)?;
    }
    for name in &expect.forwarded_absent {
        same(&format!("forwarded {name}"), last.header(name), vec![])?;
    }
    let body = String::from_utf8_lossy(&last.body).into_owned();
    expect.forwarded_body.as_ref().map_or(Ok(()), |expected| same("the forwarded body", &body, expected))
}
