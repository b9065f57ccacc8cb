//! Hooks that are registered in Rust and named in the YAML. The first tests run the example of the documentation.

#[path = "../../examples/hooks.rs"]
#[expect(dead_code, unreachable_pub, reason = "an example has a `main`, and is a crate of its own")]
mod example;

use actix_http::header::{HeaderName, HeaderValue};
use chassis::{
    problem::{Code, Problem},
    testing::{Call, get, post},
};
use gateway::{Gateway as Embedded, bearer};
use serde_json::{Value, json};

use crate::fixture::{Gateway, SECRET, Upstream, own_token};

fn example() -> (Upstream, Gateway) {
    let upstream = Upstream::echo();
    let url = format!("http://{}", upstream.addr);
    let environment = move |name: &str| match name {
        "APP_URL" => Some(url.clone()),
        "GATEWAY_LISTEN" | "GATEWAY_ADMIN_LISTEN" => Some("127.0.0.1:0".to_owned()),
        _ => None,
    };
    let config = example::builder().load_text("hooks.yaml", example::YAML, &environment);
    (upstream, Gateway::of(config.unwrap_or_else(|error| panic!("{error}"))))
}

fn with_key(call: Call, key: &str) -> Call {
    call.header("X-Api-Key", key)
}

#[test]
fn a_decoder_identifies_the_caller() {
    let (upstream, gateway) = example();
    let send = |call: Call| call.send(gateway.addr());
    assert_eq!(send(get("/north")).problem(), "token_missing");
    assert_eq!(send(with_key(get("/north"), "wrong")).problem(), "token_invalid");
    assert_eq!(send(with_key(get("/north"), "key-of-ben")).problem(), "insufficient_scope");
    assert!(upstream.received().is_empty());
    assert_eq!(send(with_key(get("/north"), "key-of-ann")).status, 200);
}

#[test]
fn an_authorizer_decides_and_generated_headers_cannot_be_forged() {
    let (upstream, gateway) = example();
    let send = |path: &str, key: &str| with_key(get(path), key).header("X-Tenant", "forged").send(gateway.addr());
    assert_eq!(send("/files/ben/a", "key-of-ann").problem(), "insufficient_scope");
    assert!(upstream.received().is_empty());
    assert_eq!(send("/files/ann/a", "key-of-ann").status, 200);
    assert_eq!(send("/files/ben/a", "key-of-ben").status, 200);
    let [ann, ben] = upstream.received().try_into().unwrap();
    assert_eq!(ann.header("x-tenant"), ["north"]);
    assert_eq!(ben.header("x-tenant"), [""; 0], "removed where nothing is generated");
}

#[test]
fn a_post_processor_changes_the_answer() {
    let (_upstream, gateway) = example();
    let answer = with_key(get("/items"), "key-of-ann").send(gateway.addr());
    let body = answer.json();
    assert_eq!(body["data"]["line"], "GET /items HTTP/1.1");
    assert_eq!(body["request_id"].as_str(), answer.header("x-request-id"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

const ROUTES: &str = "tokens: {issuer: test, audience: api}\nroutes:\n  \
    - {route: POST /login, to: u, auth: public, then: own-login}\n  \
    - {route: GET /me, to: u, auth: {hook: over-17, country: ch}}\n  \
    - {route: GET /panic, to: u, auth: public, headers_from: [fine, broken]}\n  \
    - {route: GET /stray, to: u, auth: public, headers_from: stray}\n";

fn embedded(upstream: &Upstream) -> Gateway {
    let name = HeaderName::from_static("x-fine");
    let builder = Embedded::builder()
        .post("own-login", |request, mut answer| async move {
            let (token, _) = request.issue_token(7, "own")?;
            answer.body = token.into();
            Ok(answer)
        })
        .authorizer("over-17", |request| async move {
            // Hooks may wait.
            actix_rt::time::sleep(std::time::Duration::from_millis(1)).await;
            let age = request.claims().and_then(|claims| claims.get("age")?.as_u64());
            if age > Some(17) { Ok(()) } else { Err(bearer::insufficient("age")) }
        })
        .headers("fine", std::slice::from_ref(&name), {
            let name = name.clone();
            move |request| {
                let header = (name.clone(), HeaderValue::try_from(request.client_ip.to_string()));
                async move { Ok(vec![(header.0, header.1.map_err(Problem::internal)?)]) }
            }
        })
        .headers("broken", &[], |_| async { panic!("a hook that is broken") })
        .headers("stray", &[], move |_| {
            let header = (name.clone(), HeaderValue::from_static("1"));
            async move { Ok(vec![header]) }
        });
    let yaml = format!(
        "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nupstreams: {{u: {{targets: [\"http://{}\"]}}}}\n{ROUTES}",
        upstream.addr
    );
    let config =
        builder.load_text("test.yaml", &yaml, &|name| (name == "GATEWAY_JWT_SECRET").then(|| SECRET.to_owned()));
    Gateway::of(config.unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn a_hook_may_issue_tokens_and_claims_hold_beside_it() {
    let upstream = Upstream::echo();
    let gateway = embedded(&upstream);
    assert_eq!(post("/login", &json!({})).send(gateway.addr()).text().split('.').count(), 3);
    let status = |claims| {
        let token = own_token(&claims);
        get("/me").bearer(&token).send(gateway.addr()).status
    };
    assert_eq!(status(json!({"age": 18, "country": "ch"})), 200);
    assert_eq!(status(json!({"age": 17, "country": "ch"})), 403);
    assert_eq!(status(json!({"age": 18, "country": "fr"})), 403);
    assert_eq!(get("/me").send(gateway.addr()).status, 401);
}

#[test]
fn a_hook_that_panics_or_sets_an_undeclared_header_is_an_internal_error_and_nothing_is_sent() {
    let upstream = Upstream::echo();
    let gateway = embedded(&upstream);
    // However often: a panic costs its own request and nobody else's.
    for path in ["/panic", "/stray"].repeat(50) {
        let answer = get(path).send(gateway.addr());
        assert_eq!((answer.status, answer.problem().as_str()), (500, Code::Internal.name()), "{path}");
        assert!(!answer.text().contains("broken"), "{}", answer.text());
    }
    assert!(upstream.received().is_empty());
    assert_eq!(get("/me").bearer(&own_token(&json!({"age": 18, "country": "ch"}))).send(gateway.addr()).status, 200);
}

#[test]
fn an_answer_that_a_hook_reads_is_not_compressed() {
    let upstream = Upstream::start(|received| {
        let coding = received.header("accept-encoding").join(", ");
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{coding}", coding.len()).into_bytes()
    });
    let gateway = embedded(&upstream);
    for call in [post("/login", &json!({})), post("/login", &json!({})).header("Accept-Encoding", "gzip, br")] {
        assert_eq!(call.send(gateway.addr()).status, 200);
    }
    let codings: Vec<_> =
        upstream.received().iter().map(|received| received.header("accept-encoding").join(", ")).collect();
    assert_eq!(codings, ["identity", "identity"]);
}

#[test]
fn an_answer_that_is_too_large_or_cut_short_is_not_post_processed() {
    let huge = Upstream::start(|_| {
        let body = vec![b' '; 2 * 1024 * 1024];
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat()
    });
    assert_eq!(post("/login", &json!({})).send(embedded(&huge).addr()).problem(), "upstream_invalid");
    let refusing = Upstream::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let answer = post("/login", &json!({})).send(embedded(&refusing).addr());
    assert_eq!((answer.status, answer.text().as_str()), (403, "no"), "only what succeeded is post-processed");
}

#[test]
fn the_example_of_other_services_is_right() {
    let yaml = include_str!("../../examples/other-services.yaml");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("g.yaml"), yaml).unwrap();
    let checked = crate::commands::gateway(dir.path(), &["check", "g.yaml", "--json"], &[]);
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let public = json!(["GET /{path...}", "GET,POST /intranet/login.php"]);
    assert_eq!((&report["ok"], &report["public"]), (&true.into(), &public), "{report}");
}
