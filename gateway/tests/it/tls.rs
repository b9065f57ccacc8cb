//! TLS for clients, with real ones: curl by HTTP/2 and HTTP/1.1, and awc.

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};

use chassis::{
    config::StartError,
    testing::{exchange_raw, until},
};
use gateway::{Server, Settings, config::Config};
use tempfile::TempDir;

use crate::fixture::{
    Gateway, Upstream,
    certificates::{Authority, client_config},
};

const ANY: &str = "routes:\n  - {route: \"* /{path...}\", to: u, auth: public, body_limit: 8MiB}\n";

/// The beginnings of these years in Unix time.
const JANUARY_2040: f64 = 2_208_988_800.0;
const JANUARY_2041: f64 = 2_240_611_200.0;

/// A gateway with a certificate for `gateway.test`, and everything around it.
struct Tls {
    authority: Authority,
    folder: TempDir,
    ca: PathBuf,
    upstream: Upstream,
    gateway: Gateway,
}

impl Tls {
    /// `more` stands beside the certificate in the section `tls`.
    fn with(more: impl FnOnce(&Path, &Authority) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let ca = authority.file(folder.path(), "ca.pem");
        authority.issue(&["gateway.test"]).write(folder.path(), "server");
        let more = more(folder.path(), &authority);
        let upstream = Upstream::echo();
        let gateway = Gateway::with_tokens(&sections(folder.path(), &more, &upstream), &[]);
        Self { authority, folder, ca, upstream, gateway }
    }

    fn curl(&self, args: &[&str], path: &str) -> Output {
        curl(&self.ca, "gateway.test", self.gateway.addr().port(), args, path)
    }
}

fn sections(folder: &Path, more: &str, upstream: &Upstream) -> String {
    let folder = folder.display();
    format!(
        "tls: {{cert: \"{folder}/server.pem\", key: \"{folder}/server.key\"{more}}}\n\
         upstreams: {{u: {{targets: [\"http://{}\"]}}}}\n{ANY}",
        upstream.addr
    )
}

fn curl(ca: &Path, host: &str, port: u16, args: &[&str], path: &str) -> Output {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "60", "--noproxy", "*", "--connect-to"]).arg(format!("::127.0.0.1:{port}"));
    command.arg("--cacert").arg(ca).args(args).arg(format!("https://{host}:{port}{path}"));
    command.stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{} {}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn http_2_and_1_1_are_spoken_and_the_upstream_sees_no_difference() {
    let tls = Tls::with(|_, _| String::new());
    for (version, shown) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let before = tls.upstream.received().len();
        let args = [version, "-o", "/dev/null", "-w", "%{http_version} %{response_code}"];
        assert_eq!(
            text(&tls.curl(&[&args[..], &["-H", "Cookie: a=1", "-H", "Cookie: b=2"]].concat(), "/x?q=1")),
            format!("{shown} 200")
        );
        let received = tls.upstream.received().remove(before);
        assert_eq!(received.line, "GET /x?q=1 HTTP/1.1");
        assert_eq!(received.header("x-forwarded-proto"), ["https"], "{version}");
        let host = format!("gateway.test:{}", tls.gateway.addr().port());
        assert_eq!(received.header("x-forwarded-host"), [host.as_str()], "{version}");
        for absent in ["transfer-encoding", "content-length", ":authority", "http2-settings"] {
            assert_eq!(received.header(absent), [""; 0], "{version}: {absent}");
        }
        if shown == "2" {
            assert_eq!(received.header("cookie"), ["a=1; b=2"]);
        }
    }
}

#[test]
fn bodies_go_through_by_http_2_with_a_length_and_without() {
    let tls = Tls::with(|_, _| String::new());
    let body: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let file = tls.folder.path().join("body");
    fs::File::create(&file).unwrap().write_all(&body).unwrap();
    let data = format!("@{}", file.display());
    for args in [&["--data-binary", &data][..], &["-X", "PUT", "-H", "Content-Length:", "--data-binary", &data]] {
        let before = tls.upstream.received().len();
        let shown =
            text(&tls.curl(
                &[&["--http2", "-o", "/dev/null", "-w", "%{http_version} %{response_code}"], args].concat(),
                "/up",
            ));
        assert_eq!(shown, "2 200");
        assert_eq!(tls.upstream.received().remove(before).body.len(), body.len(), "{args:?}");
        assert!(tls.upstream.received().remove(before).body == body, "{args:?}");
    }
    let empty = text(&tls.curl(&["--http2", "-X", "POST", "-w", " %{response_code}", "-o", "/dev/null"], "/empty"));
    assert_eq!(empty, " 200");
    let large = vec![b'x'; 9 * 1024 * 1024];
    fs::write(&file, large).unwrap();
    let refused = tls.curl(&["--http2", "--data-binary", &data, "-w", "%{response_code}", "-o", "/dev/null"], "/up");
    assert_eq!(text(&refused), "413");
}

#[test]
fn head_and_problems_are_answered_by_http_2() {
    let tls = Tls::with(|_, _| String::new());
    let head = text(&tls.curl(&["--http2", "-I"], "/x"));
    assert!(head.starts_with("HTTP/2 200") && head.contains("content-length: "), "{head}");
    let problem = text(&tls.curl(&["--http2", "-i", "--path-as-is"], "/%zz"));
    assert!(problem.starts_with("HTTP/2 400") && problem.contains("application/problem+json"), "{problem}");
}

#[test]
fn a_head_that_is_too_large_is_refused_by_http_2_too() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let ca = authority.file(folder.path(), "ca.pem");
    authority.issue(&["gateway.test"]).write(folder.path(), "server");
    let upstream = Upstream::echo();
    let sections = format!("limits: {{head_bytes: 2KiB}}\n{}", sections(folder.path(), "", &upstream));
    let gateway = Gateway::with_tokens(&sections, &[]);
    let with = |bytes: usize| {
        let field = format!("X-Large: {}", "x".repeat(bytes));
        let args = ["--http2", "-H", &field, "-o", "/dev/null", "-w", "%{http_version} %{response_code}"];
        text(&curl(&ca, "gateway.test", gateway.addr().port(), &args, "/x"))
    };
    assert_eq!(with(1024), "2 200");
    assert_eq!(with(2048), "2 431");
    // More than fits into one frame.
    assert_eq!(with(60 * 1024), "2 431");
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn connections_with_tls_are_kept_and_their_heads_have_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let ca = authority.file(folder.path(), "ca.pem");
    authority.issue(&["localhost"]).write(folder.path(), "server");
    let upstream = Upstream::echo();
    let sections = format!("limits: {{head_timeout: 300ms}}\n{}", sections(folder.path(), "", &upstream));
    let gateway = Gateway::with_tokens(&sections, &[]);
    let mut config = (*client_config(Some(&ca))).clone();
    config.alpn_protocols.clear();
    let config = Arc::new(config);
    let open = |read_timeout| {
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let connection = rustls::ClientConnection::new(Arc::clone(&config), name).unwrap();
        let stream = std::net::TcpStream::connect(gateway.addr()).unwrap();
        stream.set_read_timeout(Some(read_timeout)).unwrap();
        rustls::StreamOwned::new(connection, stream)
    };
    let mut tls = open(Duration::from_millis(900));
    for _ in 0..3 {
        tls.write_all(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut answer = vec![0; 4096];
        let read = tls.read(&mut answer).unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        // Longer than a head may take: an idle connection has another limit.
        let idle = tls.read(&mut answer);
        assert!(idle.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "{idle:?}");
    }
    tls.write_all(b"GET /x HTTP/1.1\r\n").unwrap();
    tls.sock.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut answer = String::new();
    tls.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"code\":\"request_timeout\""), "{answer}");
    // One on which nothing comes at all is not kept as long as one that was used: that would be 75 s.
    let mut unused = open(Duration::from_secs(60));
    while unused.conn.is_handshaking() {
        unused.conn.complete_io(&mut unused.sock).unwrap();
    }
    let mut rest = String::new();
    unused.read_to_string(&mut rest).unwrap();
    assert!(rest.is_empty() || rest.contains("\"code\":\"request_timeout\""), "{rest}");
}

#[test]
fn a_client_of_rustls_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let ca = authority.file(folder.path(), "ca.pem");
    authority.issue(&["localhost"]).write(folder.path(), "server");
    let upstream = Upstream::echo();
    let gateway = Gateway::with_tokens(&sections(folder.path(), "", &upstream), &[]);
    let url = format!("https://localhost:{}/x", gateway.addr().port());
    let ask = |config: Arc<rustls::ClientConfig>| {
        let url = url.clone();
        actix_rt::System::new().block_on(async move {
            let connector = awc::Connector::new().timeout(Duration::from_secs(30)).rustls_0_23(config);
            let client = awc::Client::builder().connector(connector).timeout(Duration::from_secs(60)).finish();
            let mut answer = client.get(url).send().await.map_err(|error| error.to_string())?;
            Ok::<_, String>((answer.status().as_u16(), answer.body().await.unwrap()))
        })
    };
    let (status, body) = ask(client_config(Some(&ca))).unwrap();
    assert_eq!((status, &body[..]), (200, &br#"{"line":"GET /x HTTP/1.1"}"#[..]));
    assert!(ask(client_config(None)).is_err(), "no authority that the world knows has signed it");
}

#[test]
fn the_certificate_is_chosen_by_the_name_that_the_client_wants() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let ca = authority.file(folder.path(), "ca.pem");
    authority.issue(&["first.test"]).write(folder.path(), "first");
    authority.issue(&["*.second.test"]).write(folder.path(), "second");
    let upstream = Upstream::echo();
    let dir = folder.path().display();
    let gateway = Gateway::with_tokens(
        &format!(
            "tls:\n  certificates:\n    - {{cert: \"{dir}/first.pem\", key: \"{dir}/first.key\"}}\n    \
             - {{cert: \"{dir}/second.pem\", key: \"{dir}/second.key\"}}\n\
             upstreams: {{u: {{targets: [\"http://{}\"]}}}}\n{ANY}",
            upstream.addr
        ),
        &[],
    );
    let port = gateway.addr().port();
    for (host, served) in [("first.test", true), ("a.second.test", true), ("third.test", false)] {
        assert_eq!(curl(&ca, host, port, &[], "/x").status.success(), served, "{host}");
    }
}

#[test]
fn certificates_are_renewed_while_serving() {
    let tls = Tls::with(|_, _| String::new());
    let folder = tls.folder.path();
    assert!(tls.curl(&[], "/x").status.success());
    let other = Authority::new();
    let other_ca = other.file(folder, "other-ca.pem");
    let with_other = || curl(&other_ca, "gateway.test", tls.gateway.addr().port(), &[], "/x");
    assert!(!with_other().status.success());
    other.issue(&["gateway.test"]).write(folder, "server");
    until("the new certificate is served", || with_other().status.success());
    assert!(!tls.curl(&[], "/x").status.success());
}

#[test]
fn metrics_tell_when_each_certificate_expires_and_follow_its_renewal() {
    let tls = Tls::with(|folder, authority| {
        authority.issue_until(&["second.test"], 2040).write(folder, "second");
        String::new()
    });
    let folder = tls.folder.path();
    let (first, second) = (folder.join("server.pem"), folder.join("second.pem"));
    let dir = folder.display();
    let gateway = Gateway::with_tokens(
        &format!(
            "tls:\n  certificates:\n    - {{cert: \"{dir}/server.pem\", key: \"{dir}/server.key\"}}\n    \
             - {{cert: \"{dir}/second.pem\", key: \"{dir}/second.key\"}}\n\
             upstreams: {{u: {{targets: [\"http://{}\"]}}}}\n{ANY}",
            tls.upstream.addr
        ),
        &[],
    );
    let not_after = |gateway: &Gateway, file: &Path| {
        gateway.metric(&format!("gateway_tls_certificate_not_after_seconds{{file=\"{}\"}}", file.display()))
    };
    assert_eq!(not_after(&gateway, &second), Some(JANUARY_2040));
    assert!(not_after(&gateway, &first).is_some_and(|until| until > JANUARY_2040), "the default of the fixture");
    assert_eq!(not_after(&tls.gateway, &second), None, "a certificate that is not configured");
    tls.authority.issue_until(&["second.test"], 2041).write(folder, "second");
    until("the metric follows the file", || not_after(&gateway, &second) == Some(JANUARY_2041));
    let plain =
        Gateway::with_tokens(&format!("upstreams: {{u: {{targets: [\"http://{}\"]}}}}\n{ANY}", tls.upstream.addr), &[]);
    assert_eq!(not_after(&plain, &second), None, "a gateway without TLS");
}

#[test]
fn clients_without_a_certificate_are_refused_where_one_is_asked_for() {
    let tls = Tls::with(|folder, authority| {
        authority.issue(&["client"]).write(folder, "client");
        Authority::new().issue(&["client"]).write(folder, "stranger");
        format!(", client_ca: \"{}/ca.pem\"", folder.display())
    });
    let with = |name: &str| {
        let file = |kind: &str| tls.folder.path().join(format!("{name}.{kind}")).display().to_string();
        tls.curl(&["--cert", &file("pem"), "--key", &file("key")], "/x").status.success()
    };
    assert!(!tls.curl(&[], "/x").status.success());
    assert!(!with("stranger"));
    assert!(tls.upstream.received().is_empty());
    assert!(with("client"));
}

#[test]
fn old_versions_and_plain_http_are_refused() {
    let tls = Tls::with(|_, _| ", min_version: 1.3".to_owned());
    assert!(!tls.curl(&["--tls-max", "1.2"], "/x").status.success());
    assert!(tls.curl(&["--tlsv1.3"], "/x").status.success());
    let default = Tls::with(|_, _| String::new());
    assert!(default.curl(&["--tls-max", "1.2"], "/x").status.success());
    assert!(!default.curl(&["--tls-max", "1.1"], "/x").status.success());
    let plain = exchange_raw(default.gateway.addr(), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(!plain.starts_with(b"HTTP"), "{plain:?}");
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.issue(&["a.test"]).write(folder.path(), "good");
    authority.issue(&["a.test"]).write(folder.path(), "other");
    authority.issue_expired(&["a.test"]).write(folder.path(), "expired");
    fs::write(folder.path().join("rubbish.pem"), "rubbish").unwrap();
    let start = |cert: &str, key: &str, more: &str| {
        let dir = folder.path().display();
        let yaml = format!(
            "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\n\
             tls: {{cert: \"{dir}/{cert}\", key: \"{dir}/{key}\"{more}}}\n\
             upstreams: {{u: {{targets: [\"http://127.0.0.1:1\"]}}}}\n{ANY}"
        );
        let config = Config::load(&yaml, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        let settings = Settings { workers: 1, drain_delay: Duration::ZERO, log_format: None };
        Server::bind(config, settings).map(|_| ())
    };
    assert!(start("good.pem", "good.key", "").is_ok());
    let rubbish_ca = format!(", client_ca: \"{}/rubbish.pem\"", folder.path().display());
    for (cert, key, more, message) in [
        ("absent.pem", "good.key", "", "cannot read"),
        ("good.pem", "absent.key", "", "cannot read"),
        ("rubbish.pem", "good.key", "", "holds no certificate"),
        ("good.pem", "rubbish.pem", "", "holds no private key"),
        ("good.pem", "good.pem", "", "holds no private key"),
        ("good.pem", "other.key", "", "does not fit the certificate"),
        ("expired.pem", "expired.key", "", "expired on 2002-01-01"),
        ("good.pem", "good.key", &rubbish_ca, "holds no certificate"),
    ] {
        let Err(StartError::Failed(error)) = start(cert, key, more) else { panic!("{cert} {key} is no failure") };
        assert!(error.starts_with("tls: ") && error.contains(message), "{cert} {key}: {error}");
    }
}

#[test]
fn failed_handshakes_are_counted_by_reason() {
    let default = Tls::with(|_, _| String::new());
    let strict = Tls::with(|folder, authority| {
        let ca = authority.file(folder, "clients.pem");
        format!(", min_version: \"1.3\", client_ca: \"{}\"", ca.display())
    });
    let failures = |tls: &Tls, reason: &str| {
        let series = format!("gateway_tls_handshake_failures_total{{reason=\"{reason}\"}}");
        tls.gateway.metric(&series).unwrap()
    };
    let other_ca = Authority::new().file(default.folder.path(), "other.pem");
    // Silent until the end of the test.
    let _silent = std::net::TcpStream::connect(default.gateway.addr()).unwrap();
    curl(&other_ca, "gateway.test", default.gateway.addr().port(), &[], "/x");
    exchange_raw(default.gateway.addr(), b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    drop(std::net::TcpStream::connect(default.gateway.addr()).unwrap());
    strict.curl(&["--tls-max", "1.2"], "/x");
    strict.curl(&["--tlsv1.3"], "/x");
    let expected = [
        (&default, "client_refused"),
        (&default, "not_tls"),
        (&default, "closed"),
        (&default, "timeout"),
        (&strict, "incompatible"),
        (&strict, "no_client_certificate"),
    ];
    for (tls, reason) in expected {
        until(reason, || failures(tls, reason) == 1.0);
    }
    assert_eq!(failures(&default, "other") + failures(&strict, "other"), 0.0);
    let status = chassis::testing::get("/status").send(default.gateway.admin).json();
    assert_eq!(status["tls_handshake_failures"], 4);
}
