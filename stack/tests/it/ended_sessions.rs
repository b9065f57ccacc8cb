//! An access token ends with its session: whatever ends that, the gateway refuses it soon.

use std::time::{Duration, Instant};

use chassis::testing::{Answer, Call, Clock, Process, call, get, post, until};
use serde_json::{Value, json};

use crate::fixture::{PASSWORD, Stack, command};

/// From the end of a session to the refusal of its tokens.
const LATENCY_MAX: Duration = Duration::from_secs(2);

/// Ends the session of a token by this request, and waits until the gateway refuses the token.
fn ends(stack: &Stack, what: &str, token: &str, request: &Call) {
    assert_eq!(me(stack, token).status, 200, "{what}");
    let answer = stack.send(request);
    assert!(matches!(answer.status, 200 | 204), "{what}: {}", answer.text());
    is_refused(stack, what, token);
}

fn is_refused(stack: &Stack, what: &str, token: &str) {
    let ended = Instant::now();
    // Before the gateway knows, the service itself may refuse it, since the user is gone.
    until(what, || {
        let answer = me(stack, token);
        answer.status == 401 && answer.problem() == "session_ended"
    });
    assert!(ended.elapsed() < LATENCY_MAX, "{what}: {:?}", ended.elapsed());
    assert_eq!(stack.send(&get("/api/orders").bearer(token)).problem(), "session_ended", "{what}, for every service");
}

fn me(stack: &Stack, token: &str) -> Answer {
    stack.send(&get("/api/me").bearer(token))
}

fn sid(stack: &Stack, token: &str) -> String {
    let sessions = stack.send(&get("/api/sessions").bearer(token)).json();
    let current = sessions.as_array().unwrap().iter().find(|session| session["current"] == true).unwrap();
    current["id"].as_str().unwrap().to_owned()
}

fn patch(path: &str, body: &Value) -> Call {
    call("PATCH", path).json(body)
}

#[test]
fn a_token_ends_with_its_session_whatever_ends_it() {
    let (stack, _folder) = Stack::new();
    let admin = stack.token("admin");
    let id = stack.create(&admin, "eve").json()["id"].clone();
    let user = format!("/api/users/{id}");
    let eve = || stack.token("eve");

    let [token, other] = [eve(), eve()];
    ends(&stack, "signing out", &token, &call("POST", "/api/logout").bearer(&token));
    assert_eq!(me(&stack, &other).status, 200, "another session of the same user goes on");
    let end = call("DELETE", &format!("/api/sessions/{}", sid(&stack, &other)));
    ends(&stack, "its end from elsewhere", &other, &end.bearer(&eve()));

    let [current, token] = [eve(), eve()];
    let passwords = json!({"current_password": PASSWORD, "new_password": format!("{PASSWORD} 2")});
    ends(&stack, "a new password", &token, &post("/api/me/password", &passwords).bearer(&current));
    assert_eq!(me(&stack, &current).status, 200, "the session that changed it goes on");

    let reset = post(&format!("{user}/password"), &json!({"new_password": PASSWORD}));
    ends(&stack, "a new password by an admin", &current, &reset.bearer(&admin));
    let token = eve();
    ends(&stack, "the end by an admin", &token, &call("DELETE", &format!("{user}/sessions")).bearer(&admin));

    let token = eve();
    ends(&stack, "a promotion", &token, &patch(&user, &json!({"user_type": "admin"})).bearer(&admin));
    let token = eve();
    assert_eq!(stack.send(&get("/api/users").bearer(&token)).status, 200);
    ends(&stack, "a demotion", &token, &patch(&user, &json!({"user_type": "default"})).bearer(&admin));
    let token = eve();
    ends(&stack, "the deletion of the user", &token, &call("DELETE", &user).bearer(&admin));
    assert_eq!(me(&stack, &admin).status, 200, "nobody else is signed out");
}

#[test]
fn a_refresh_token_that_is_used_again_ends_the_access_token_too() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new(folder.path());
    let mut command = command(folder.path());
    let stack = Stack::of(Process::spawn(clock.attach_to(&mut command)));
    let refresh = |token: &Value| stack.send(&post("/api/token/refresh", &json!({"refresh_token": token}))).json();
    let first = stack.login("demo", "b").json();
    let second = refresh(&first["refresh_token"]);
    let token = second["access_token"].as_str().unwrap();
    assert_eq!(me(&stack, token).status, 200);
    // After the time in which the same token may come again because its answer was lost.
    clock.set(31);
    assert_eq!(refresh(&first["refresh_token"])["code"], "invalid_refresh_token");
    is_refused(&stack, "a replay", token);
}

#[test]
fn a_token_of_an_ended_session_is_refused_after_a_restart() {
    let (stack, folder) = Stack::new();
    let token = stack.token("demo");
    assert_eq!(stack.send(&call("POST", "/api/logout").bearer(&token)).status, 204);
    stack.terminate();
    let stack = Stack::start(folder.path(), &[]);
    assert_eq!(me(&stack, &token).problem(), "session_ended", "with the first request");
}
