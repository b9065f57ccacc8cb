//! HTTP: methods, media types, limits, one shape of error; health and metrics.

use chassis::testing::{call, exchange, get, post};
use serde_json::json;

use crate::fixture::{ADMIN, GATEWAY, Users};

#[test]
fn another_method_is_answered_with_those_that_exist() {
    let users = Users::demo();
    for (path, allow, other) in [
        ("/api/login", "POST, OPTIONS", "GET"),
        ("/api/token/refresh", "POST, OPTIONS", "GET"),
        ("/api/logout", "POST, OPTIONS", "GET"),
        ("/api/sessions", "GET, HEAD, OPTIONS", "POST"),
        ("/api/sessions/AAAAAAAAAAAAAAAAAAAAAA", "DELETE, OPTIONS", "GET"),
        ("/api/users/3/sessions", "GET, HEAD, DELETE, OPTIONS", "POST"),
        ("/internal/sessions/ended", "GET, OPTIONS", "POST"),
        ("/api/me", "GET, HEAD, PATCH, OPTIONS", "DELETE"),
        ("/api/me/password", "POST, OPTIONS", "PUT"),
        ("/api/users", "GET, HEAD, POST, OPTIONS", "DELETE"),
        ("/api/users/1", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS", "POST"),
        ("/api/users/3/password", "POST, OPTIONS", "GET"),
        ("/openapi.json", "GET, HEAD, OPTIONS", "PUT"),
        ("/health/ready", "GET, HEAD, OPTIONS", "POST"),
    ] {
        let refused = users.admin(call(other, path));
        assert_eq!((refused.status, refused.problem().as_str()), (405, "method_not_allowed"), "{path}");
        assert_eq!(refused.header("allow"), Some(allow), "{path}");
        let options = users.admin(call("OPTIONS", path));
        assert_eq!(
            (options.status, options.header("allow"), options.text().as_str()),
            (204, Some(allow), ""),
            "{path}"
        );
    }
}

#[test]
fn head_is_get_without_the_body() {
    let users = Users::demo();
    for path in ["/api/me", "/api/users", "/api/users/1", "/openapi.json", "/health/live", "/health/ready"] {
        let (head, get) = (users.admin(call("HEAD", path)), users.admin(get(path)));
        assert_eq!((head.status, head.text().as_str()), (200, ""), "{path}");
        for header in ["content-type", "content-length", "etag"] {
            assert_eq!(head.header(header), get.header(header), "{path} {header}");
        }
    }
}

#[test]
fn an_address_that_names_nothing_is_not_found() {
    let users = Users::demo();
    for path in [
        "/",
        "/api",
        "/api/users/",
        "/api/users/99",
        "/api/users/none",
        "/api/users/01",
        "/api/users/+1",
        "/api/users/1.0",
        "/api/users/99999999999999999999",
        "/api/users/1/",
        "/api/Users",
        "/api/login/",
        "/api/me/",
    ] {
        let answer = users.admin(get(path));
        assert_eq!((answer.status, answer.problem().as_str()), (404, "not_found"), "{path}");
        assert_eq!(answer.json()["instance"], path);
    }
}

#[test]
fn a_body_is_json_of_a_limited_size() {
    let users = Users::demo();
    for (method, path) in [
        ("POST", "/api/login"),
        ("POST", "/api/users"),
        ("PUT", "/api/users/3"),
        ("PATCH", "/api/users/3"),
        ("PATCH", "/api/me"),
        ("POST", "/api/me/password"),
        ("POST", "/api/users/3/password"),
    ] {
        let send = |media_type: &str, body: &[u8]| users.admin(call(method, path).body(media_type, body));
        let form = send("application/x-www-form-urlencoded", b"username=admin&password=a");
        assert_eq!((form.status, form.problem().as_str()), (415, "unsupported_media_type"), "{path}");
        assert!(form.json()["detail"].as_str().unwrap().contains("-H 'Content-Type: application/json'"));
        for sent in [
            "application/json; charset=utf-16",
            "application/json;charset=\"ISO-8859-1\"",
            "application/json-patch+json",
        ] {
            assert_eq!(send(sent, b"{}").problem(), "unsupported_media_type", "{path} {sent}");
        }
        let merge_patch = send("application/merge-patch+json", b"{");
        let expected = if method == "PATCH" { "malformed_json" } else { "unsupported_media_type" };
        assert_eq!(merge_patch.problem(), expected, "{method} {path}");
        let repeated = send("application/json", br#"{"username": "ann", "password": "a", "username": "bob"}"#);
        assert_eq!((repeated.status, repeated.problem().as_str()), (400, "malformed_json"), "{path}");
        assert!(repeated.text().contains("the key `username` is given more than once"), "{}", repeated.text());
        for broken in [&b"{"[..], b"nonsense", b"{\"a\": \xff}", b"{}{}"] {
            let answer = send("application/json", broken);
            assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed_json"), "{path} {broken:?}");
        }
        assert_eq!(users.admin(call(method, path)).status, 415, "{path}");
        let large = send("application/json", &vec![b' '; 64 * 1024 + 1]);
        assert_eq!((large.status, large.problem().as_str()), (413, "payload_too_large"), "{path}");
        assert_eq!(send("application/json", b"[]").problem(), "validation_failed", "{path}");
    }
    for sent in ["application/json; charset=utf-8", "application/json; charset=\"UTF-8\"", "Application/Hal+JSON"] {
        let charset = call("PATCH", "/api/users/3").body(sent, b"{\"full_name\": \"T\"}");
        assert_eq!(users.admin(charset).status, 200, "{sent}");
    }
}

#[test]
fn a_body_without_a_length_is_limited_too() {
    let users = Users::demo();
    let head = format!(
        "POST /api/users HTTP/1.1\r\nHost: u\r\nConnection: close\r\nContent-Type: application/json\r\n\
         gateway-assertion: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        GATEWAY.sign(&ADMIN.assertion())
    );
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let answer = exchange(users.addr(), format!("{head}{}0\r\n\r\n", chunk.repeat(2)).as_bytes());
    assert_eq!((answer.status, answer.problem().as_str()), (413, "payload_too_large"));
}

#[test]
fn a_request_keeps_its_id() {
    let users = Users::demo();
    let answer = users.admin(get("/api/users/99").header("x-request-id", "mine-7"));
    assert_eq!(answer.json()["request_id"], "mine-7");
    assert_eq!(users.get(1).header("x-request-id").map(str::len), Some(32));
}

#[test]
fn health_and_metrics_need_no_caller() {
    let users = Users::demo();
    assert_eq!(users.send(&get("/health/live")).status, 200);
    let ready = users.send(&get("/health/ready"));
    assert_eq!((ready.status, ready.json()), (200, json!({"status": "ready", "checks": {"store": "ok"}})));
    users.create("ann");
    users.login("nobody", "x");
    assert_eq!(users.metric("users_store_batch_size_count"), 1.0);
    assert!(users.metric("users_store_fsync_duration_seconds_count") >= 4.0);
    assert!(users.metric("users_bcrypt_seconds_count") >= 2.0);
    assert_eq!(users.metric("users_store_writes_waiting"), 0.0);
    assert_eq!(users.metric("users_store_writes_waiting_max"), 1024.0);
    assert_eq!(users.metric("users_bcrypt_wait_seconds_count"), users.metric("users_bcrypt_seconds_count"));
    assert!(users.metric("users_bcrypt_waiting_max") >= 33.0);
    assert!(users.metric("process_start_time_seconds") > 1_700_000_000.0);
    let text = users.send(&get("/metrics")).text();
    assert!(text.contains("route=\"/api/users\""), "{text}");
    assert!(text.contains("\n# TYPE http_requests_total counter\n") && !text.contains("# EOF"), "{text}");
    assert_eq!(users.send(&GATEWAY.signed(post("/metrics", &json!({})), None)).status, 405);
}

#[test]
fn metrics_are_in_the_format_that_is_asked_for() {
    let users = Users::demo();
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let prometheus = "text/plain; version=0.0.4; charset=utf-8";
    for (accept, content_type) in [
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", openmetrics),
        ("text/plain;version=0.0.4", prometheus),
        ("*/*", prometheus),
    ] {
        let answer = users.send(&get("/metrics").header("Accept", accept));
        assert_eq!(
            (answer.header("content-type"), answer.header("vary")),
            (Some(content_type), Some("Accept")),
            "{accept}"
        );
        assert_eq!(answer.text().ends_with("\n# EOF\n"), content_type == openmetrics, "{accept}");
    }
}
