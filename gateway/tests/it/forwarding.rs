//! What goes out and what comes back: paths, headers, bodies, failures.

use std::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use chassis::testing::{Call, Received, call, exchange, exchange_raw, get, post};
use serde_json::json;

use crate::fixture::{Gateway, Upstream, token};

const ANY: &str = "  - {route: \"* /{path...}\", to: u, auth: public}\n";

#[test]
fn the_path_that_is_matched_is_the_path_that_is_sent() {
    let upstream = Upstream::echo();
    let routes = "  - {route: \"* /files/{path...}\", to: u, auth: public, rewrite: \"/store/{path}\"}\n  \
                  - {route: \"GET /{a}/x\", to: u, auth: public}\n";
    let gateway = Gateway::before(&upstream, routes);
    for (sent, line) in [
        ("/files/a/b?x=1&y=%2F", "GET /store/a/b?x=1&y=%2F HTTP/1.1"),
        ("/files/%61/../b", "GET /store/b HTTP/1.1"),
        ("/%66iles//c/", "GET /store/c/ HTTP/1.1"),
        ("/a%20b/x", "GET /a%20b/x HTTP/1.1"),
    ] {
        let answer = get(sent).send(gateway.addr());
        assert_eq!(answer.status, 200, "{sent}: {}", answer.text());
        assert_eq!(answer.json()["line"], line, "{sent}");
    }
    for sent in ["/files/a%2Fb", "/files/%00", "/files/%zz", "/files/a%5cb"] {
        let answer = get(sent).send(gateway.addr());
        assert_eq!((answer.status, answer.problem().as_str()), (400, "bad_request"), "{sent}");
    }
    assert_eq!(get("/files/../secret").send(gateway.addr()).status, 404);
}

#[test]
fn a_rewritten_path_begins_with_one_slash() {
    let upstream = Upstream::echo();
    let routes = "  - {route: \"GET /kept/{path...}\", to: u, auth: public, rewrite: \"/{path}\", \
                  path: {merge_slashes: false}}\n  \
                  - {route: \"GET /plain/{path...}\", to: u, auth: public, rewrite: \"/{path}/end\"}\n";
    let gateway = Gateway::before(&upstream, routes);
    for (sent, line) in [
        ("/kept//evil.example/x", "GET /evil.example/x HTTP/1.1"),
        ("/kept////evil.example//x?y=//z", "GET /evil.example//x?y=//z HTTP/1.1"),
        ("/kept//", "GET / HTTP/1.1"),
        ("/kept/a//b", "GET /a//b HTTP/1.1"),
        ("/plain/", "GET /end HTTP/1.1"),
        ("/plain/a", "GET /a/end HTTP/1.1"),
    ] {
        let answer = get(sent).send(gateway.addr());
        assert_eq!(answer.status, 200, "{sent}: {}", answer.text());
        assert_eq!(answer.json()["line"], line, "{sent}");
    }
}

#[test]
fn an_alias_is_applied_before_matching() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(
        "aliases: {/api/v1: /api}\nupstreams: {u: {targets: [\"${U}\"]}}\nroutes:\n  - {route: GET /api/x, to: u, auth: public}\n",
        &[("U", format!("http://{}", upstream.addr))],
    );
    assert_eq!(get("/api/v1/x").send(gateway.addr()).json()["line"], "GET /api/x HTTP/1.1");
    assert_eq!(get("/api/v1x/x").send(gateway.addr()).status, 404);
}

#[test]
fn identity_headers_never_come_from_the_client() {
    let upstream = Upstream::echo();
    let routes = "  - {route: GET /public, to: u, auth: public}\n  - {route: GET /private, to: u, auth: signed-in}\n";
    let gateway = Gateway::before(&upstream, routes);
    let spoofed = |path: &str| {
        get(path)
            .header("request-user-id", "1")
            .header("Request-User-ID", "1")
            .header("Request_User_Id", "1")
            .header("REQUEST-USER_TYPE", "admin")
            .header("Gateway-Assertion", "forged")
            .header("gateway_assertion", "forged")
            .header("X-Other", "kept")
    };
    assert_eq!(spoofed("/public").send(gateway.addr()).status, 200);
    assert_eq!(spoofed("/private").bearer(&token(7, "default")).send(gateway.addr()).status, 200);
    let [public, private] = upstream.received().try_into().unwrap();
    let names = |received: &Received| {
        let about_identity = |name: &&String| name.contains("user") || name.contains("assertion");
        received.headers.iter().map(|(name, _)| name).filter(about_identity).cloned().collect::<Vec<_>>()
    };
    assert_eq!(names(&public), [""; 0]);
    assert_eq!(public.header("x-other"), ["kept"]);
    assert_eq!(private.header("request-user-id"), ["7"]);
    assert_eq!(private.header("request-user-type"), ["default"]);
    let mut names = names(&private);
    names.sort();
    assert_eq!(names, ["request-user-id", "request-user-type"]);
}

#[test]
fn connection_options_cannot_remove_what_the_gateway_adds() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(&upstream, "  - {route: GET /x, to: u, auth: signed-in}\n");
    let head = format!(
        "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close, request-user-id, x-request-id, x-gone\r\nX-Gone: 1\r\n\
         Authorization: Bearer {}\r\n\r\n",
        token(7, "admin")
    );
    assert_eq!(exchange(gateway.addr(), head.as_bytes()).status, 200);
    let received = upstream.only();
    assert_eq!(received.header("request-user-id"), ["7"]);
    assert_eq!(received.header("x-request-id").len(), 1);
    assert_eq!(received.header("x-gone"), [""; 0]);
    assert_eq!(received.header("connection"), [""; 0]);
}

#[test]
fn the_token_goes_no_further_than_the_gateway() {
    let upstream = Upstream::echo();
    let routes = "  - {route: GET /used, to: u, auth: signed-in}\n  \
                  - {route: GET /kept, to: u, auth: signed-in, forward_authorization: true}\n  \
                  - {route: GET /public, to: u, auth: public}\n";
    let gateway = Gateway::before(&upstream, routes);
    let token = token(7, "admin");
    for path in ["/used", "/kept", "/public"] {
        assert_eq!(get(path).bearer(&token).send(gateway.addr()).status, 200, "{path}");
    }
    let counts: Vec<usize> = upstream.received().iter().map(|r| r.header("authorization").len()).collect();
    assert_eq!(counts, [0, 1, 1]);
}

#[test]
fn the_request_says_where_it_comes_from() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(&upstream, ANY);
    let answer = get("/x")
        .header("X-Forwarded-For", "6.6.6.6")
        .header("Forwarded", "for=6.6.6.6")
        .header("X-Request-Id", "abc-1")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .send(gateway.addr());
    assert_eq!(answer.header("x-request-id"), Some("abc-1"));
    let received = upstream.only();
    assert_eq!(received.header("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(received.header("x-forwarded-proto"), ["http"]);
    assert_eq!(received.header("x-forwarded-host"), [gateway.addr().to_string()]);
    assert_eq!(received.header("forwarded"), [""; 0]);
    assert_eq!(received.header("x-request-id"), ["abc-1"]);
    assert_eq!(received.header("host"), [upstream.addr.to_string()]);
    assert!(received.header("traceparent")[0].starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert_eq!(received.header("content-length"), [""; 0], "a GET has no body");
}

/// Names in which upstreams look for what a proxy says about the client.
const FORWARDING_FIELDS: [&str; 16] = [
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "X-Forwarded-Scheme",
    "X-Forwarded-Ssl",
    "X-Forwarded-User",
    "X-Forwarded-Uri",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Another",
    "X-Real-Ip",
    "X-Client-Ip",
    "True-Client-Ip",
    "X-Client-Cert",
    "Client-Cert",
    "X-Original-Url",
    "Ssl-Client-Verify",
];

fn with_forwarding_fields(path: &str) -> Call {
    let call = FORWARDING_FIELDS.iter().fold(get(path), |call, name| call.header(name, "6.6.6.6"));
    let misspelt = |call: Call, name: &str| call.header(&name.replace('-', "_"), "6.6.6.6");
    let call = FORWARDING_FIELDS.iter().fold(call, |call, name| misspelt(call, name));
    let call = call.header("X-Forwarded_For", "6.6.6.6").header("x.forwarded.proto", "6.6.6.6");
    call.header("Forwarded", "for=6.6.6.6").header("X-Forwarded-For", "7.7.7.7")
}

/// The names of the fields with what [`with_forwarding_fields`] sends, in order.
fn forged(received: &Received) -> Vec<&str> {
    let mut names: Vec<&str> =
        received.headers.iter().filter(|(_, value)| value.contains("6.6.6.6")).map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn only_a_trusted_proxy_describes_the_client() {
    let upstream = Upstream::echo();
    let stranger = Gateway::before(&upstream, ANY);
    assert_eq!(with_forwarding_fields("/x").send(stranger.addr()).status, 200);
    let received = upstream.only();
    assert_eq!(forged(&received), [""; 0]);
    assert_eq!(received.header("x-forwarded-for"), ["127.0.0.1"]);
}

#[test]
fn what_a_trusted_proxy_says_is_passed_on_but_no_other_spelling_of_it() {
    let upstream = Upstream::echo();
    let trusting = Gateway::start(
        "trusted_proxies: [127.0.0.0/8]\nupstreams: {u: {targets: [\"${U}\"]}}\nroutes:\n  \
         - {route: \"* /{path...}\", to: u, auth: public}\n",
        &[("U", format!("http://{}", upstream.addr))],
    );
    assert_eq!(with_forwarding_fields("/x").send(trusting.addr()).status, 200);
    let received = upstream.only();
    let mut passed_on = FORWARDING_FIELDS.map(str::to_ascii_lowercase);
    passed_on.sort_unstable();
    assert_eq!(forged(&received), passed_on);
    assert_eq!(received.header("x-forwarded-for"), ["7.7.7.7", "127.0.0.1"]);
    assert_eq!(received.header("forwarded"), [""; 0], "its next hop would be missing");
}

#[test]
fn bodies_go_through_with_their_framing() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(&upstream, ANY);
    assert_eq!(post("/sized", &json!({"a": 1})).send(gateway.addr()).status, 200);
    let chunked = "POST /chunked HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(exchange(gateway.addr(), chunked.as_bytes()).status, 200);
    let [sized, chunked] = upstream.received().try_into().unwrap();
    assert_eq!((sized.body.as_slice(), sized.header("content-length")), (&b"{\"a\":1}"[..], vec!["7"]));
    assert_eq!((chunked.body.as_slice(), chunked.header("transfer-encoding")), (&b"abcde"[..], vec!["chunked"]));
}

#[test]
fn an_answer_comes_back_as_the_service_gave_it() {
    let upstream = Upstream::answering(
        "HTTP/1.1 418 Teapot\r\nContent-Type: text/x\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Own: 1\r\n\
         Connection: x-hop\r\nX-Hop: 1\r\nContent-Length: 3\r\n\r\ntea",
    );
    let gateway = Gateway::before(&upstream, ANY);
    let answer = get("/x").send(gateway.addr());
    assert_eq!((answer.status, answer.text().as_str()), (418, "tea"));
    let cookies: Vec<_> = answer.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, v)| v).collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(answer.header("content-type"), Some("text/x"));
    assert_eq!(answer.header("x-own"), Some("1"));
    assert_eq!(answer.header("x-hop"), None);
}

#[test]
fn redirects_and_missing_types_are_passed_on_untouched() {
    let upstream = Upstream::answering("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 2\r\n\r\nok");
    let gateway = Gateway::before(&upstream, ANY);
    let answer = get("/x").send(gateway.addr());
    assert_eq!((answer.status, answer.header("location")), (302, Some("/elsewhere")));
    assert_eq!(answer.header("content-type"), None);
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn head_has_the_length_and_no_body() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
    let gateway = Gateway::before(&upstream, "  - {route: GET /x, to: u, auth: public}\n");
    let answer = call("HEAD", "/x").send(gateway.addr());
    assert_eq!((answer.status, answer.header("content-length"), answer.body.len()), (200, Some("1234"), 0));
    assert_eq!(upstream.only().line, "HEAD /x HTTP/1.1");
}

#[test]
fn a_client_of_http_1_0_gets_no_chunks() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    let gateway = Gateway::before(&upstream, ANY);
    let raw = exchange_raw(gateway.addr(), b"GET /x HTTP/1.0\r\nHost: a\r\n\r\n");
    let text = String::from_utf8_lossy(&raw);
    assert!(text.ends_with("\r\n\r\nabc"), "{text}");
    assert!(!text.to_ascii_lowercase().contains("chunked"), "{text}");
}

#[test]
fn an_unknown_path_is_404_and_an_unknown_method_405() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(&upstream, "  - {route: \"GET,POST /x\", to: u, auth: signed-in}\n");
    let unknown = get("/y").send(gateway.addr());
    assert_eq!((unknown.status, unknown.problem().as_str()), (404, "not_found"));
    assert_eq!(get("/x/").send(gateway.addr()).status, 404);
    let method = call("DELETE", "/x").send(gateway.addr());
    assert_eq!((method.status, method.problem().as_str()), (405, "method_not_allowed"));
    assert_eq!(method.header("allow"), Some("GET, HEAD, POST, OPTIONS"));
    let options = call("OPTIONS", "/x").send(gateway.addr());
    assert_eq!((options.status, options.header("allow")), (204, Some("GET, HEAD, POST, OPTIONS")));
    assert!(upstream.received().is_empty());
}

#[test]
fn failures_of_the_upstream_have_each_their_code() {
    let routes = "  - {route: \"* /{path...}\", to: u, auth: public, timeout: {head: 300ms}}\n";
    let slow = Upstream::start(|_| {
        thread::park_timeout(Duration::from_secs(20));
        Vec::new()
    });
    let closing = Upstream::answering("");
    let rubbish = Upstream::answering("SSH-2.0-OpenSSH\r\n\r\n");
    for (upstream, status, code) in
        [(&slow, 504, "upstream_timeout"), (&closing, 502, "upstream_unreachable"), (&rubbish, 502, "upstream_invalid")]
    {
        let gateway = Gateway::before(upstream, routes);
        let answer = get("/x").send(gateway.addr());
        assert_eq!((answer.status, answer.problem().as_str()), (status, code));
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway =
        Gateway::start(&format!("upstreams: {{u: {{targets: [\"http://{nobody}\"]}}}}\nroutes:\n{routes}"), &[]);
    let answer = get("/x").send(gateway.addr());
    assert_eq!((answer.status, answer.problem().as_str()), (502, "upstream_unreachable"));
}

#[test]
fn a_lost_connection_is_tried_again_only_where_nothing_can_be_done_twice() {
    let upstream = Upstream::answering("");
    let gateway = Gateway::before(&upstream, ANY);
    assert_eq!(get("/x").send(gateway.addr()).status, 502);
    assert_eq!(upstream.received().len(), 2, "GET is tried twice");
    assert_eq!(post("/x", &json!({})).send(gateway.addr()).status, 502);
    assert_eq!(upstream.received().len(), 3, "POST once");
}

#[test]
fn requests_are_spread_and_a_dead_target_costs_none() {
    let alive = Upstream::echo();
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Gateway::start(
        &format!("upstreams: {{u: {{targets: [\"http://{dead}\", \"http://{}\"]}}}}\nroutes:\n{ANY}", alive.addr),
        &[],
    );
    for _ in 0..6 {
        assert_eq!(post("/x", &json!({})).send(gateway.addr()).status, 200);
    }
}

#[test]
fn an_upstream_at_its_limit_refuses_at_once() {
    let (arrived, arrival) = mpsc::channel::<()>();
    let (release, released) = mpsc::channel::<()>();
    let channels = Mutex::new((arrived, released));
    let upstream = Upstream::start(move |_| {
        let channels = channels.lock().unwrap();
        channels.0.send(()).unwrap();
        channels.1.recv().unwrap();
        b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()
    });
    let gateway = Gateway::start(
        &format!("upstreams: {{u: {{targets: [\"http://{}\"], max_in_flight: 1}}}}\nroutes:\n{ANY}", upstream.addr),
        &[],
    );
    let addr = gateway.addr();
    let first = thread::spawn(move || get("/first").send(addr).status);
    arrival.recv().unwrap();
    let refused = get("/second").send(addr);
    release.send(()).unwrap();
    assert_eq!(refused.problem(), "overloaded");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(first.join().unwrap(), 204);
}
