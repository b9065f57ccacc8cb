//! Sessions: a login opens one, and a refresh token keeps it alive.

use std::{
    thread,
    time::{Duration, SystemTime},
};

use chassis::{
    identity::{Assertion, unix_seconds},
    testing::{Answer, Call, Clock, Process, post},
};
use serde_json::{Value, json};

use crate::{
    fixture::{Folder, GATEWAY, Users, demo, login, members},
    process::command,
};

/// A day in seconds.
const DAY: i64 = 86_400;

/// The request that exchanges a refresh token.
pub(crate) fn refreshing(token: &str) -> Call {
    GATEWAY.signed(post("/api/token/refresh", &json!({"refresh_token": token})), None)
}

/// The session that an answer grants.
pub(crate) fn session(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["session"].clone()
}

/// The refresh token that an answer grants.
pub(crate) fn token(answer: &Answer) -> String {
    session(answer)["refresh_token"].as_str().unwrap().to_owned()
}

/// What a client sees of a refused refresh token.
fn refusal(answer: &Answer) -> (u16, Value) {
    let mut body = answer.json();
    body.as_object_mut().unwrap().remove("request_id");
    assert_eq!(answer.problem(), "invalid_refresh_token");
    (answer.status, body)
}

#[test]
fn a_login_opens_a_session_and_a_refresh_goes_on_with_it() {
    let users = Users::demo();
    let opened = users.login("admin", "a");
    let first = session(&opened);
    assert_eq!(first["methods"], json!(["pwd"]));
    assert!((7 * DAY - 60..=7 * DAY).contains(&first["expires_in"].as_i64().unwrap()), "{first}");
    assert_eq!(first["id"].as_str().unwrap().len(), 22);
    assert!(first["refresh_token"].as_str().unwrap().starts_with("msa_rt_"));
    assert!(unix_seconds(SystemTime::now()) - first["authenticated_at"].as_u64().unwrap() < 60);
    assert_ne!(session(&users.login("admin", "a"))["id"], first["id"], "each login opens its own");

    let refreshed = users.send(&refreshing(&token(&opened)));
    assert_eq!(refreshed.header("cache-control"), Some("no-store"));
    let second = session(&refreshed);
    assert_eq!(members(&second), members(&first));
    for member in ["id", "authenticated_at", "methods"] {
        assert_eq!(second[member], first[member], "{member}");
    }
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    assert_eq!((&refreshed.json()["id"], &refreshed.json()["user_type"]), (&json!(1), &json!("admin")));
    users.patch(1, &json!({"full_name": "Another Name"}));
    let third = users.send(&refreshing(&token(&refreshed)));
    assert_eq!(third.json()["full_name"], "Another Name", "the user is as of now");
}

#[test]
fn a_refresh_token_that_was_used_is_answered_with_the_same_successor_for_a_moment() {
    let users = Users::demo();
    let first = token(&users.login("admin", "a"));
    let addr = users.addr();
    let tabs: Vec<_> = (0..8)
        .map(|_| {
            let refresh = refreshing(&first);
            thread::spawn(move || token(&refresh.send(addr)))
        })
        .collect();
    let mut successors: Vec<String> = tabs.into_iter().map(|tab| tab.join().unwrap()).collect();
    successors.dedup();
    assert_eq!(successors.len(), 1, "eight tabs at once");
    let users = users.restart(demo);
    assert_eq!(users.metric("users_store_sessions"), 1.0);
    assert_eq!(token(&users.send(&refreshing(&first))), successors[0], "after a restart, too");
    assert_ne!(token(&users.send(&refreshing(&successors[0]))), successors[0]);
}

#[test]
fn a_refresh_token_that_is_replayed_ends_its_session_and_no_other() {
    let users = Users::demo();
    assert_eq!(users.metric("users_store_ended_sessions_total{reason=\"replayed\"}"), 0.0);
    let (first, other) = (token(&users.login("admin", "a")), token(&users.login("admin", "a")));
    let second = token(&users.send(&refreshing(&first)));
    let third = token(&users.send(&refreshing(&second)));
    let replayed = refusal(&users.send(&refreshing(&first)));
    assert_eq!(replayed.0, 401);
    assert_eq!(refusal(&users.send(&refreshing(&third))), replayed, "the current token is of no use any more");
    let other = token(&users.send(&refreshing(&other)));
    assert_eq!(users.metric("users_store_ended_sessions_total{reason=\"replayed\"}"), 1.0);
    let users = users.restart(demo);
    assert_eq!(refusal(&users.send(&refreshing(&third))), replayed, "nor after a restart");
    token(&users.send(&refreshing(&other)));
}

#[test]
fn every_refresh_token_that_is_not_valid_gets_the_same_answer() {
    let users = Users::demo();
    let opened = users.login("admin", "a");
    let (valid, id) = (token(&opened), session(&opened)["id"].as_str().unwrap().to_owned());
    let unknown = format!("msa_rt_{}", "A".repeat(64));
    let answers: Vec<_> =
        ["", "x", &id, &unknown, &valid[..valid.len() - 1], &format!("{valid}A"), &"x".repeat(10_000)]
            .into_iter()
            .map(|token| refusal(&users.send(&refreshing(token))))
            .collect();
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:#?}");
    // Whoever knows the id of a session, which is in every access token, can neither use it nor end it.
    let guessed = format!("msa_rt_{id}{}", &valid["msa_rt_".len() + id.len()..]);
    assert_eq!(refusal(&users.send(&refreshing(&guessed))), answers[0]);
    token(&users.send(&refreshing(&valid)));
    for body in [json!({}), json!({"refresh_token": 5}), json!({"refresh_token": null})] {
        let refused = users.send(&GATEWAY.signed(post("/api/token/refresh", &body), None));
        assert_eq!(
            (refused.problem().as_str(), &refused.json()["errors"][0]["pointer"]),
            ("validation_failed", &json!("/refresh_token"))
        );
    }
    let direct = post("/api/token/refresh", &json!({"refresh_token": valid})).send(users.addr());
    assert_eq!(direct.problem(), "assertion_invalid", "only the gateway may ask");
}

#[test]
fn a_user_has_at_most_a_hundred_sessions() {
    let users = Users::demo();
    let first = token(&users.login("demo", "b"));
    let second = token(&users.login("demo", "b"));
    let admin = token(&users.login("admin", "a"));
    let first = token(&users.send(&refreshing(&first)));
    for _ in 0..99 {
        session(&users.login("demo", "b"));
    }
    assert_eq!(users.metric("users_store_ended_sessions_total{reason=\"too_many\"}"), 1.0);
    refusal(&users.send(&refreshing(&second)));
    token(&users.send(&refreshing(&first)));
    token(&users.send(&refreshing(&admin)));
    assert_eq!(users.metric("users_store_sessions"), 101.0);
}

/// A refresh on a later day. An assertion is valid for a minute, so that the gateway has the same time.
fn refreshing_on(day: i64, token: &str) -> Call {
    let time = SystemTime::now() + Duration::from_secs(u64::try_from(day * DAY).unwrap());
    post("/api/token/refresh", &json!({"refresh_token": token}))
        .header("gateway-assertion", &GATEWAY.sign_at(&Assertion::default(), time))
}

#[test]
fn a_session_ends_after_a_week_without_a_refresh_and_after_a_month_in_any_case() {
    let (folder, control) = (Folder::new(), tempfile::tempdir().unwrap());
    let clock = Clock::new(control.path());
    let process = Process::serve(clock.attach_to(&mut command(&folder.data())));
    let mut kept = token(&login("admin", "a").send(process.addr()));
    let idle = token(&login("admin", "a").send(process.addr()));
    for day in [6, 12, 18, 24, 29] {
        clock.set(day * DAY);
        let answer = refreshing_on(day, &kept).send(process.addr());
        let left = session(&answer)["expires_in"].as_i64().unwrap();
        let expected = DAY * (30 - day).min(7);
        assert!((expected - 60..=expected).contains(&left), "day {day}: {left} s");
        kept = token(&answer);
    }
    refusal(&refreshing_on(29, &idle).send(process.addr()));
    clock.set(30 * DAY);
    refusal(&refreshing_on(30, &kept).send(process.addr()));
    process.terminate();
    let file: Value = serde_json::from_str(&folder.read("sessions.json")).unwrap();
    assert_eq!(file, json!({"sessions": [], "ended": []}), "what has ended by time is not kept");
}

#[test]
fn a_refresh_token_is_neither_in_a_file_nor_in_the_log() {
    let folder = Folder::new();
    let process = Process::serve(command(&folder.data()).env("RUST_LOG", "trace"));
    let first = token(&login("admin", "a").send(process.addr()));
    let second = token(&refreshing(&first).send(process.addr()));
    let third = token(&refreshing(&second).send(process.addr()));
    let logged = folder.read("users.log");
    refusal(&refreshing(&first).send(process.addr()));
    let said = process.said("a refresh token was used again");
    assert_eq!(said["user_id"], 1, "{said}");
    let log = process.log_text();
    process.terminate();
    for token in [first, second, third] {
        // The first half of the secret, as it would be in any text.
        let secret = &token["msa_rt_".len() + 24..][..20];
        for text in [&logged, &folder.read("sessions.json"), &log] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn a_session_shows_no_more_of_its_client_than_can_be_shown() {
    let users = Users::demo();
    let strange = format!("Mozilla/5.0 \u{202e}{}", "x".repeat(1000));
    session(&users.send(&login("admin", "a").header("User-Agent", &strange)));
    let kept = users.folder.read("users.log");
    assert!(kept.contains(&format!("\"user_agent\":\"Mozilla/5.0 ???{}\"", "x".repeat(185))), "{kept}");
}
