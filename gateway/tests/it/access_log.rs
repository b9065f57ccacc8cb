//! The access log and `Server-Timing`: what they say, and what they never say.

use chassis::testing::{Connection, get, post, until};
use gateway::config::Config;
use serde_json::{Value, json};

use crate::fixture::{File, Process, Upstream, token};

fn yaml(upstream: &Upstream, more: &str) -> String {
    format!(
        "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\ntokens: {{issuer: test, audience: api}}\n{more}\n\
         upstreams: {{u: {{targets: [\"http://{}\"]}}}}\nroutes:\n  \
         - {{route: \"GET,POST /x\", to: u, auth: signed-in}}\n  - {{route: GET /open, to: u, auth: public}}\n",
        upstream.addr
    )
}

fn line_of(gateway: &Process, request_id: &str) -> Value {
    gateway.logged("the request", |line| line["target"] == "access" && line["request_id"] == request_id)
}

#[test]
fn a_request_gets_one_line_when_its_last_byte_has_gone() {
    let upstream = Upstream::echo();
    let gateway = Process::start(&File::new(&yaml(&upstream, "access_log: on")));
    let token = token(7, "default");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let answer = post("/x?password=hunter2", &json!({"body": "hunter3"}))
        .bearer(&token)
        .header("X-Request-Id", "one")
        .header("traceparent", trace)
        .send(gateway.addr);
    assert_eq!(answer.status, 200);
    let line = line_of(&gateway, "one");
    for (field, expected) in [
        ("message", json!("POST /x 200")),
        ("route", json!("GET,POST /x")),
        ("upstream", json!("u")),
        ("target", json!("access")),
        ("upstream_target", json!(upstream.addr.to_string())),
        ("status", json!(200)),
        ("bytes_in", json!(18)),
        ("bytes_out", json!(answer.body.len())),
        ("caller", json!("7")),
        ("client_ip", json!("127.0.0.1")),
        ("trace_id", json!("4bf92f3577b34da6a3ce929d0e0e4736")),
        ("cut_short", json!(false)),
    ] {
        assert_eq!(line[field], expected, "{field}: {line}");
    }
    let micros = |name: &str| line[name].as_u64().unwrap_or_else(|| panic!("{name}: {line}"));
    let phases: u64 = ["match_us", "auth_us", "admit_us", "head_us", "body_us"].into_iter().map(micros).sum();
    assert!(micros("head_us") > 0 && phases <= micros("took_us"), "{line}");

    let refused = get("/x").header("X-Request-Id", "two").header("Authorization", "Bearer nonsense").send(gateway.addr);
    assert_eq!(refused.status, 401);
    assert_eq!(line_of(&gateway, "two")["status"], 401);
    let all = Value::from(gateway.log()).to_string();
    for secret in ["hunter", "nonsense", token.as_str()] {
        assert!(!all.contains(secret), "the log has {secret}");
    }
    assert_eq!(all.matches("\"request_id\":\"one\"").count(), 1);
}

#[test]
fn an_answer_that_the_client_did_not_get_whole_is_said_to_be_cut_short() {
    let upstream = Upstream::start(|received| {
        let length = if received.line.contains("open") { 100_000_000 } else { 0 };
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length)).into_bytes()
    });
    let gateway = Process::start(&File::new(&yaml(&upstream, "access_log: on")));
    let mut client = Connection::open(gateway.addr);
    client.send(b"GET /open HTTP/1.1\r\nHost: x\r\nX-Request-Id: cut\r\n\r\n");
    client.read_exact(1000);
    drop(client);
    let line = line_of(&gateway, "cut");
    assert_eq!((&line["cut_short"], &line["status"]), (&json!(true), &json!(200)), "{line}");
    assert!(line["bytes_out"].as_u64().unwrap() < 100_000_000);
    assert_eq!(gateway.metric("gateway_cut_answers_total{route=\"GET /open\",upstream=\"u\"}"), 1.0);
}

#[test]
fn a_sample_is_a_share_and_off_is_nothing() {
    let upstream = Upstream::echo();
    for (setting, expected) in [("{sample: 10%}", 6), ("off", 0)] {
        let yaml = yaml(&upstream, &format!("access_log: {setting}"));
        let gateway = Process::start(&File::new(&yaml));
        for number in 0..60 {
            assert_eq!(get(&format!("/open?{number}")).send(gateway.addr).status, 200);
        }
        let counted = || gateway.metric("gateway_requests_total{route=\"GET /open\",upstream=\"u\",status=\"200\"}");
        until("all are counted", || counted() == 60.0);
        // Two workers sample apart from each other, so that each may be short of its next line.
        let lines = gateway.log().iter().filter(|line| line["target"] == "access").count();
        assert!(lines <= expected && lines + 2 > expected, "{setting}: {lines}");
    }
}

#[test]
fn server_timing_is_shown_to_whom_the_file_says() {
    let upstream = Upstream::echo();
    let (admin, user) = (token(1, "admin"), token(7, "default"));
    for (setting, shown_to_admin, shown_to_user) in
        [("on", true, true), ("{user_type: admin}", true, false), ("off", false, false)]
    {
        let gateway = Process::start(&File::new(&yaml(&upstream, &format!("server_timing: {setting}"))));
        for (token, shown) in [(&admin, shown_to_admin), (&user, shown_to_user)] {
            let answer = get("/x").bearer(token).send(gateway.addr);
            let timing = answer.header("server-timing");
            assert_eq!(timing.is_some(), shown, "{setting}: {timing:?}");
            assert!(timing.is_none_or(|timing| timing.contains("upstream;dur=")), "{timing:?}");
        }
    }
}

#[test]
fn a_request_that_is_malformed_is_one_line_at_info() {
    let upstream = Upstream::echo();
    let gateway = Process::start(&File::new(&yaml(&upstream, "")));
    let too_large = [b"GET / HTTP/1.1\r\nHost: a\r\nX: ".as_slice(), &[b'a'; 200_000]].concat();
    let malformed =
        [b"GET / HTTP/9\r\n\r\n".as_slice(), b"\x16\x03\x01\x00\xff", b"GET / HTTP/1.1\r\n@: b\r\n\r\n", &too_large];
    for bytes in malformed {
        let mut connection = Connection::open(gateway.addr);
        connection.send(bytes);
        assert_eq!(connection.answer(false).unwrap().status / 100, 4);
    }
    let unreadable = || {
        let said = |line: &Value| line["message"].as_str().is_some_and(|said| said.contains("could not be read"));
        gateway.log().iter().filter(|line| said(line)).count()
    };
    until("each is logged", || unreadable() >= malformed.len());
    assert_eq!(unreadable(), malformed.len());
    let levels: Vec<Value> = gateway.log().iter().map(|line| line["level"].clone()).collect();
    assert!(!levels.contains(&json!("ERROR")), "{:?}", gateway.log());
}

#[test]
fn wrong_settings_are_mistakes() {
    for (setting, message) in [
        ("access_log: maybe", "`maybe` is not `on`, `off` or a sample"),
        ("access_log: {sample: 0%}", "`0%` is not a share from 1% to 100%"),
        ("access_log: {sample: 10}", "`10` is not a share"),
        ("access_log: {smaple: 10%}", "smaple"),
        ("server_timing: maybe", "`maybe` is not `on`, `off` or claims"),
    ] {
        let yaml = yaml(&Upstream::echo(), setting);
        let secret = |name: &str| (name == "GATEWAY_JWT_SECRET").then(|| "s".repeat(32));
        let mistakes = Config::load(&yaml, &secret).err().unwrap_or_default();
        assert!(mistakes.iter().any(|mistake| mistake.message.contains(message)), "{setting}: {mistakes:?}");
    }
}
