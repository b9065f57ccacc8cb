//! How sessions end before their time, and how gateways hear of it.

use std::{
    fs,
    net::SocketAddr,
    thread,
    time::{Duration, Instant, SystemTime},
};

use chassis::{
    identity::Assertion,
    testing::{Answer, Call, Clock, Connection, Process, call, get, post, until},
};
use serde_json::{Value, json};

use crate::{
    fixture::{ADMIN, Folder, GATEWAY, PASSWORD, Users, demo, login, members, new_user},
    process::command,
    sessions::{refreshing, session, token},
};

/// Somebody who has signed in.
pub(crate) struct SignedIn {
    user: i64,
    user_type: String,
    pub(crate) sid: String,
    pub(crate) refresh_token: String,
}

impl SignedIn {
    pub(crate) fn at(addr: SocketAddr, username: &str, password: &str) -> Self {
        Self::by(&login(username, password).header("User-Agent", "test/1").send(addr))
    }

    /// By the answer to a sign-in.
    pub(crate) fn by(answer: &Answer) -> Self {
        let (session, user) = (session(answer), answer.json());
        Self {
            user: user["id"].as_i64().unwrap(),
            user_type: user["user_type"].as_str().unwrap().to_owned(),
            sid: session["id"].as_str().unwrap().to_owned(),
            refresh_token: session["refresh_token"].as_str().unwrap().to_owned(),
        }
    }

    /// A call with the access token of this session.
    pub(crate) fn calls(&self, call: Call) -> Call {
        let assertion = Assertion {
            sub: Some(self.user.to_string()),
            user_type: Some(self.user_type.clone()),
            sid: Some(self.sid.clone()),
            ..Assertion::default()
        };
        call.header("gateway-assertion", &GATEWAY.sign(&assertion))
    }

    /// Whether the session is open. Its refresh token is spent by this, but may be used again for a moment.
    pub(crate) fn is_open(&self, addr: SocketAddr) -> bool {
        let answer = refreshing(&self.refresh_token).send(addr);
        let is_open = answer.status == 200;
        assert!(is_open || answer.problem() == "invalid_refresh_token", "{}", answer.text());
        is_open
    }
}

/// Reads the feed as the gateway does.
pub(crate) fn feed(query: &str) -> Call {
    GATEWAY.signed(get(&format!("/internal/sessions/ended{query}")), None)
}

/// A page of the feed.
pub(crate) fn page(addr: SocketAddr, query: &str) -> Value {
    let answer = feed(query).send(addr);
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{}", answer.text());
    answer.json()
}

/// The sessions on a page.
pub(crate) fn sids(page: &Value) -> Vec<&str> {
    page["ended"].as_array().unwrap().iter().map(|ended| ended["sid"].as_str().unwrap()).collect()
}

#[test]
fn a_logout_ends_the_session_of_its_token_and_no_other() {
    let users = Users::demo();
    let addr = users.addr();
    let [one, other] = [(); 2].map(|()| SignedIn::at(addr, "demo", "b"));
    for _ in 0..2 {
        let answer = users.send(&one.calls(call("POST", "/api/logout")));
        assert_eq!((answer.status, answer.text().as_str()), (204, ""), "also where it has ended already");
    }
    assert!(!one.is_open(addr) && other.is_open(addr));
    let page = page(addr, "");
    assert_eq!(sids(&page), [&one.sid]);
    assert_eq!(members(&page), ["ended", "kept_for", "more", "next"]);
    assert_eq!((&page["kept_for"], &page["more"]), (&json!(86_400), &json!(false)));
    let at = page["ended"][0]["at"].as_u64().unwrap();
    assert!(chassis::identity::unix_seconds(SystemTime::now()) - at < 60);

    // The token of another issuer, or of somebody who names the session of another user.
    for sid in ["of another issuer", &other.sid] {
        let stranger = SignedIn { sid: sid.to_owned(), user: 3, ..SignedIn::at(addr, "admin", "a") };
        assert_eq!(users.send(&stranger.calls(call("POST", "/api/logout"))).status, 204);
    }
    assert!(other.is_open(addr));
    assert_eq!(users.metric("users_store_ended_sessions_total{reason=\"signed_out\"}"), 1.0);
    assert_eq!(users.send(&GATEWAY.signed(call("POST", "/api/logout"), None)).problem(), "assertion_invalid");
}

#[test]
fn users_see_where_they_are_signed_in_and_end_one_of_it() {
    let users = Users::demo();
    let addr = users.addr();
    let first = SignedIn::at(addr, "demo", "b");
    let second = SignedIn::at(addr, "demo", "b");
    let stranger = SignedIn::at(addr, "admin", "a");
    let list = || {
        let answer = users.send(&second.calls(get("/api/sessions")));
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{}", answer.text());
        answer.json()
    };
    let shown = |list: &Value| -> Vec<(String, bool)> {
        let entry = |entry: &Value| (entry["id"].as_str().unwrap().to_owned(), entry["current"].as_bool().unwrap());
        list.as_array().unwrap().iter().map(entry).collect()
    };
    let before = list();
    assert_eq!(shown(&before), [(second.sid.clone(), true), (first.sid.clone(), false)]);
    let entry = &before[0];
    let fields =
        ["address", "authenticated_at", "current", "expires_at", "id", "last_used_at", "methods", "user_agent"];
    assert_eq!(members(entry), fields);
    assert_eq!((&entry["user_agent"], &entry["methods"]), (&json!("test/1"), &json!(["pwd"])));
    assert_eq!(entry["authenticated_at"], entry["last_used_at"]);
    assert!(entry["expires_at"].as_str() > entry["last_used_at"].as_str());
    token(&users.send(&refreshing(&first.refresh_token)));
    let used = list();
    assert_eq!(shown(&used)[0].0, first.sid, "the one that was used last comes first");
    assert!(used[0]["last_used_at"].as_str() > used[0]["authenticated_at"].as_str());

    let end = |who: &SignedIn, sid: &str| users.send(&who.calls(call("DELETE", &format!("/api/sessions/{sid}"))));
    for (who, sid) in [(&stranger, first.sid.as_str()), (&second, "nonsense"), (&second, &"A".repeat(22))] {
        assert_eq!(end(who, sid).problem(), "not_found", "{sid}");
    }
    assert!(first.is_open(addr));
    assert_eq!(end(&second, &first.sid).status, 204);
    assert_eq!(end(&second, &first.sid).problem(), "not_found");
    assert_eq!(shown(&list()), [(second.sid.clone(), true)]);
    assert_eq!(sids(&page(addr, "")), [&first.sid]);
    for target in ["/api/sessions?limit=1", "/api/users/2/sessions?q=x"] {
        assert_eq!(users.send(&stranger.calls(get(target))).problem(), "bad_request", "{target}");
    }
}

#[test]
fn admins_see_and_end_the_sessions_of_a_user() {
    let users = Users::demo();
    let addr = users.addr();
    let [one, other] = [(); 2].map(|()| SignedIn::at(addr, "demo", "b"));
    let admin = SignedIn::at(addr, "admin", "a");
    let path = "/api/users/2/sessions";
    let list = users.send(&admin.calls(get(path))).json();
    assert_eq!((&list[0]["id"], &list[1]["id"]), (&json!(other.sid), &json!(one.sid)));
    assert_eq!((&list[0]["current"], list.as_array().unwrap().len()), (&json!(false), 2));
    assert_eq!(users.send(&admin.calls(get("/api/users/1/sessions"))).json()[0]["current"], true);
    for method in ["GET", "DELETE"] {
        assert_eq!(users.send(&one.calls(call(method, path))).problem(), "insufficient_scope");
        for id in ["99", "none"] {
            let missing = users.send(&admin.calls(call(method, &format!("/api/users/{id}/sessions"))));
            assert_eq!(missing.problem(), "not_found", "{method} {id}");
        }
    }
    assert_eq!(users.send(&admin.calls(call("DELETE", path))).status, 204);
    assert_eq!(users.send(&admin.calls(get(path))).json(), json!([]));
    assert!(!one.is_open(addr) && !other.is_open(addr) && admin.is_open(addr));
    assert_eq!(users.metric("users_store_ended_sessions_total{reason=\"ended_by_admin\"}"), 2.0);
}

/// Why sessions end (or not at all), the status of the answer, and the request about a user.
type Change<'a> = (&'static str, u16, &'a dyn Fn(i64) -> Call);

#[test]
fn whatever_changes_who_a_user_is_ends_its_sessions() {
    let users = Users::demo();
    let addr = users.addr();
    let new = |n: usize| users.create(&format!("user-{n}"));
    let path = |id: i64| format!("/api/users/{id}");
    let set = json!({"new_password": "another long password"});
    let changes: [Change<'_>; 6] = [
        ("password_changed", 204, &|id| post(&format!("{}/password", path(id)), &set)),
        ("rights_changed", 200, &|id| call("PATCH", &path(id)).json(&json!({"user_type": "admin"}))),
        ("rights_changed", 200, &|id| call("PUT", &path(id)).json(&json!({"user_type": "default"}))),
        ("user_deleted", 204, &|id| call("DELETE", &path(id))),
        ("ended_by_admin", 204, &|id| call("DELETE", &format!("{}/sessions", path(id)))),
        ("", 200, &|id| call("PATCH", &path(id)).json(&json!({"full_name": "N", "user_type": "default"}))),
    ];
    let admin = SignedIn::at(addr, "admin", "a");
    let mut cursor = page(addr, "")["next"].as_str().unwrap().to_owned();
    for (n, (reason, status, change)) in changes.into_iter().enumerate() {
        let id = new(n);
        if n == 2 {
            users.patch(id, &json!({"user_type": "admin"}));
        }
        let open = [(); 2].map(|()| SignedIn::at(addr, &format!("user-{n}"), PASSWORD));
        let answer = users.send(&admin.calls(change(id)));
        assert_eq!(answer.status, status, "{}", answer.text());
        let news = page(addr, &format!("?since={cursor}"));
        cursor = news["next"].as_str().unwrap().to_owned();
        let ended: Vec<_> = open.iter().filter(|session| sids(&news).contains(&&*session.sid)).collect();
        assert_eq!((sids(&news).len(), ended.len()), if reason.is_empty() { (0, 0) } else { (2, 2) }, "{n} {reason}");
        assert!(open.iter().all(|session| session.is_open(addr) == reason.is_empty()), "{n} {reason}");
    }
    assert!(admin.is_open(addr));
    let users = users.restart(demo);
    let again = page(users.addr(), "");
    assert_eq!(sids(&again).len(), 10, "all of them are there after a restart");
    assert_eq!((users.metric("users_store_sessions"), users.metric("users_store_ended_sessions_kept")), (3.0, 10.0));
}

#[test]
fn a_change_of_the_own_password_ends_all_other_sessions() {
    let users = Users::demo();
    let addr = users.addr();
    let [own, other] = [(); 2].map(|()| SignedIn::at(addr, "demo", "b"));
    let admin = SignedIn::at(addr, "admin", "a");
    let change = |who: &SignedIn, current: &str, new: &str| {
        users.send(&who.calls(post("/api/me/password", &json!({"current_password": current, "new_password": new}))))
    };
    assert_eq!(change(&own, "wrong", "another password").problem(), "validation_failed");
    assert!(other.is_open(addr), "nothing has changed yet");
    assert_eq!(change(&own, "b", "another password").status, 204);
    assert!(own.is_open(addr) && !other.is_open(addr) && admin.is_open(addr));
    let ended = SignedIn { sid: other.sid.clone(), ..SignedIn::at(addr, "demo", "another password") };
    assert_eq!(change(&ended, "another password", "yet another one").status, 204);
    assert!(!own.is_open(addr), "with the token of a session that has ended, all end");
}

#[test]
fn a_sign_in_with_a_password_that_is_being_changed_leaves_no_session_open() {
    let users = Users::demo();
    let addr = users.addr();
    let id = users.create("ann");
    for round in 0..5 {
        let (old, new) = (
            if round == 0 { PASSWORD.to_owned() } else { format!("password {round} is long") },
            format!("password {} is long", round + 1),
        );
        let sign_ins: Vec<_> = (0..6)
            .map(|_| {
                let sign_in = login("ann", &old);
                thread::spawn(move || sign_in.send(addr))
            })
            .collect();
        let reset = users.admin(post(&format!("/api/users/{id}/password"), &json!({"new_password": new})));
        assert_eq!(reset.status, 204, "{}", reset.text());
        for answer in sign_ins.into_iter().map(|sign_in| sign_in.join().unwrap()) {
            assert!(answer.status != 200 || !SignedIn::by(&answer).is_open(addr), "round {round}");
        }
        assert!(SignedIn::at(addr, "ann", &new).is_open(addr));
    }
}

#[test]
fn only_the_gateway_itself_reads_the_feed() {
    let users = Users::demo();
    let path = "/internal/sessions/ended";
    let forwarded = Assertion { client_ip: Some([192, 0, 2, 1].into()), ..Assertion::default() };
    for (call, status, code) in [
        (get(path), 401, "assertion_invalid"),
        (GATEWAY.signed(get(path), Some(ADMIN)), 403, "insufficient_scope"),
        (get(path).header("gateway-assertion", &GATEWAY.sign(&forwarded)), 403, "insufficient_scope"),
        (feed("?wait=26"), 400, "bad_request"),
        (feed("?wait=-1"), 400, "bad_request"),
        (feed("?wait="), 400, "bad_request"),
        (feed("?since="), 400, "bad_request"),
        (feed("?since=0"), 400, "bad_request"),
        (feed("?since=a&since=b"), 400, "bad_request"),
        (feed("?limit=5"), 400, "bad_request"),
    ] {
        let refused = users.send(&call);
        assert_eq!((refused.status, refused.problem().as_str()), (status, code), "{call:?}");
    }
}

#[test]
fn a_cursor_goes_on_after_what_was_answered_until_the_service_restarts() {
    let users = Users::demo();
    let [one, two, three] = [(); 3].map(|()| SignedIn::at(users.addr(), "demo", "b"));
    let out = |users: &Users, who: &SignedIn| {
        assert_eq!(users.send(&who.calls(call("POST", "/api/logout"))).status, 204);
    };
    let start = page(users.addr(), "");
    assert!(sids(&start).is_empty());
    let since = |users: &Users, page: &Value| {
        crate::session_ends::page(users.addr(), &format!("?since={}", page["next"].as_str().unwrap()))
    };
    out(&users, &one);
    let first = since(&users, &start);
    assert_eq!(sids(&first), [&one.sid]);
    assert!(sids(&since(&users, &first)).is_empty());
    out(&users, &two);
    assert_eq!(sids(&since(&users, &first)), [&two.sid]);
    assert_eq!(sids(&since(&users, &start)), [&one.sid, &two.sid], "from any cursor, as often as wanted");
    let users = users.restart(demo);
    let gone = feed(&format!("?since={}", first["next"].as_str().unwrap())).send(users.addr());
    assert_eq!((gone.status, gone.problem().as_str()), (410, "cursor_gone"));
    out(&users, &three);
    let all = page(users.addr(), "");
    assert_eq!(sids(&all), [&one.sid, &two.sid, &three.sid]);
}

#[test]
fn many_ended_sessions_come_in_pages_of_a_thousand() {
    let folder = Users::demo().stop();
    let sid = |n: usize| format!("{n:04}AAAAAAAAAAAAAAAAAA");
    let at = chassis::timestamp::Timestamp::from(SystemTime::now());
    let ended: Vec<Value> = (0..2500).map(|n| json!({"id": sid(n), "at": at})).collect();
    fs::write(folder.data().join("sessions.json"), json!({"sessions": [], "ended": ended}).to_string()).unwrap();
    let users = Users::start(folder, demo).unwrap();
    let (mut found, mut query, mut pages) = (Vec::new(), String::new(), Vec::new());
    loop {
        let page = page(users.addr(), &query);
        found.extend(sids(&page).into_iter().map(str::to_owned));
        pages.push(sids(&page).len());
        query = format!("?since={}", page["next"].as_str().unwrap());
        if page["more"] == false {
            break;
        }
    }
    found.sort();
    assert_eq!((pages, found), (vec![1000, 1000, 500], (0..2500).map(sid).collect()));
}

/// Begins to wait for the next session that ends.
fn wait_for_end(addr: SocketAddr, since: &Value) -> Connection {
    feed(&format!("?wait=25&since={}", since["next"].as_str().unwrap())).begin(addr)
}

#[test]
fn a_waiting_follower_hears_of_an_end_at_once_and_too_many_are_refused() {
    /// As many as the service lets wait.
    const FOLLOWERS: usize = 64;
    let users = Users::demo();
    let addr = users.addr();
    let who = SignedIn::at(addr, "demo", "b");
    let start = page(addr, "");
    let started = Instant::now();
    let waiting: Vec<_> = (0..FOLLOWERS).map(|_| wait_for_end(addr, &start)).collect();
    until("all of them wait", || users.metric("users_store_followers_waiting") == FOLLOWERS as f64);
    let refused = wait_for_end(addr, &start).answer(false).unwrap();
    assert_eq!((refused.status, refused.problem().as_str()), (503, "overloaded"));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(page(addr, "")["more"], false, "who does not wait is served");
    assert_eq!(users.send(&who.calls(call("POST", "/api/logout"))).status, 204);
    for mut follower in waiting {
        let page = follower.answer(false).unwrap().json();
        assert_eq!(sids(&page), [&who.sid]);
    }
    assert!(started.elapsed() < Duration::from_secs(20), "none has waited for its time to pass");
    until("their places are free", || users.metric("users_store_followers_waiting") == 0.0);
    let begun = Instant::now();
    let empty = page(addr, &format!("?wait=1&since={}", page(addr, "")["next"].as_str().unwrap()));
    assert_eq!(empty["ended"], json!([]));
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_shutdown_ends_what_waits() {
    let folder = Folder::new();
    let process = Process::serve(&mut command(&folder.data()));
    let started = Instant::now();
    let mut waiting = wait_for_end(process.addr(), &page(process.addr(), ""));
    let addr = process.addr();
    until("it waits", || get("/metrics").send(addr).metric("users_store_followers_waiting") == Some(1.0));
    process.signal("TERM");
    assert_eq!(waiting.answer(false).unwrap().json()["ended"], json!([]));
    assert!(process.ended().0.success());
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn ended_sessions_leave_the_feed_after_their_time() {
    let (folder, control) = (Folder::new(), tempfile::tempdir().unwrap());
    let clock = Clock::new(control.path());
    let mut service = command(&folder.data());
    let process = Process::serve(clock.attach_to(service.env("USERS_ENDED_SESSIONS_KEPT", "2h")));
    let who = SignedIn::at(process.addr(), "demo", "b");
    assert_eq!(who.calls(call("POST", "/api/logout")).send(process.addr()).status, 204);
    let page_at = |seconds: u64| {
        clock.set(i64::try_from(seconds).unwrap());
        let time = SystemTime::now() + Duration::from_secs(seconds);
        let call =
            get("/internal/sessions/ended").header("gateway-assertion", &GATEWAY.sign_at(&Assertion::default(), time));
        call.send(process.addr()).json()
    };
    let before = page_at(2 * 3600 - 60);
    assert_eq!((sids(&before), &before["kept_for"]), (vec![&*who.sid], &json!(7200)));
    assert!(sids(&page_at(2 * 3600 + 1)).is_empty());
    clock.set(0);
    process.kill();
    let process = Process::serve(clock.attach_to(&mut command(&folder.data())));
    assert_eq!(sids(&page(process.addr(), "")), [&who.sid], "after a kill, it is read from the log");
}

#[test]
fn sessions_of_a_user_who_is_not_there_are_of_nobody() {
    let users = Users::demo();
    let id = users.create("ann");
    let who = SignedIn::at(users.addr(), "ann", PASSWORD);
    let folder = users.stop();
    let file: Value = serde_json::from_str(&folder.read("users.json")).unwrap();
    let others: Vec<&Value> = file.as_array().unwrap().iter().filter(|user| user["id"] != id).collect();
    fs::write(folder.data().join("users.json"), json!(others).to_string()).unwrap();
    let users = Users::start(folder, demo).unwrap();
    assert!(!who.is_open(users.addr()));
    assert_ne!(users.admin(post("/api/users", &new_user("ann", "default"))).json()["id"], id);
}
