//! The `Host` that upstreams receive, and the addresses in their answers: redirects, cookies, prefixes.

use std::{io::Write, net::TcpListener, sync::mpsc};

use chassis::testing::{Answer, PATIENCE, Received, exchange, exchange_raw, get};

use crate::{
    fixture::{Gateway, Upstream, upstream},
    websocket,
};

fn host(received: &Received) -> Vec<&str> {
    received.header("host")
}

/// Asks as a client does that knows the gateway as `shop.example:8443`.
fn ask(gateway: &Gateway, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: shop.example:8443\r\nConnection: close\r\n\r\n");
    exchange(gateway.addr(), request.as_bytes())
}

/// An upstream that answers every request with these fields.
fn answering(fields: &'static str) -> Upstream {
    Upstream::start(move |_| format!("HTTP/1.1 302 Found\r\n{fields}\r\nContent-Length: 0\r\n\r\n").into_bytes())
}

#[test]
fn the_upstream_receives_the_host_that_the_configuration_says() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(
        "upstreams:\n  plain: {targets: [\"${U}\"]}\n  kept: {targets: [\"${U}\"], host: keep}\n  \
         named: {targets: [\"${U}\"], host: \"app.internal:81\"}\nroutes:\n  \
         - {route: GET /plain, to: plain, auth: public}\n  \
         - {route: GET /kept, to: kept, auth: public}\n  \
         - {route: GET /named, to: named, auth: public}\n  \
         - {route: GET /route, to: named, auth: public, host: keep}\n  \
         - {route: GET /target, to: named, auth: public, host: target}\n",
        &[("U", format!("http://{}", upstream.addr))],
    );
    let address = upstream.addr.to_string();
    for (path, expected) in [
        ("/plain", address.as_str()),
        ("/kept", "shop.example:8443"),
        ("/named", "app.internal:81"),
        ("/route", "shop.example:8443"),
        ("/target", &address),
    ] {
        assert_eq!(ask(&gateway, path).status, 200);
        let received = upstream.received().pop().unwrap();
        assert_eq!(host(&received), [expected], "{path}");
        assert_eq!(received.header("x-forwarded-host"), ["shop.example:8443"], "{path}");
    }
}

#[test]
fn a_retry_has_the_host_of_its_own_target() {
    // Accepts and hangs up, so that the request goes to the other target.
    let broken = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = broken.local_addr().unwrap();
    std::thread::spawn(move || broken.incoming().for_each(drop));
    let upstream = Upstream::echo();
    let gateway = Gateway::start(
        &format!(
            "upstreams: {{u: {{targets: [\"http://{gone}\", \"http://{}\"], breaker: off}}}}\nroutes:\n  \
             - {{route: GET /a, to: u, auth: public, retry: {{budget: 100%}}}}\n",
            upstream.addr
        ),
        &[],
    );
    for _ in 0..4 {
        assert_eq!(get("/a").send(gateway.addr()).status, 200);
    }
    for received in upstream.received() {
        assert_eq!(host(&received), [upstream.addr.to_string()]);
    }
}

#[test]
fn health_checks_have_the_name_too() {
    let (sender, receiver) = mpsc::channel();
    let upstream = Upstream::start(move |received| {
        sender.send(host(received).join(",")).unwrap();
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()
    });
    let _gateway = Gateway::start(
        &format!(
            "upstreams: {{u: {{targets: [\"http://{}\"], host: app.internal, health: /up}}}}\nroutes:\n  \
             - {{route: GET /a, to: u, auth: public}}\n",
            upstream.addr
        ),
        &[],
    );
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), "app.internal");
}

#[test]
fn a_websocket_has_the_host_and_its_cookies_come_back() {
    let (sender, receiver) = mpsc::channel();
    let addr = upstream(move |mut reader| {
        let Some(request) = Received::read(&mut reader) else { return };
        sender.send(host(&request).join(",")).unwrap();
        let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSet-Cookie: a=b; Path=/\r\n\r\n";
        reader.get_mut().write_all(answer.as_bytes()).unwrap();
    });
    let gateway = Gateway::before_addr(
        addr,
        "  - {route: \"GET /chat/{path...}\", to: u, auth: public, websocket: true, host: keep, rewrite: \"/{path}\"}\n",
    );
    let answer = exchange_raw(gateway.addr(), &websocket::ask("/chat/room", ""));
    let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    assert!(answer.contains("set-cookie: a=b; path=/chat/\r\n"), "{answer}");
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), "a");
}

fn location(answer: &Answer) -> Option<&str> {
    assert_eq!(answer.status, 302, "{}", answer.text());
    answer.header("location")
}

#[test]
fn a_redirect_to_the_target_leads_to_the_gateway() {
    let upstream = Upstream::start(|received| {
        let host = host(received).concat();
        format!("HTTP/1.1 302 Found\r\nLocation: http://{host}/login?next=%2Fa#x\r\nContent-Length: 0\r\n\r\n")
            .into_bytes()
    });
    let gateway = Gateway::before(
        &upstream,
        "  - {route: \"GET /plain/{path...}\", to: u, auth: public}\n  \
         - {route: \"GET /shop/{path...}\", to: u, auth: public, rewrite: \"/{path}\"}\n  \
         - {route: \"GET /kept/{path...}\", to: u, auth: public, host: keep}\n  \
         - {route: \"GET /set/{path...}\", to: u, auth: public, rewrite: \"/{path}\", \
           response_headers: {set: {location: /login}}}\n",
    );
    for (path, expected) in [
        ("/plain/a", "http://shop.example:8443/login?next=%2Fa#x"),
        ("/shop/a", "http://shop.example:8443/shop/login?next=%2Fa#x"),
        ("/kept/a", "http://shop.example:8443/login?next=%2Fa#x"),
        ("/set/a", "/login"),
    ] {
        assert_eq!(location(&ask(&gateway, path)), Some(expected), "{path}");
    }
    // A client that names no host gets a path.
    let answer = exchange(gateway.addr(), b"GET /shop/a HTTP/1.0\r\n\r\n");
    assert_eq!(location(&answer), Some("/shop/login?next=%2Fa#x"));
}

#[test]
fn what_an_answer_says_about_paths_and_cookies_is_turned() {
    let upstream = answering(
        "Location: /cart\r\nContent-Location: /a\r\nRefresh: 5; url=/b\r\nSet-Cookie: one=1; Path=/; HttpOnly\r\n\
         Set-Cookie: two=2; Domain=other.example; Path=/x\r\nLink: </next>; rel=next",
    );
    let gateway =
        Gateway::before(&upstream, "  - {route: \"GET /shop/{path...}\", to: u, auth: public, rewrite: \"/{path}\"}\n");
    let answer = ask(&gateway, "/shop/a");
    assert_eq!(location(&answer), Some("/shop/cart"));
    assert_eq!(answer.header("content-location"), Some("/shop/a"));
    assert_eq!(answer.header("refresh"), Some("5; url=/shop/b"));
    assert_eq!(
        answer.values("set-cookie"),
        ["one=1; Path=/shop/; HttpOnly", "two=2; Domain=other.example; Path=/shop/x"]
    );
    assert_eq!(answer.header("link"), Some("</next>; rel=next"), "only fields that browsers follow by themselves");
}

#[test]
fn nothing_is_turned_where_the_upstream_knows_the_address() {
    let upstream = answering("Location: http://127.0.0.1:1/a\r\nSet-Cookie: a=b; Domain=shop.example; Path=/");
    let gateway = Gateway::before(&upstream, "  - {route: \"GET /{path...}\", to: u, auth: public, host: keep}\n");
    let answer = ask(&gateway, "/a");
    assert_eq!(location(&answer), Some("http://127.0.0.1:1/a"));
    assert_eq!(answer.values("set-cookie"), ["a=b; Domain=shop.example; Path=/"]);
}

#[test]
fn the_upstream_is_told_which_prefix_was_removed() {
    let upstream = Upstream::echo();
    let routes = "  - {route: \"GET /shop/{tenant}/{path...}\", to: u, auth: public, rewrite: \"/{path}\"}\n  \
                  - {route: \"GET /moved/{path...}\", to: u, auth: public, rewrite: \"/elsewhere/{path}\"}\n  \
                  - {route: \"GET /plain\", to: u, auth: public}\n";
    let direct = Gateway::before(&upstream, routes);
    let behind_a_proxy = Gateway::start(
        &format!("trusted_proxies: [127.0.0.1]\nupstreams: {{u: {{targets: [\"${{U}}\"]}}}}\nroutes:\n{routes}"),
        &[("U", format!("http://{}", upstream.addr))],
    );
    for (gateway, path, expected) in [
        (&direct, "/shop/acme/a", &["/shop/acme"][..]),
        (&direct, "/moved/a", &[]),
        (&direct, "/plain", &[]),
        (&behind_a_proxy, "/shop/acme/a", &["/outer/shop/acme"]),
        (&behind_a_proxy, "/plain", &["/outer/"]),
    ] {
        let answer = get(path).header("x-forwarded-prefix", "/outer/").send(gateway.addr());
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(upstream.received().pop().unwrap().header("x-forwarded-prefix"), expected, "{path}");
    }
}

#[test]
fn a_host_that_is_none_is_a_mistake() {
    for (value, hint) in [
        ("http://a", "is not `target`, `keep` or a host"),
        ("a/b", "is not `target`, `keep` or a host"),
        ("user@a", "is not `target`, `keep` or a host"),
        ("\"\"", "is not `target`, `keep` or a host"),
    ] {
        let yaml = format!(
            "version: 1\nlisten: 127.0.0.1:0\nupstreams: {{u: {{targets: [\"http://127.0.0.1:1\"], host: {value}}}}}\n\
             routes:\n  - {{route: GET /a, to: u, auth: public}}\n"
        );
        let error = gateway::config::Config::load(&yaml, &|_| None).unwrap_err();
        assert!(format!("{error:?}").contains(hint), "{value}: {error:?}");
    }
}
