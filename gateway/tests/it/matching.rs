//! Routes by host and header, changes to headers, and web pages of other origins: over real sockets.

use chassis::testing::{Answer, Call, call, exchange, get};

use crate::fixture::{Gateway, Upstream, token};

/// The values of a header, by its name in lower case.
fn all<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
}

#[test]
fn a_route_may_be_for_one_host_and_for_one_version() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(
        &upstream,
        "  - {route: GET /x, to: u, auth: public, rewrite: /any}\n  \
           - {route: GET /x, when: {host: api.example.com}, to: u, auth: public, rewrite: /api}\n  \
           - {route: GET /x, when: {host: '*.example.com'}, to: u, auth: public, rewrite: /below}\n  \
           - {route: GET /x, when: {headers: {X-Version: '2'}}, to: u, auth: public, rewrite: /two}\n",
    );
    let raw = |host: &str, more: &str| {
        let request = format!("GET /x HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n");
        let answer = exchange(gateway.addr(), request.as_bytes());
        answer.json()["line"].as_str().unwrap().to_owned()
    };
    for (host, more, path) in [
        ("other.org", "", "/any"),
        ("API.example.com:80", "", "/api"),
        ("www.example.com", "x-version: 2\r\n", "/below"),
        ("a.b.example.com", "", "/any"),
        ("other.org", "x-version: 2\r\n", "/two"),
        ("other.org", "x-version: 3\r\n", "/any"),
        ("other.org", "x-version: 2\r\nx-version: 2\r\n", "/any"),
    ] {
        assert_eq!(raw(host, more), format!("GET {path} HTTP/1.1"), "{host} {more:?}");
    }
}

#[test]
fn headers_are_changed_in_both_directions() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nServer: secret\r\nX-Frame-Options: SAMEORIGIN\r\nCache-Control: private\r\n\r\n",
    );
    let sections = "upstreams: {u: {targets: [\"${U}\"]}}\n\
        defaults: {request_headers: {set: {x-from: \"${NAME}\"}}, response_headers: {remove: server}}\n\
        routes:\n  - route: GET /x\n    to: u\n    auth: public\n    \
        request_headers: {add: {x-tag: b}, remove: [x-secret]}\n    \
        response_headers: {set: {X-Frame-Options: DENY}, add: {cache-control: no-transform}}\n";
    let environment = [("U", format!("http://{}", upstream.addr)), ("NAME", "gateway".to_owned())];
    let gateway = Gateway::start(sections, &environment);
    let call = get("/x").header("X-From", "client").header("X-Tag", "a").header("X-Secret", "1");
    let answer = call.send(gateway.addr());
    let received = upstream.only();
    assert_eq!(received.header("x-from"), ["gateway"]);
    assert_eq!(received.header("x-tag"), ["a", "b"]);
    assert_eq!(received.header("x-secret"), [""; 0]);
    assert_eq!(all(&answer, "server"), [""; 0]);
    assert_eq!(all(&answer, "x-frame-options"), ["DENY"]);
    assert_eq!(all(&answer, "cache-control"), ["private", "no-transform"]);
}

#[test]
fn headers_of_an_answer_that_a_hook_made_are_changed_too() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 29\r\n\r\n{\"id\": 7, \"user_type\": \"def\"}");
    let gateway = Gateway::before(
        &upstream,
        "  - {route: POST /login, to: u, auth: public, then: issue-token, response_headers: {set: {x-a: b}}}\n",
    );
    let answer = call("POST", "/login").send(gateway.addr());
    assert_eq!((answer.status, all(&answer, "x-a")), (201, vec!["b"]), "{}", answer.text());
}

const CORS_ROUTES: &str = "  - {route: 'GET,POST /x', to: u, auth: signed-in, \
    cors: {origins: ['https://app.example.com'], headers: [authorization, x-version], expose: [etag], credentials: true}}\n  \
    - {route: '* /open', to: u, auth: public, cors: {origins: '*', max_age: 5s}}\n  \
    - {route: GET /none, to: u, auth: public}\n";

fn preflight(path: &str, origin: &str, method: &str) -> Call {
    call("OPTIONS", path).header("Origin", origin).header("Access-Control-Request-Method", method)
}

#[test]
fn preflight_requests_are_answered_before_anybody_is_asked_who_they_are() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(&upstream, CORS_ROUTES);
    let answer = preflight("/x", "https://app.example.com", "POST").send(gateway.addr());
    assert_eq!(answer.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example.com"),
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-headers", "authorization, x-version"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "600"),
    ] {
        assert_eq!(all(&answer, name), [value], "{name}");
    }
    assert!(all(&answer, "vary").iter().any(|value| value.eq_ignore_ascii_case("origin")));

    let open = preflight("/open", "https://any.example", "DELETE").send(gateway.addr());
    assert_eq!((open.status, all(&open, "access-control-allow-origin")), (204, vec!["*"]));
    assert_eq!(all(&open, "access-control-max-age"), ["5"]);

    let other = preflight("/x", "https://evil.example", "GET").send(gateway.addr());
    assert_eq!((other.status, all(&other, "access-control-allow-origin").len()), (204, 0));
    let none = preflight("/none", "https://app.example.com", "GET").send(gateway.addr());
    assert_eq!((none.status, all(&none, "allow")), (204, vec!["GET, HEAD, OPTIONS"]), "a plain OPTIONS");
    assert!(upstream.received().is_empty(), "no preflight request reaches an upstream");
}

#[test]
fn answers_and_refusals_say_which_page_may_read_them() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAccess-Control-Allow-Origin: *\r\nVary: Accept\r\n\r\n",
    );
    let gateway = Gateway::before(&upstream, CORS_ROUTES);
    let from = |origin: &str| get("/x").header("Origin", origin);
    let refused = from("https://app.example.com").send(gateway.addr());
    assert_eq!((refused.status, all(&refused, "access-control-allow-origin")), (401, vec!["https://app.example.com"]));
    let token = token(7, "default");
    let answer = from("https://app.example.com").bearer(&token).send(gateway.addr());
    assert_eq!(answer.status, 200);
    assert_eq!(all(&answer, "access-control-allow-origin"), ["https://app.example.com"], "ours alone");
    assert_eq!(all(&answer, "access-control-expose-headers"), ["etag"]);
    assert_eq!(all(&answer, "vary"), ["Accept", "origin"]);
    for call in [from("https://evil.example").bearer(&token), get("/x").bearer(&token)] {
        let answer = call.send(gateway.addr());
        assert_eq!((answer.status, all(&answer, "access-control-allow-origin").len()), (200, 0));
    }
}
