//! Sessions through the gateway: staying signed in, and signing out.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::testing::{Answer, call, get, post};
use serde_json::{Value, json};

use crate::fixture::{PASSWORD, Stack};

/// The tokens of an answer.
struct Tokens {
    access: String,
    refresh: String,
}

impl Tokens {
    fn of(answer: &Answer) -> Self {
        assert_eq!((answer.status, answer.header("cache-control")), (201, Some("no-store")), "{}", answer.text());
        let text = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token") }
    }

    fn claims(&self) -> Value {
        let claims = self.access.split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
    }
}

fn refresh(stack: &Stack, token: &str) -> Answer {
    stack.send(&post("/api/token/refresh", &json!({"refresh_token": token})))
}

#[test]
fn a_client_stays_signed_in_by_its_refresh_token_until_it_signs_out() {
    let (stack, _folder) = Stack::new();
    let first = Tokens::of(&stack.login("demo", "b"));
    let answer = refresh(&stack, &first.refresh);
    assert!(answer.json()["refresh_expires_in"].as_u64().unwrap() > 6 * 86_400);
    let second = Tokens::of(&answer);
    let (before, after) = (first.claims(), second.claims());
    for claim in ["sid", "auth_time", "amr", "sub", "user_type"] {
        assert_eq!(before[claim], after[claim], "{claim}");
    }
    assert_ne!((&before["jti"], &first.refresh), (&after["jti"], &second.refresh));
    assert_eq!(Tokens::of(&refresh(&stack, &first.refresh)).refresh, second.refresh, "its answer was lost, perhaps");

    let sessions = stack.send(&get("/api/v1/sessions").bearer(&second.access)).json();
    assert_eq!((&sessions[0]["id"], &sessions[0]["current"]), (&after["sid"], &json!(true)));
    assert_eq!(sessions[0]["address"], "127.0.0.1", "the address of the client, and not of the gateway");
    assert_eq!(stack.send(&call("POST", "/api/logout").bearer(&second.access)).status, 204);
    let refused = refresh(&stack, &second.refresh);
    assert_eq!((refused.status, refused.problem().as_str()), (401, "invalid_refresh_token"));
    assert_eq!(stack.send(&call("POST", "/api/logout")).problem(), "token_missing");
}

#[test]
fn users_and_admins_end_sessions() {
    let (stack, _folder) = Stack::new();
    let admin = stack.token("admin");
    let eve = stack.create(&admin, "eve").json()["id"].clone();
    let [one, two, three] = [(); 3].map(|()| Tokens::of(&stack.login("eve", PASSWORD)));
    let path = format!("/api/sessions/{}", two.claims()["sid"].as_str().unwrap());
    assert_eq!(stack.send(&call("DELETE", &path).bearer(&admin)).problem(), "not_found", "it is not theirs");
    assert_eq!(stack.send(&call("DELETE", &path).bearer(&one.access)).status, 204);
    assert_eq!(refresh(&stack, &two.refresh).problem(), "invalid_refresh_token");
    Tokens::of(&refresh(&stack, &three.refresh));

    let path = format!("/api/users/{eve}/sessions");
    assert_eq!(stack.send(&get(&path).bearer(&one.access)).problem(), "insufficient_scope");
    assert_eq!(stack.send(&get(&path).bearer(&admin)).json().as_array().unwrap().len(), 2);
    assert_eq!(stack.send(&call("DELETE", &path).bearer(&admin)).status, 204);
    assert_eq!(refresh(&stack, &one.refresh).problem(), "invalid_refresh_token");
}

#[test]
fn nobody_reads_the_feed_of_ended_sessions_through_the_gateway() {
    let (stack, _folder) = Stack::new();
    let answer = stack.send(&get("/internal/sessions/ended").bearer(&stack.token("admin")));
    assert_eq!(answer.problem(), "not_found");
    assert_eq!(get("/internal/sessions/ended").send(stack.users).problem(), "assertion_invalid");
}
