//! Who may pass, and how a refusal is worded (RFC 6750).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::{
    config::Secret,
    identity::{Assertion, AssertionVerifier},
    testing::{Received, get, post},
};
use serde_json::{Value, json};

use crate::fixture::{Gateway, Upstream, own_token, token, token_of};

const ROUTES: &str = "  - {route: GET /private, to: u, auth: signed-in}\n  \
                      - {route: GET /admin, to: u, auth: {user_type: admin}}\n";

#[test]
fn a_token_opens_what_its_claims_allow() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(&upstream, ROUTES);
    let (admin, other) = (token(1, "admin"), token(2, "default"));
    assert_eq!(get("/private").bearer(&other).send(gateway.addr()).status, 200);
    assert_eq!(get("/admin").bearer(&admin).send(gateway.addr()).status, 200);
    let denied = get("/admin").bearer(&other).send(gateway.addr());
    assert_eq!((denied.status, denied.problem().as_str()), (403, "insufficient_scope"));
    let challenge = denied.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
}

#[test]
fn a_missing_token_and_a_bad_one_are_challenged_differently() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(&upstream, ROUTES);
    let good = token(1, "admin");
    for (field, status, code, challenge) in [
        (None, 401, "token_missing", "Bearer realm=\"api\""),
        (Some("Basic YTpi".to_owned()), 401, "token_missing", "Bearer realm=\"api\""),
        (Some(good.clone()), 401, "token_missing", "Bearer realm=\"api\""),
        (Some("Bearer abc".to_owned()), 401, "token_invalid", "Bearer realm=\"api\", error=\"invalid_token\""),
        (Some(format!("Bearer {good}x")), 401, "token_invalid", "Bearer realm=\"api\", error=\"invalid_token\""),
    ] {
        let mut call = get("/private");
        if let Some(field) = &field {
            call = call.header("Authorization", field);
        }
        let answer = call.send(gateway.addr());
        assert_eq!((answer.status, answer.problem().as_str()), (status, code), "{field:?}");
        assert_eq!(answer.header("www-authenticate"), Some(challenge), "{field:?}");
    }
    let twice = get("/private").bearer(&good).bearer(&good).send(gateway.addr());
    assert_eq!((twice.status, twice.problem().as_str()), (400, "bad_request"));
    assert!(twice.header("www-authenticate").unwrap().contains("error=\"invalid_request\""));
    for field in [format!("bearer {good}"), format!("BEARER  {good}")] {
        assert_eq!(get("/private").header("Authorization", &field).send(gateway.addr()).status, 200);
    }
    assert_eq!(upstream.received().len(), 2);
}

#[test]
fn a_login_becomes_a_token_that_must_not_be_cached() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 48\r\n\r\n{\"id\": 7, \"user_type\": \"admin\", \"username\": \"x\"}",
    );
    let gateway = Gateway::before(&upstream, "  - {route: POST /login, to: u, auth: public, then: issue-token}\n");
    let answer = post("/login", &json!({})).send(gateway.addr());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("bearer"), &json!(60)));
    assert_eq!(body.as_object().unwrap().len(), 3, "no refresh token without a session: {body}");
    assert_eq!(token_of(&answer).split('.').count(), 3);
}

#[test]
fn a_refused_login_passes_unchanged_and_a_strange_answer_does_not() {
    let login = "  - {route: POST /login, to: u, auth: public, then: issue-token}\n";
    let refusing = Upstream::answering("HTTP/1.1 401 Unauthorized\r\nX-Own: 1\r\nContent-Length: 2\r\n\r\nno");
    let answer = post("/login", &json!({})).send(Gateway::before(&refusing, login).addr());
    assert_eq!((answer.status, answer.text().as_str(), answer.header("x-own")), (401, "no", Some("1")));
    let strange = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let answer = post("/login", &json!({})).send(Gateway::before(&strange, login).addr());
    assert_eq!((answer.status, answer.problem().as_str()), (502, "upstream_invalid"));
}

#[test]
fn an_upstream_that_asks_for_it_gets_a_signed_assertion() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(
        &format!(
            "upstreams: {{u: {{targets: [\"http://{}\"], assertion: users}}}}\nroutes:\n{ROUTES}  \
                  - {{route: GET /public, to: u, auth: public}}\n",
            upstream.addr
        ),
        &[("USERS_INTERNAL_KEY", "k".repeat(32))],
    );
    get("/private").bearer(&token(7, "default")).send(gateway.addr());
    get("/public").send(gateway.addr());
    let verifier = AssertionVerifier::new("users", &Secret::new("k".repeat(32))).unwrap();
    let assertions: Vec<_> = upstream.received().iter().map(|received| asserted(&verifier, received)).collect();
    assert_eq!(assertions[0].sub.as_deref(), Some("7"));
    assert_eq!(assertions[0].user_type.as_deref(), Some("default"));
    assert_eq!(assertions[0].client_ip, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(assertions[1].sub, None, "nobody is signed in on a public route");
}

/// What the gateway says about the caller of this request.
fn asserted(verifier: &AssertionVerifier, received: &Received) -> Assertion {
    let mut headers = actix_http::header::HeaderMap::new();
    for name in ["gateway-assertion", "request-user-id", "request-user-type"] {
        for value in received.header(name) {
            headers.append(name.parse().unwrap(), value.parse().unwrap());
        }
    }
    verifier.verify(&headers).unwrap()
}

fn claims_in(token: &str) -> Value {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

/// Signs in before an upstream that opens this session, and returns the answer and the claims of its token.
fn signed_in(session: &Value) -> (Value, Value) {
    let user = json!({"id": 7, "user_type": "admin", "session": session}).to_string();
    let upstream = Upstream::start(move |_| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{user}", user.len()).into_bytes()
    });
    let gateway = Gateway::before(&upstream, "  - {route: POST /login, to: u, auth: public, then: issue-token}\n");
    let answer = post("/login", &json!({})).send(gateway.addr());
    (answer.json(), claims_in(&token_of(&answer)))
}

#[test]
fn a_login_that_opens_a_session_gives_a_token_of_it() {
    let session = |more: Value| {
        let mut session =
            json!({"id": "xT4kq0pJw3bqVvQm2fYh1A", "authenticated_at": 1_767_225_600, "methods": ["pwd", "otp"]});
        session.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        session
    };
    let (answer, claims) = signed_in(&session(json!({"expires_in": 604_800, "refresh_token": "r1"})));
    assert_eq!((&answer["refresh_token"], &answer["refresh_expires_in"]), (&json!("r1"), &json!(604_800)));
    assert_eq!(claims["sid"], "xT4kq0pJw3bqVvQm2fYh1A");
    assert_eq!((&claims["auth_time"], &claims["amr"]), (&json!(1_767_225_600), &json!(["pwd", "otp"])));
    assert_eq!((&answer["expires_in"], validity(&claims)), (&json!(60), 60));

    let (answer, claims) = signed_in(&session(json!({"expires_in": 20})));
    assert_eq!((&answer["expires_in"], validity(&claims)), (&json!(20), 20), "a token does not outlive its session");
    assert_eq!(answer.as_object().unwrap().len(), 3, "no refresh token where the service gives none: {answer}");

    let (_, claims) = signed_in(&Value::Null);
    assert!(claims["sid"].is_string() && claims["auth_time"].is_null() && claims["amr"].is_null(), "{claims}");
}

fn validity(claims: &Value) -> u64 {
    claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap()
}

#[test]
fn services_learn_how_and_when_the_caller_signed_in() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(
        &format!("upstreams: {{u: {{targets: [\"http://{}\"], assertion: users}}}}\nroutes:\n{ROUTES}", upstream.addr),
        &[("USERS_INTERNAL_KEY", "k".repeat(32))],
    );
    let verifier = AssertionVerifier::new("users", &Secret::new("k".repeat(32))).unwrap();
    for claims in [json!({"sid": "s", "auth_time": 5, "amr": ["pwd", "mfa"]}), json!({"auth_time": "x", "amr": [1]})] {
        assert_eq!(get("/private").bearer(&own_token(&claims)).send(gateway.addr()).status, 200);
    }
    let [known, strange] = upstream.received().try_into().unwrap();
    let expected = Assertion {
        sub: Some("7".to_owned()),
        sid: Some("s".to_owned()),
        auth_time: Some(5),
        amr: vec!["pwd".to_owned(), "mfa".to_owned()],
        client_ip: Some("127.0.0.1".parse().unwrap()),
        user_type: None,
    };
    assert_eq!(asserted(&verifier, &known), expected);
    let expected = Assertion { sid: None, auth_time: None, amr: Vec::new(), ..expected };
    assert_eq!(asserted(&verifier, &strange), expected, "what is not as the standards say is left out");
}
