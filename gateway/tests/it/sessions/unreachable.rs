//! A feed that cannot be read: the configuration decides what becomes of tokens.

use std::time::{Duration, Instant};

use chassis::testing::{get, until};
use serde_json::{Value, json};

use super::{
    ask, environment,
    feed::{Feed, Mode},
    gateway, sections, token,
};
use crate::{
    external_issuers::Pair,
    fixture::{File, Gateway, Process, Upstream, own_token},
};

#[test]
fn with_accept_what_is_known_stays_refused_and_everything_else_goes_on() {
    let feed = Feed::start();
    feed.end("a");
    let (gateway, _upstream) = gateway(&feed, "unreachable: accept, after: 2s");
    assert_eq!(ask(&gateway, &token("a")).problem(), "session_ended");
    feed.set(Mode::Down);
    until("it is reported", || get("/health/ready").send(gateway.admin).text().contains("not read for"));
    assert_eq!(get("/health/ready").send(gateway.admin).status, 200, "which is no reason to take no requests");
    assert_eq!(ask(&gateway, &token("a")).problem(), "session_ended");
    assert_eq!(ask(&gateway, &token("b")).status, 200);
    feed.end("b");
    feed.set(Mode::Well);
    until("what ended meanwhile is read", || ask(&gateway, &token("b")).status == 401);
    until("it is reported", || get("/health/ready").send(gateway.admin).json()["checks"]["sessions"] == "ok");
}

#[test]
fn with_refuse_tokens_are_answered_503_until_the_feed_is_back() {
    let feed = Feed::start();
    feed.end("a");
    let (gateway, _upstream) = gateway(&feed, "unreachable: refuse, after: 2s");
    let cached = token("b");
    assert_eq!(ask(&gateway, &cached).status, 200);
    let down = Instant::now();
    feed.set(Mode::Down);
    until("tokens are refused", || ask(&gateway, &cached).status == 503);
    assert!(down.elapsed() > Duration::from_secs(1), "not at the first failure: {:?}", down.elapsed());
    let answer = ask(&gateway, &cached);
    assert_eq!((answer.problem().as_str(), answer.header("retry-after")), ("sessions_unknown", Some("5")));
    assert_eq!(ask(&gateway, &token("new")).problem(), "sessions_unknown", "one that was not seen before, too");
    assert_eq!(ask(&gateway, &token("a")).problem(), "session_ended", "what is known is said");
    assert_eq!(ask(&gateway, "abc").problem(), "token_invalid");
    feed.set(Mode::Well);
    until("tokens are accepted again", || ask(&gateway, &cached).status == 200);
    assert_eq!(ask(&gateway, &token("a")).problem(), "session_ended");
}

#[test]
fn operators_see_whether_the_feed_is_read_and_each_change_is_logged_once() {
    let feed = Feed::start();
    feed.end("a");
    feed.end("b");
    let upstream = Upstream::echo();
    let head = "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\n";
    let sections = sections(&feed, &upstream, "unreachable: refuse, after: 2s").replace(", assertion: users", "");
    let gateway = Process::start(&File::new(&format!("{head}{sections}")));
    let metric = |name: &str| gateway.metric(&format!("gateway_sessions_{name}{{upstream=\"s\"}}"));
    let status = || gateway.admin("/status").json()["sessions"].clone();
    let refused = |sid: &str| get("/x").bearer(&token(sid)).send(gateway.addr).status;
    assert_eq!((metric("known"), metric("ended")), (1.0, 2.0));
    assert!(metric("feed_age_seconds") < 2.0);
    assert_eq!((&status()["known"], &status()["failure"], &status()["ended"]), (&json!(true), &Value::Null, &json!(2)));
    assert_eq!(gateway.admin("/config").json()["tokens"]["sessions"]["unreachable"], "refuse");
    for _ in 0..2 {
        feed.set(Mode::Down);
        until("it is too old", || metric("known") == 0.0);
        assert!(metric("feed_age_seconds") >= 2.0);
        assert!(status()["failure"].is_string() && status()["known"] == false, "{}", status());
        until("tokens are refused", || refused("c") == 503);
        feed.set(Mode::Well);
        until("it is read again", || metric("known") == 1.0);
    }
    assert_eq!((refused("a"), refused("c")), (401, 200));
    assert_eq!(metric("ended"), 2.0);
    assert_eq!(gateway.metric("gateway_problems_total{code=\"session_ended\"}"), 1.0);
    assert_eq!(gateway.metric("gateway_problems_total{code=\"sessions_unknown\"}"), 2.0);
    let logged = |message: &str| gateway.log().iter().filter(|line| line["message"] == message).count();
    let counts = [
        "the ended sessions are followed",
        "the ended sessions cannot be read; trying again",
        "the ended sessions are not known any more: tokens are answered 503",
    ];
    assert_eq!(counts.map(logged), [3, 2, 2], "{}", gateway.log_text());
}

#[test]
fn before_the_first_answer_nothing_is_known() {
    for (unreachable, status) in [("accept", 200), ("refuse", 503)] {
        let feed = Feed::start();
        feed.set(Mode::Down);
        let (gateway, _upstream) = gateway(&feed, &format!("unreachable: {unreachable}"));
        assert_eq!(ask(&gateway, &token("a")).status, status, "{unreachable}");
        let ready = get("/health/ready").send(gateway.admin);
        assert_eq!((ready.status, &ready.json()["checks"]["sessions"]), (200, &json!("never read")), "{unreachable}");
        feed.set(Mode::Well);
        until("tokens are accepted", || ask(&gateway, &token("a")).status == 200);
    }
}

#[test]
fn tokens_of_external_issuers_do_not_depend_on_the_feed() {
    let pair = Pair::ec("k");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, json!({"keys": [pair.jwk()]}).to_string()).unwrap();
    let feed = Feed::start();
    feed.set(Mode::Down);
    let others =
        format!("other_issuers: [{{issuer: https://idp.example, audience: api, jwks: \"{}\"}}]", file.path().display());
    let upstream = Upstream::echo();
    let sections =
        sections(&feed, &upstream, "unreachable: refuse").replace("ttl: 60s", &format!("ttl: 60s, {others}"));
    let gateway = Gateway::with_tokens(&sections, &environment());
    until("the keys are there", || ask(&gateway, &pair.token(Some("at+jwt"), &json!({"sid": "a"}))).status == 200);
    assert_eq!(ask(&gateway, &own_token(&json!({"sid": "a"}))).problem(), "sessions_unknown");
}

#[test]
fn a_feed_that_forgets_before_tokens_expire_does_not_count_as_read() {
    let feed = Feed::start();
    feed.keep_for(59);
    feed.end("a");
    let (gateway, _upstream) = gateway(&feed, "unreachable: refuse");
    assert_eq!(ask(&gateway, &token("b")).problem(), "sessions_unknown");
    assert_eq!(ask(&gateway, &token("a")).problem(), "session_ended", "what it says is used all the same");
    feed.end("c");
    until("it is read on", || ask(&gateway, &token("c")).status == 401);
    feed.keep_for(60);
    until("tokens are accepted", || ask(&gateway, &token("b")).status == 200);
}

#[test]
fn another_target_is_asked_if_one_does_not_answer() {
    let (first, second) = (Feed::start(), Feed::start());
    let upstream = Upstream::echo();
    let targets = format!("targets: [\"http://{}\", \"http://{}\"]", first.addr(), second.addr());
    let one = format!("targets: [\"http://{}\"]", first.addr());
    let sections = sections(&first, &upstream, "unreachable: refuse").replace(&one, &targets);
    first.set(Mode::Down);
    second.end("a");
    let gateway = Gateway::with_tokens(&sections, &environment());
    assert_eq!(ask(&gateway, &token("a")).problem(), "session_ended");
    assert_eq!(ask(&gateway, &token("b")).status, 200);
}
