//! Who may pass, and how a refusal is worded (RFC 6750).

use chassis::{
    config::Secret,
    identity::AssertionVerifier,
    testing::{get, post},
};
use serde_json::json;

use crate::fixture::{Gateway, Upstream, token, token_of};

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
    assert_eq!(body.as_object().unwrap().len(), 3, "no refresh_token yet: {body}");
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
    let assertions: Vec<_> = upstream
        .received()
        .iter()
        .map(|received| {
            let mut headers = actix_http::header::HeaderMap::new();
            for name in ["gateway-assertion", "request-user-id", "request-user-type"] {
                for value in received.header(name) {
                    headers.append(name.parse().unwrap(), value.parse().unwrap());
                }
            }
            verifier.verify(&headers).unwrap()
        })
        .collect();
    assert_eq!(assertions[0].sub.as_deref(), Some("7"));
    assert_eq!(assertions[0].user_type.as_deref(), Some("default"));
    assert_eq!(assertions[0].client_ip, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(assertions[1].sub, None, "nobody is signed in on a public route");
}
