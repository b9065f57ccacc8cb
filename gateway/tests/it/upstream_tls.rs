//! TLS to upstreams. The upstream is a gateway that speaks TLS, before one that does not.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
    thread,
};

use chassis::testing::{Connection, exchange_raw, get, post, until};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    fixture::{Gateway, Upstream, certificates::Authority},
    websocket,
};

const ANY: &str = "routes:\n  - {route: \"* /{path...}\", to: u, auth: public}\n";

/// An upstream behind TLS, and the files around it.
struct Tls {
    folder: TempDir,
    server: Gateway,
}

impl Tls {
    /// With a certificate for this name; `more` stands beside it in the section `tls`.
    fn start(plain: SocketAddr, name: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        authority.file(folder.path(), "ca.pem");
        authority.issue(&[name]).write(folder.path(), "server");
        authority.issue(&["client"]).write(folder.path(), "client");
        let dir = folder.path().display();
        let sections = format!(
            "tls: {{cert: \"{dir}/server.pem\", key: \"{dir}/server.key\"{}}}\n\
             upstreams: {{u: {{targets: [\"http://{}\"]}}}}\n{ANY}",
            more.replace("DIR", &dir.to_string()),
            plain
        );
        let server = Gateway::with_tokens(&sections, &[]);
        Self { folder, server }
    }

    /// A gateway before it, with this in the section `tls` of the upstream.
    fn gateway(&self, tls: &str) -> Gateway {
        Gateway::with_tokens(&sections(self.folder.path(), &format!("https://{}", self.server.addr()), tls), &[])
    }
}

fn sections(folder: &Path, target: &str, tls: &str) -> String {
    let tls = tls.replace("DIR", &folder.display().to_string());
    format!("upstreams: {{u: {{targets: [\"{target}\"], tls: {tls}}}}}\n{ANY}")
}

#[test]
fn requests_go_through_tls_and_connections_are_used_again() {
    let echo = Upstream::echo();
    let tls = Tls::start(echo.addr, "127.0.0.1", "");
    let gateway = tls.gateway("{ca: DIR/ca.pem}");
    for _ in 0..3 {
        let answer = get("/x").send(gateway.addr());
        assert_eq!((answer.status, answer.json()["line"].as_str()), (200, Some("GET /x HTTP/1.1")));
    }
    let body = json!({"text": "x".repeat(200_000)});
    assert_eq!(post("/up", &body).send(gateway.addr()).status, 200);
    let received = echo.received();
    assert_eq!(received[0].header("x-forwarded-host"), [tls.server.addr().to_string()], "the host of the target");
    assert_eq!(received[0].header("x-forwarded-proto"), ["https"]);
    assert_eq!(received[3].body, body.to_string().as_bytes());
}

#[test]
fn an_upstream_that_does_not_prove_itself_gets_nothing() {
    let echo = Upstream::echo();
    let tls = Tls::start(echo.addr, "gateway.test", "");
    for wrong in ["{}", "{ca: DIR/ca.pem}", "{ca: DIR/ca.pem, server_name: other.test}", "{server_name: gateway.test}"]
    {
        let answer = get("/x").send(tls.gateway(wrong).addr());
        assert_eq!((answer.status, answer.problem().as_str()), (502, "upstream_unreachable"), "{wrong}");
    }
    assert!(echo.received().is_empty());
    let good = tls.gateway("{ca: DIR/ca.pem, server_name: gateway.test}");
    assert_eq!(get("/x").send(good.addr()).status, 200);
}

#[test]
fn the_gateway_shows_its_certificate_where_it_is_asked() {
    let echo = Upstream::echo();
    let tls = Tls::start(echo.addr, "127.0.0.1", ", client_ca: \"DIR/ca.pem\"");
    let without = get("/x").send(tls.gateway("{ca: DIR/ca.pem}").addr());
    assert_eq!(without.status, 502, "{}", without.text());
    assert!(echo.received().is_empty());
    let with = tls.gateway("{ca: DIR/ca.pem, cert: DIR/client.pem, key: DIR/client.key}");
    assert_eq!(get("/x").send(with.addr()).status, 200);
}

#[test]
fn an_answer_that_is_cut_short_inside_tls_is_not_completed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    // Closes each connection after half of what it promised.
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!");
        }
    });
    let tls = Tls::start(addr, "127.0.0.1", "");
    let gateway = tls.gateway("{ca: DIR/ca.pem}");
    let raw = exchange_raw(gateway.addr(), b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let raw = String::from_utf8_lossy(&raw).into_owned();
    // Where the connection breaks before the head has gone through, there is still time to say so.
    let is_short = raw.ends_with("five!") && raw.contains("content-length: 10");
    assert!(is_short || raw.starts_with("HTTP/1.1 502"), "{raw}");
}

#[test]
fn a_file_that_cannot_be_used_is_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rubbish.pem"), "rubbish").unwrap();
    for (tls, message) in [
        ("{ca: DIR/absent.pem}", "cannot read"),
        ("{ca: DIR/rubbish.pem}", "holds no certificate"),
        ("{cert: DIR/rubbish.pem, key: DIR/rubbish.pem}", "holds no certificate"),
    ] {
        let yaml = format!(
            "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\n{}",
            sections(folder.path(), "https://localhost", tls)
        );
        let config = gateway::config::Config::load(&yaml, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        let settings = gateway::Settings { workers: 1, drain_delay: std::time::Duration::ZERO, log_format: None };
        let error = gateway::Server::bind(config, settings).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("upstreams.u.tls: ") && error.contains(message), "{tls}: {error}");
    }
}

#[test]
fn files_that_are_renewed_are_used_without_a_reload() {
    let echo = Upstream::echo();
    let tls = Tls::start(echo.addr, "127.0.0.1", ", client_ca: \"DIR/ca.pem\"");
    let folder = tls.folder.path();
    let other = Authority::new();
    other.file(folder, "used-ca.pem");
    other.issue(&["client"]).write(folder, "used");
    let gateway = tls.gateway("{ca: DIR/used-ca.pem, cert: DIR/used.pem, key: DIR/used.key}");
    let status = || get("/x").send(gateway.addr()).status;
    assert_eq!(status(), 502);
    // One after the other: what does not fit together in between changes nothing.
    for (new, used) in [("ca.pem", "used-ca.pem"), ("client.pem", "used.pem"), ("client.key", "used.key")] {
        assert_ne!(status(), 200);
        fs::copy(folder.join(new), folder.join(used)).unwrap();
    }
    until("the new files are used", || status() == 200);
    fs::write(folder.join("used.pem"), "rubbish").unwrap();
    assert_eq!(status(), 200);
}

#[test]
fn websockets_go_through_tls() {
    let echo = websocket::echo();
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.file(folder.path(), "ca.pem");
    authority.issue(&["127.0.0.1"]).write(folder.path(), "server");
    let dir = folder.path().display();
    let routes = "routes:\n  - {route: GET /ws, to: u, auth: public, websocket: true}\n";
    let server = Gateway::with_tokens(
        &format!(
            "tls: {{cert: \"{dir}/server.pem\", key: \"{dir}/server.key\"}}\n\
             upstreams: {{u: {{targets: [\"http://{echo}\"]}}}}\n{routes}"
        ),
        &[],
    );
    let gateway = Gateway::with_tokens(
        &format!(
            "upstreams: {{u: {{targets: [\"https://{}\"], tls: {{ca: \"{dir}/ca.pem\"}}}}}}\n{routes}",
            server.addr()
        ),
        &[],
    );
    let mut connection = Connection::open(gateway.addr());
    connection.send(&websocket::ask("/ws", ""));
    assert_eq!(connection.head().unwrap().0, 101);
    assert_eq!(connection.read_exact(5), b"hello");
    for message in [&b"GET / HTTP/1.1\r\n\r\n"[..], &vec![7; 300_000]] {
        connection.send(message);
        assert_eq!(connection.read_exact(message.len()), message);
    }
}
