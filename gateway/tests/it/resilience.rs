//! What clients notice when targets die, hang, fail and come back: as little as possible.

use std::{
    io::{BufReader, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use chassis::testing::{Answer, Call, Connection, Received, call, get, post, until};
use serde_json::json;

use crate::fixture::{File, Gateway, Mode, Process, Target, Upstream, token, upstream};

const ANY: &str = "  - {route: \"* /{path...}\", to: u, auth: public}\n";

/// A gateway before these targets, with more settings of the upstream and these sections after it.
fn before(targets: &[&Target], settings: &str, sections: &str) -> Gateway {
    let urls: Vec<String> = targets.iter().map(|target| target.url()).collect();
    Gateway::start(&format!("upstreams: {{u: {{targets: [{}]{settings}}}}}\n{sections}", urls.join(", ")), &[])
}

fn any(sections: &str) -> String {
    format!("{sections}routes:\n{ANY}")
}

fn fetch(gateway: &Gateway) -> Answer {
    get("/x").send(gateway.addr())
}

fn is_up(gateway: &Gateway, target: &Target) -> bool {
    gateway.metric(&format!("gateway_target_up{{upstream=\"u\",target=\"{}\"}}", target.addr)) == Some(1.0)
}

/// Sends GETs from 8 clients without pause while `then` goes on, and says what else than 200 they got.
fn under_load(addr: SocketAddr, then: impl FnOnce()) -> (usize, Vec<Answer>) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let client = || {
            let (mut sent, mut wrong) = (0, Vec::new());
            while !stop.load(Ordering::Relaxed) {
                let answer = get("/x").send(addr);
                sent += 1;
                if answer.status != 200 {
                    wrong.push(answer);
                }
            }
            (sent, wrong)
        };
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(client)).collect();
        then();
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).fold((0, Vec::new()), |mut all, (sent, wrong)| {
            all.0 += sent;
            all.1.extend(wrong);
            all
        })
    })
}

#[test]
fn a_target_that_dies_under_load_costs_no_get() {
    let (mut dying, other) = (Target::start("dying"), Target::start("other"));
    let gateway = before(&[&dying, &other], ", breaker: {open: 200ms}", &any(""));
    let (sent, wrong) = under_load(gateway.addr(), || {
        until("both targets are busy", || dying.count() > 200 && other.count() > 200);
        dying.kill();
        until("the dead target is unavailable", || !is_up(&gateway, &dying));
        let seen = other.count();
        until("the other one does the work", || other.count() > seen + 200);
        dying.revive();
        let seen = dying.count();
        until("the first one is back at work", || dying.count() > seen + 200);
    });
    assert!(wrong.is_empty(), "{} of {sent}: {}", wrong.len(), wrong[0].text());
    assert!(gateway.metric("gateway_upstream_retries_total{upstream=\"u\"}").unwrap() >= 1.0);
}

#[test]
fn a_target_that_is_too_slow_becomes_unavailable_and_comes_back() {
    let (slow, other) = (Target::start("slow"), Target::start("other"));
    let sections = any("defaults: {timeout: {head: 300ms}}\n");
    let gateway = before(&[&slow, &other], ", breaker: {failures: 2, open: 1s}", &sections);
    slow.set(Mode::Hang);
    until("the slow target is unavailable", || {
        assert_eq!(fetch(&gateway).text(), "other", "another target answers where one does not");
        !is_up(&gateway, &slow)
    });
    slow.set(Mode::Healthy);
    until("the slow target is back", || fetch(&gateway).text() == "slow");
    assert!(is_up(&gateway, &slow));
}

#[test]
fn a_breaker_opens_and_refuses_at_once_and_lets_one_request_try() {
    let target = Target::start("t");
    let sections = any("defaults: {retry: off}\n");
    let gateway = before(&[&target], ", breaker: {failures: 3, open: 3s}", &sections);
    target.set(Mode::Break);
    for _ in 0..3 {
        let broken = fetch(&gateway);
        assert_eq!((broken.status, broken.problem().as_str()), (502, "upstream_unreachable"));
    }
    let refused = fetch(&gateway);
    assert_eq!((refused.status, refused.problem().as_str()), (503, "upstream_unavailable"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=4).contains(&wait), "{wait}");
    assert_eq!(target.count(), 3, "no request reached it");
    until("one request has tried and failed", || {
        fetch(&gateway);
        target.count() == 4
    });
    target.set(Mode::Healthy);
    until("it is closed again", || fetch(&gateway).status == 200);
    assert_eq!((0..20).filter(|_| fetch(&gateway).status == 200).count(), 20);
}

#[test]
fn a_target_alone_may_answer_503_as_often_as_it_likes() {
    let target = Target::start("t");
    let gateway = before(&[&target], ", breaker: {failures: 2, open: 60s}", &any(""));
    target.set(Mode::Status(503));
    for _ in 0..10 {
        let answer = fetch(&gateway);
        assert_eq!((answer.status, answer.text().as_str()), (503, "t"), "its own answer, unchanged");
    }
    assert_eq!(target.count(), 10);
}

#[test]
fn a_failing_target_becomes_unavailable_where_another_can_serve() {
    let (sick, other) = (Target::start("sick"), Target::start("other"));
    let gateway = before(&[&sick, &other], ", breaker: {failures: 2, open: 60s}", &any(""));
    sick.set(Mode::Status(503));
    let statuses: Vec<u16> = (0..20).map(|_| fetch(&gateway).status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 2, "{statuses:?}");
    assert_eq!(sick.count(), 2);
}

#[test]
fn health_checks_make_a_target_unavailable_and_bring_it_back() {
    let (sick, other) = (Target::start("sick"), Target::start("other"));
    let health = ", health: {path: /health, interval: 50ms, timeout: 10s, healthy: 2, unhealthy: 2}";
    let gateway = before(&[&sick, &other], health, &format!("builtin: {{health: /healthz}}\n{}", any("")));
    let ready = || get("/healthz/ready").send(gateway.addr());
    until("all are well", || ready().json()["checks"]["upstreams"]["u"] == "up");
    sick.set_health(Mode::Status(503));
    until("the sick one is unavailable", || !is_up(&gateway, &sick));
    let seen = sick.count();
    assert!((0..20).all(|_| fetch(&gateway).text() == "other"));
    assert_eq!(sick.count(), seen);
    let answer = ready();
    assert_eq!((answer.status, &answer.json()["checks"]["upstreams"]["u"]), (200, &json!("degraded")));
    other.set_health(Mode::Break);
    until("no target is left", || fetch(&gateway).status == 503);
    let refused = fetch(&gateway);
    assert_eq!(refused.problem(), "upstream_unavailable");
    assert!(refused.header("retry-after").is_some());
    let answer = ready();
    assert_eq!(
        (answer.status, &answer.json()["checks"]["upstreams"]["u"]),
        (200, &json!("down")),
        "it does not decide"
    );
    sick.set_health(Mode::Healthy);
    until("the first is back", || fetch(&gateway).text() == "sick");
}

#[test]
fn a_total_outage_is_not_made_worse_by_retries() {
    let (one, two) = (Target::start("one"), Target::start("two"));
    let sections = any("defaults: {retry: {attempts: 4, budget: 20%}}\n");
    let gateway = before(&[&one, &two], ", breaker: off", &sections);
    one.set(Mode::Break);
    two.set(Mode::Break);
    for _ in 0..200 {
        assert_eq!(fetch(&gateway).status, 502);
    }
    // A fifth of 200, and the 10 that an upstream starts with.
    let attempts = one.count() + two.count();
    assert!((200 + 40..=200 + 40 + 10).contains(&attempts), "{attempts}");
}

#[test]
fn only_what_is_safe_to_repeat_is_sent_twice() {
    let target = Target::start("t");
    let sections = "routes:\n  \
        - {route: \"* /usual\", to: u, auth: public}\n  \
        - {route: \"* /more\", to: u, auth: public, retry: {methods: [PUT, DELETE], idempotency_key: true}}\n  \
        - {route: \"* /never\", to: u, auth: public, retry: off}\n";
    let gateway = before(&[&target], ", breaker: off", sections);
    target.set(Mode::Break);
    let attempts = |call: Call| {
        let before = target.count();
        assert_eq!(call.send(gateway.addr()).status, 502);
        target.count() - before
    };
    assert_eq!(attempts(get("/usual")), 2);
    assert_eq!(attempts(call("PUT", "/usual")), 1);
    assert_eq!(attempts(post("/usual", &json!(1)).header("Idempotency-Key", "a")), 1);
    assert_eq!(attempts(call("PUT", "/more").json(&json!({"kept": "body"}))), 2);
    assert_eq!(attempts(call("DELETE", "/more")), 2);
    assert_eq!(attempts(call("DELETE", "/more").header("If-Match", "\"1\"")), 1);
    assert_eq!(attempts(post("/more", &json!(1))), 1);
    assert_eq!(attempts(post("/more", &json!(1)).header("Idempotency-Key", "a")), 2);
    assert_eq!(attempts(get("/never")), 1);
    let bodies: Vec<_> =
        target.received().into_iter().filter(|r| r.line.starts_with("PUT /more")).map(|r| r.body).collect();
    assert_eq!(bodies, [b"{\"kept\":\"body\"}", b"{\"kept\":\"body\"}"], "the body is sent whole both times");
    let large = vec![b'x'; 200 * 1024];
    assert_eq!(attempts(call("PUT", "/more").body("text/plain", &large)), 1, "a large body is not kept");
}

#[test]
fn what_was_never_sent_is_sent_to_another_target_whatever_it_is() {
    let (mut dead, alive) = (Target::start("dead"), Target::start("alive"));
    dead.kill();
    let gateway = before(&[&dead, &alive], ", breaker: off", &any(""));
    for number in 0..8 {
        assert_eq!(post("/x", &json!({"number": number})).send(gateway.addr()).text(), "alive");
    }
    let mut bodies: Vec<_> = alive.received().into_iter().map(|received| received.body).collect();
    bodies.dedup();
    assert_eq!(bodies.len(), 8, "each of them once");
}

#[test]
fn requests_follow_the_weights_of_the_targets() {
    let (light, heavy) = (Target::start("light"), Target::start("heavy"));
    let targets = format!(
        "upstreams: {{u: {{targets: [\"{}\", {{url: \"{}\", weight: 3}}]}}}}\n{}",
        light.url(),
        heavy.url(),
        any("")
    );
    let gateway = Gateway::start(&targets, &[]);
    assert!((0..200).all(|_| fetch(&gateway).status == 200));
    let share = light.count();
    assert!((46..=54).contains(&share), "a quarter of 200, not {share}");
}

#[test]
fn a_caller_or_a_header_sticks_to_its_target() {
    let targets = [Target::start("one"), Target::start("two"), Target::start("three")];
    let all: Vec<&Target> = targets.iter().collect();
    let by_header = before(&all, ", balance: {hash: x-cart}", &any(""));
    let ask = |cart: usize| get("/x").header("X-Cart", &cart.to_string()).send(by_header.addr()).text();
    let first: Vec<String> = (0..30).map(ask).collect();
    assert_eq!((0..30).map(ask).collect::<Vec<_>>(), first);
    for name in ["one", "two", "three"] {
        assert!(first.iter().any(|known| known == name), "{name} is never chosen: {first:?}");
    }
    let routes = "routes:\n  - {route: GET /x, to: u, auth: signed-in}\n";
    let by_caller = before(&all, ", balance: {hash: caller}", routes);
    for sub in 1..=3 {
        let token = token(sub, "default");
        let ask = || get("/x").bearer(&token).send(by_caller.addr()).text();
        let first = ask();
        assert!((0..10).all(|_| ask() == first));
    }
}

#[test]
fn the_least_busy_target_is_chosen() {
    let (busy, idle) = (Target::start("busy"), Target::start("idle"));
    for balance in ["least_in_flight", "p2c"] {
        let gateway = before(&[&busy, &idle], &format!(", balance: {balance}"), &any(""));
        busy.set(Mode::Hang);
        thread::scope(|scope| {
            let mut hanging = Vec::new();
            // One after the other: two at once would make the idle one look as busy.
            until("one hangs", || {
                let request = scope.spawn(|| fetch(&gateway).status);
                until("it hangs or is answered", || busy.in_flight() == 1 || request.is_finished());
                hanging.push(request);
                busy.in_flight() == 1
            });
            let idle_in_flight = format!("gateway_target_in_flight{{upstream=\"u\",target=\"{}\"}}", idle.addr);
            for _ in 0..20 {
                until("the other one is idle", || gateway.metric(&idle_in_flight) == Some(0.0));
                assert_eq!(fetch(&gateway).text(), "idle", "{balance}");
            }
            busy.set(Mode::Healthy);
            assert!(hanging.into_iter().all(|hanging| hanging.join().unwrap() == 200));
        });
        let retries = gateway.metric("gateway_upstream_retries_total{upstream=\"u\"}");
        assert_eq!(retries, Some(0.0), "a wrong choice would have been made good by another attempt");
    }
}

#[test]
fn an_upstream_at_its_limit_refuses_at_once_and_counts_it() {
    let target = Target::start("t");
    let gateway = before(&[&target], ", max_in_flight: 2", &any(""));
    target.set(Mode::Hang);
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..2).map(|_| scope.spawn(|| fetch(&gateway).status)).collect();
        until("two are in flight", || target.in_flight() == 2);
        let refused = fetch(&gateway);
        assert_eq!((refused.status, refused.problem().as_str()), (503, "overloaded"));
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!(gateway.metric("gateway_upstream_in_flight{upstream=\"u\"}"), Some(2.0));
        assert_eq!(gateway.metric("gateway_upstream_refused_total{upstream=\"u\"}"), Some(1.0));
        target.set(Mode::Healthy);
        assert!(waiting.into_iter().all(|waiting| waiting.join().unwrap() == 200));
    });
    until("the place is free again", || gateway.metric("gateway_upstream_in_flight{upstream=\"u\"}") == Some(0.0));
    assert_eq!(fetch(&gateway).status, 200);
}

#[test]
fn the_whole_request_has_a_deadline() {
    let target = Target::start("t");
    let gateway = before(&[&target], "", &any("defaults: {timeout: {total: 300ms}}\n"));
    target.set(Mode::Hang);
    let late = fetch(&gateway);
    assert_eq!((late.status, late.problem().as_str()), (504, "upstream_timeout"));
    assert_eq!(target.count(), 1, "there is no time for another attempt");
    let upload = post("/x", &json!({"a": 1})).send(gateway.addr());
    assert_eq!((upload.status, upload.problem().as_str()), (504, "upstream_timeout"));
    let endless = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    let sections = format!("defaults: {{timeout: {{total: 300ms}}}}\nroutes:\n{ANY}");
    let gateway =
        Gateway::start(&format!("upstreams: {{u: {{targets: [\"http://{}\"]}}}}\n{sections}", endless.addr), &[]);
    let cut = get("/x").begin(gateway.addr()).answer(false).unwrap();
    assert_eq!((cut.status, cut.header("content-length"), cut.text().as_str()), (200, Some("10"), "abc"));
    assert!(!cut.whole);
}

#[test]
fn an_assertion_is_signed_once_for_many_requests() {
    let target = Target::start("t");
    let urls = format!("upstreams: {{u: {{targets: [\"{}\"], assertion: u}}}}\n", target.url());
    let routes =
        "routes:\n  - {route: GET /private, to: u, auth: signed-in}\n  - {route: GET /x, to: u, auth: public}\n";
    let gateway = Gateway::start(&format!("{urls}{routes}"), &[("INTERNAL_KEY", "k".repeat(32))]);
    let tokens = [token(1, "default"), token(2, "default")];
    for _ in 0..10 {
        assert_eq!(fetch(&gateway).status, 200);
        for token in &tokens {
            assert_eq!(get("/private").bearer(token).send(gateway.addr()).status, 200);
        }
    }
    let mut statements: Vec<String> = target
        .received()
        .iter()
        .flat_map(|received| received.header("gateway-assertion").into_iter().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(statements.len(), 30, "every request has one");
    statements.sort();
    statements.dedup();
    // Three callers; a test that takes longer than the 30 s that one is fresh sees each of them twice.
    assert!((3..=6).contains(&statements.len()), "{statements:#?}");
}

#[test]
fn what_is_in_flight_is_answered_before_the_process_ends() {
    let target = Target::start("t");
    target.set(Mode::Hang);
    let file = File::new(&format!(
        "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nupstreams: {{u: {{targets: [\"{}\"]}}}}\nroutes:\n{ANY}",
        target.url()
    ));
    let process = Process::start(&file);
    assert_eq!(process.admin("/health/ready").status, 200);
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| post("/x", &json!({"a": 1})).send(process.addr))).collect();
        until("all are in flight", || target.in_flight() == 8);
        process.signal("TERM");
        until("it is not ready", || process.admin("/health/ready").status == 503);
        assert_eq!(process.admin("/health/live").status, 200);
        target.set(Mode::Healthy);
        for answer in waiting.into_iter().map(|waiting| waiting.join().unwrap()) {
            assert_eq!((answer.status, answer.text().as_str()), (200, "t"));
        }
    });
    process.ended_well();
    assert_eq!(target.count(), 8);
}

#[test]
fn a_stale_connection_costs_no_get_and_no_retry_budget() {
    // Answers the first request on each connection, and closes it at the second, as if it had just given it up.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                if Received::read(&mut reader).is_some() {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                    Received::read(&mut reader);
                }
            });
        }
    });
    let sections = any("defaults: {retry: {budget: 0%}}\n");
    let gateway = Gateway::start(&format!("upstreams: {{u: {{targets: [\"{url}\"], breaker: off}}}}\n{sections}"), &[]);
    for number in 0..40 {
        assert_eq!(fetch(&gateway).status, 200, "{number}");
    }
    let retries = gateway.metric("gateway_upstream_retries_total{upstream=\"u\"}").unwrap();
    assert!(retries > 10.0, "more than an upstream has to begin with: {retries}");
}

#[test]
fn clients_that_stall_their_bodies_do_not_count_against_the_target() {
    let target = Target::start("t");
    let sections = "routes:\n  \
        - {route: POST /head, to: u, auth: public, timeout: {head: 200ms, idle: 600ms}}\n  \
        - {route: POST /total, to: u, auth: public, timeout: {total: 300ms}}\n  \
        - {route: GET /x, to: u, auth: public}\n";
    let gateway = before(&[&target], "", sections);
    for path in ["/head", "/total"] {
        // Twice as many as open a breaker.
        let mut stalled: Vec<Connection> = (0..10)
            .map(|_| {
                let mut connection = Connection::open(gateway.addr());
                connection.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx").as_bytes());
                connection
            })
            .collect();
        for connection in &mut stalled {
            let answer = connection.answer(false).unwrap();
            assert_eq!((answer.status, answer.problem().as_str()), (408, "request_timeout"), "{path}");
        }
        assert_eq!(fetch(&gateway).status, 200, "{path}");
    }
}

#[test]
fn a_target_that_got_less_than_its_time_for_a_head_is_not_blamed() {
    let target = Target::start("t");
    let sections = "routes:\n  \
        - {route: \"* /short\", to: u, auth: public, timeout: {total: 100ms}}\n  \
        - {route: GET /x, to: u, auth: public}\n";
    let gateway = before(&[&target], "", sections);
    target.set(Mode::Hang);
    for _ in 0..5 {
        for call in [get("/short"), post("/short", &json!("whole"))] {
            let late = call.send(gateway.addr());
            assert_eq!((late.status, late.problem().as_str()), (504, "upstream_timeout"));
        }
    }
    target.set(Mode::Healthy);
    assert_eq!(fetch(&gateway).status, 200);
}

/// What becomes of a target whose answers break off, or stop, in their bodies.
fn assert_ejected_by_its_bodies(sick: &Upstream, route: &str) {
    let other = Target::start("other");
    let gateway = Gateway::start(
        &format!(
            "upstreams: {{u: {{targets: [\"http://{}\", \"{}\"], breaker: {{failures: 2, open: 60m}}}}}}\n\
             routes:\n  - {{route: \"GET /x\", to: u, auth: public, {route}}}\n",
            sick.addr,
            other.url()
        ),
        &[],
    );
    let up = format!("gateway_target_up{{upstream=\"u\",target=\"{}\"}}", sick.addr);
    until("the sick target is out", || {
        get("/x").begin(gateway.addr()).answer(false).unwrap();
        gateway.metric(&up) == Some(0.0)
    });
    let seen = sick.received().len();
    assert_eq!(seen, 2, "a good head does not make up for a body");
    assert!((0..20).all(|_| fetch(&gateway).text() == "other"));
    assert_eq!(sick.received().len(), seen);
}

#[test]
fn a_target_that_dies_in_its_answers_becomes_unavailable() {
    // An upstream that closes after one answer; the client gets the head and a part of the body.
    let cutting = || Upstream::start_closing(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_vec());
    assert_ejected_by_its_bodies(&cutting(), "timeout: {idle: 60s}");
    let stalling = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    assert_ejected_by_its_bodies(&stalling, "timeout: {idle: 200ms}");
}

#[test]
fn a_target_that_dies_in_answers_for_a_hook_becomes_unavailable() {
    let sick = Upstream::start_closing(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_vec());
    let gateway = Gateway::start(
        &format!(
            "upstreams: {{u: {{targets: [\"http://{}\"], breaker: {{failures: 2, open: 60m}}}}}}\n\
             routes:\n  - {{route: POST /x, to: u, auth: public, then: issue-token}}\n",
            sick.addr
        ),
        &[],
    );
    let problems: Vec<String> = (0..3).map(|_| post("/x", &json!(1)).send(gateway.addr()).problem()).collect();
    assert_eq!(problems, ["upstream_invalid", "upstream_invalid", "upstream_unavailable"]);
}

#[test]
fn clients_that_leave_in_the_middle_of_an_answer_do_not_count_against_the_target() {
    let target = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    let gateway = Gateway::before(&target, ANY);
    // Twice as many as open a breaker.
    for _ in 0..10 {
        let mut connection = Connection::open(gateway.addr());
        connection.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(connection.head().unwrap().0, 200);
    }
    until("all have left", || gateway.metric("gateway_upstream_in_flight{upstream=\"u\"}") == Some(0.0));
    let up = format!("gateway_target_up{{upstream=\"u\",target=\"{}\"}}", target.addr);
    assert_eq!(gateway.metric(&up), Some(1.0));
}

#[test]
fn a_trial_that_streams_lets_others_in_and_one_broken_body_ends_it() {
    let mode = Arc::new(AtomicUsize::new(0));
    let current = Arc::clone(&mode);
    let (broken, endless, cut) = (0, 1, 2);
    let target = Upstream::start_closing(move |_| match current.load(Ordering::SeqCst) {
        mode if mode == broken => Vec::new(),
        mode if mode == endless => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n".to_vec(),
        _ => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_vec(),
    });
    let gateway = Gateway::start(
        &format!(
            "upstreams: {{u: {{targets: [\"http://{}\"], breaker: {{failures: 3, open: 1s}}}}}}\n\
             defaults: {{retry: off, timeout: {{idle: 60m}}}}\nroutes:\n{ANY}",
            target.addr
        ),
        &[],
    );
    let begin = || {
        let mut connection = Connection::open(gateway.addr());
        connection.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        let status = connection.head().unwrap().0;
        (connection, status)
    };
    let up = format!("gateway_target_up{{upstream=\"u\",target=\"{}\"}}", target.addr);
    (0..3).for_each(|_| assert_eq!(fetch(&gateway).status, 502));
    assert_eq!(fetch(&gateway).status, 503);
    mode.store(endless, Ordering::SeqCst);
    target.keep_open(true);
    let streams = std::cell::RefCell::new(Vec::new());
    until("a trial is let through", || {
        let (connection, status) = begin();
        streams.borrow_mut().push(connection);
        status == 200
    });
    // The trial still streams.
    assert!((0..5).map(|_| begin()).all(|(connection, status)| {
        streams.borrow_mut().push(connection);
        status == 200
    }));
    mode.store(cut, Ordering::SeqCst);
    target.keep_open(false);
    assert!(!get("/x").begin(gateway.addr()).answer(false).unwrap().whole);
    until("one broken body is enough", || gateway.metric(&up) == Some(0.0));
}

#[test]
fn a_target_that_is_back_is_used_at_its_first_good_health_check() {
    let mut target = Target::start("t");
    let settings = ", breaker: {failures: 2, open: 60m}, health: {path: /health, interval: 100ms}";
    let gateway = before(&[&target], settings, &any(""));
    target.kill();
    until("the breaker is open", || fetch(&gateway).status == 503);
    target.revive();
    until("it is used again", || fetch(&gateway).status == 200);
}

#[test]
fn a_target_that_is_back_counts_as_up_though_nobody_sends_a_request() {
    let mut target = Target::start("t");
    let settings = ", breaker: {failures: 2, open: 60m}, health: {path: /health, interval: 100ms}";
    let gateway = before(&[&target], settings, &format!("builtin: {{health: /healthz}}\n{}", any("")));
    target.kill();
    until("the breaker is open", || fetch(&gateway).status == 503);
    assert!(!is_up(&gateway, &target));
    target.revive();
    until("its health check was good", || is_up(&gateway, &target));
    let ready = get("/healthz/ready").send(gateway.addr());
    assert_eq!(ready.json()["checks"]["upstreams"]["u"], "up");
    assert_eq!(target.count(), 0, "nothing was sent");
}

#[test]
fn good_health_checks_hasten_only_one_trial_of_a_target_that_fails_all_requests() {
    let (checks, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (Arc::clone(&checks), Arc::clone(&requests));
    let target = Upstream::start(move |received| {
        let (count, answer): (_, &[u8]) = match received.line.contains(" /health ") {
            true => (&counts.0, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            false => (&counts.1, b""),
        };
        count.fetch_add(1, Ordering::SeqCst);
        answer.to_vec()
    });
    let gateway = Gateway::start(
        &format!(
            "upstreams: {{u: {{targets: [\"http://{}\"], breaker: {{failures: 2, open: 60m}}, \
             health: {{path: /health, interval: 20ms}}}}}}\ndefaults: {{retry: off}}\nroutes:\n{ANY}",
            target.addr
        ),
        &[],
    );
    until("many checks were good", || {
        fetch(&gateway);
        checks.load(Ordering::SeqCst) >= 50
    });
    assert_eq!(requests.load(Ordering::SeqCst), 3, "two that open the breaker, and one trial");
}

/// How many connections an upstream gets for two requests with this many milliseconds between them.
fn connections_for_two(settings: &str, answer_field: &'static str, apart_ms: u64) -> usize {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let addr = upstream(move |mut reader| {
        counted.fetch_add(1, Ordering::SeqCst);
        while Received::read(&mut reader).is_some() {
            let answer = format!("HTTP/1.1 200 OK\r\n{answer_field}Content-Length: 2\r\n\r\nok");
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    let sections = format!("upstreams: {{u: {{targets: [\"http://{addr}\"]{settings}}}}}\n{}", any(""));
    let gateway = Gateway::start(&sections, &[]);
    assert_eq!(fetch(&gateway).status, 200);
    thread::sleep(Duration::from_millis(apart_ms));
    assert_eq!(post("/x", &json!({})).send(gateway.addr()).status, 200);
    connections.load(Ordering::SeqCst)
}

#[test]
fn a_connection_is_not_used_again_when_its_target_is_about_to_close_it() {
    assert_eq!(connections_for_two("", "", 1300), 1);
    assert_eq!(connections_for_two("", "Keep-Alive: timeout=30, max=100\r\n", 1300), 1);
    assert_eq!(connections_for_two("", "Keep-Alive: timeout=2\r\n", 1300), 2, "a second before the end");
    assert_eq!(connections_for_two("", "Keep-Alive: timeout=1\r\n", 0), 2, "there is no time left");
    assert_eq!(connections_for_two(", keep_alive: 1s", "", 1300), 2, "as the configuration says");
}
