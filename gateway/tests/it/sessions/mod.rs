//! Tokens of sessions that have ended: the gateway follows the feed of a real server.

mod feed;
mod hostile;
mod restarts;
mod unreachable;

use std::time::{Duration, Instant};

use chassis::testing::{Answer, get, until};
use serde_json::json;

use self::feed::{Feed, now};
use crate::{
    external_issuers::Pair,
    fixture::{Gateway, SECRET, Upstream, own_token},
};

/// From the end of a session to the refusal of its tokens.
const LATENCY_MAX: Duration = Duration::from_secs(2);

/// The sections of a gateway that follows this feed, with what becomes of tokens while it cannot be read.
fn sections(feed: &Feed, upstream: &Upstream, unreachable: &str) -> String {
    format!(
        "tokens: {{issuer: test, audience: api, ttl: 60s, sessions: {{from: s, path: /ended, {unreachable}}}}}\n\
         upstreams:\n  s: {{targets: [\"http://{}\"], assertion: users}}\n  u: {{targets: [\"http://{}\"]}}\n\
         routes:\n  - {{route: GET /x, to: u, auth: signed-in}}\n",
        feed.addr(),
        upstream.addr
    )
}

fn environment() -> Vec<(&'static str, String)> {
    vec![("GATEWAY_JWT_SECRET", SECRET.to_owned()), ("USERS_INTERNAL_KEY", "k".repeat(32))]
}

/// A gateway before an upstream that answers everything, and the upstream.
fn gateway(feed: &Feed, unreachable: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::echo();
    (Gateway::with_tokens(&sections(feed, &upstream, unreachable), &environment()), upstream)
}

/// A token of this session.
fn token(sid: &str) -> String {
    own_token(&json!({"sid": sid}))
}

fn ask(gateway: &Gateway, token: &str) -> Answer {
    get("/x").bearer(token).send(gateway.addr())
}

#[test]
fn the_tokens_of_a_session_are_refused_as_soon_as_it_ends() {
    let feed = Feed::start();
    feed.end("before");
    let (gateway, upstream) = gateway(&feed, "unreachable: accept");
    assert_eq!(ask(&gateway, &token("before")).problem(), "session_ended", "ended before the gateway started");
    let (first, other) = (token("a"), token("b"));
    assert_eq!([&first, &other].map(|token| ask(&gateway, token).status), [200; 2]);
    let ended = Instant::now();
    feed.end("a");
    until("the token is refused", || ask(&gateway, &first).status == 401);
    assert!(ended.elapsed() < LATENCY_MAX, "{:?}", ended.elapsed());
    let answer = ask(&gateway, &first);
    assert_eq!(answer.problem(), "session_ended");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"api\", error=\"invalid_token\""));
    let newer = own_token(&json!({"sid": "a", "jti": "another"}));
    assert_eq!(ask(&gateway, &newer).problem(), "session_ended", "every token of the session");
    let received = upstream.received().len();
    assert_eq!(ask(&gateway, &other).status, 200, "the others go on");
    assert_eq!(upstream.received().len(), received + 1, "nothing of the session reaches the upstream");
}

#[test]
fn only_our_own_tokens_are_looked_up() {
    let pair = Pair::ec("k");
    let keys = json!({"keys": [pair.jwk()]}).to_string();
    let issuer = Upstream::start(move |_| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{keys}", keys.len()).into_bytes()
    });
    let (feed, upstream) = (Feed::start(), Upstream::echo());
    feed.end("a");
    let others =
        format!("other_issuers: [{{issuer: https://idp.example, audience: api, jwks: \"http://{}/\"}}]", issuer.addr);
    let sections =
        sections(&feed, &upstream, "unreachable: accept").replace("ttl: 60s", &format!("ttl: 60s, {others}"));
    let gateway = Gateway::with_tokens(&sections, &environment());
    assert_eq!(ask(&gateway, &token("a")).problem(), "session_ended");
    let external = pair.token(Some("at+jwt"), &json!({"sid": "a"}));
    until("the keys are there", || ask(&gateway, &external).status == 200);
    assert_eq!(ask(&gateway, &own_token(&json!({}))).status, 200, "a token without a session does not end");
}

#[test]
fn the_feed_is_asked_by_the_gateway_itself_and_from_where_the_last_answer_ended() {
    let feed = Feed::start();
    feed.end("a");
    let (gateway, _upstream) = gateway(&feed, "unreachable: accept");
    assert_eq!(ask(&gateway, &token("a")).status, 401);
    for sid in ["b", "c"] {
        feed.end(sid);
        until("the token is refused", || ask(&gateway, &token(sid)).status == 401);
    }
    let expected =
        ["wait=0", "since=0%3A1&wait=15", "since=0%3A2&wait=15"].map(|query| format!("GET /ended?{query} HTTP/1.1"));
    assert_eq!(feed.questions(), expected);
    for assertion in feed.assertions() {
        assert_eq!((assertion.sub, assertion.client_ip), (None, None), "about nobody");
    }
}

#[test]
fn a_long_feed_is_read_page_by_page_before_the_first_request() {
    let feed = Feed::start();
    (0..2500).for_each(|number| feed.end(&format!("s{number}")));
    let (gateway, _upstream) = gateway(&feed, "unreachable: accept");
    for number in [0, 999, 1000, 2499] {
        assert_eq!(ask(&gateway, &token(&format!("s{number}"))).problem(), "session_ended", "{number}");
    }
    assert_eq!(ask(&gateway, &token("s2500")).status, 200);
    assert_eq!(
        feed.questions()[..3].iter().filter(|line| line.contains("wait=0")).count(),
        3,
        "{:?}",
        feed.questions()
    );
}

#[test]
fn a_session_is_known_for_as_long_as_its_tokens_may_be_valid_and_no_longer() {
    let feed = Feed::start();
    // Tokens are valid for 60 s; a minute is left for clocks that differ.
    feed.end_at("recent", now() - 100);
    feed.end_at("old", now() - 121);
    // A clock that is wrong, or a feed that wants to fill the table.
    feed.end_at("future", u64::MAX);
    let (gateway, _upstream) = gateway(&feed, "unreachable: accept");
    let statuses = ["recent", "old", "future"].map(|sid| ask(&gateway, &token(sid)).status);
    assert_eq!(statuses, [401, 200, 401]);
}

#[test]
fn a_feed_that_begins_again_takes_nothing_back() {
    let feed = Feed::start();
    feed.end("a");
    let (gateway, _upstream) = gateway(&feed, "unreachable: accept");
    assert_eq!(ask(&gateway, &token("a")).problem(), "session_ended");
    // As after a restored backup: nothing that was there is known any more.
    feed.begin_again();
    feed.end("b");
    until("what is new is read", || ask(&gateway, &token("b")).status == 401);
    assert_eq!(ask(&gateway, &token("a")).problem(), "session_ended");
    assert!(feed.questions().iter().filter(|line| !line.contains("since")).count() > 1, "{:?}", feed.questions());
}
