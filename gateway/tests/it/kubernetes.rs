//! `gateway keys kubernetes`, against an HTTPS server that answers as the API of Kubernetes does.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use chassis::testing::{PATIENCE, Received};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{commands::stderr, fixture::certificates::Authority};

const TOKEN: &str = "the-token-of-the-service-account";

/// The API of a cluster, and the folder that it gives to a pod.
struct Api {
    addr: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    service_account: TempDir,
}

impl Api {
    /// Starts an API with a certificate for `name`.
    fn start(name: &str, script: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").unwrap(), name, script)
    }

    /// An answer of no bytes is silence until the client leaves.
    fn serve(listener: TcpListener, name: &str, script: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let addr = listener.local_addr().unwrap();
        let authority = Authority::new();
        let issued = authority.issue(&[name]);
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(issued.cert.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap(),
            )
            .unwrap();
        let (config, received) = (Arc::new(config), Arc::new(Mutex::new(Vec::new())));
        let (log, script) = (Arc::clone(&received), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, log, script) = (Arc::clone(&config), Arc::clone(&log), Arc::clone(&script));
                thread::spawn(move || serve(stream, config, &log, &*script));
            }
        });
        let service_account = tempfile::tempdir().unwrap();
        authority.file(service_account.path(), "ca.crt");
        fs::write(service_account.path().join("token"), TOKEN).unwrap();
        fs::write(service_account.path().join("namespace"), "shop").unwrap();
        Self { addr, received, service_account }
    }

    /// An API that answers this status, with a body.
    fn answering(status: &str, body: &str) -> Self {
        let answer = answer(status, body);
        Self::start("127.0.0.1", move |_| answer.clone())
    }

    /// Runs the command in a pod of this cluster.
    fn create(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.args(["keys", "kubernetes", "--service-account"]).arg(self.service_account.path()).args(args);
        command.env_clear().env("KUBERNETES_SERVICE_HOST", self.addr.ip().to_string());
        command.env("KUBERNETES_SERVICE_PORT", self.addr.port().to_string());
        command.output().unwrap()
    }

    /// What the command says when the API creates nothing: an error with exit code 1, and nothing of the key.
    fn refused(&self) -> String {
        let output = self.create(&["--signing-key", "signing", "--timeout", "500ms"]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        for received in self.received.lock().unwrap().iter() {
            let key = data(received).remove("signing-key.pem").unwrap();
            let is_shown = key.lines().any(|line| said.contains(line)) || said.contains(&STANDARD.encode(&key));
            assert!(!is_shown, "{said}");
        }
        said
    }
}

fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    log: &Mutex<Vec<Received>>,
    script: &dyn Fn(&Received) -> Vec<u8>,
) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reader = BufReader::new(StreamOwned::new(ServerConnection::new(config).unwrap(), stream));
    // Nothing is received from a client that does not accept the certificate.
    let Some(received) = Received::read(&mut reader) else { return };
    let answer = script(&received);
    log.lock().unwrap().push(received);
    let stream = reader.get_mut();
    let _ = stream.write_all(&answer).and_then(|()| stream.flush());
    let _ = stream.read(&mut [0]);
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body.as_bytes()].concat()
}

/// A `Status` object, with which the API says why it does not do what it was asked to.
fn status(reason: &str, message: &str) -> String {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message}).to_string()
}

/// The Secret that a request wants to create.
fn secret(received: &Received) -> Value {
    serde_json::from_slice(&received.body).unwrap()
}

/// The contents of the Secret that a request wants to create.
fn data(received: &Received) -> BTreeMap<String, String> {
    let decoded = |value: &Value| String::from_utf8(STANDARD.decode(value.as_str().unwrap()).unwrap()).unwrap();
    secret(received)["data"].as_object().unwrap().iter().map(|(key, value)| (key.clone(), decoded(value))).collect()
}

#[test]
fn missing_secrets_are_created_and_existing_ones_are_kept() {
    let api = Api::start("127.0.0.1", |received| match secret(received)["metadata"]["name"].as_str() {
        Some("orders") => answer("409 Conflict", &status("AlreadyExists", "secrets \"orders\" already exists")),
        _ => answer("201 Created", &String::from_utf8_lossy(&received.body)),
    });
    let args =
        ["--signing-key", "signing", "--internal-key", "users", "--internal-key", "orders", "--password", "admin"];
    let output = api.create(&[&args[..], &["--label", "app=shop", "--label", "tier=1"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = "Secret signing: created\nSecret users: created\nSecret orders: exists already, and is kept\n\
                    Secret admin: created\n";
    assert_eq!((said.as_str(), stderr(&output).as_str()), (expected, ""), "nothing of a key is shown");

    let received = api.received.lock().unwrap();
    assert_eq!(received.len(), 4);
    for each in received.iter() {
        assert_eq!(each.line, "POST /api/v1/namespaces/shop/secrets HTTP/1.1");
        assert_eq!(each.header("authorization"), [format!("Bearer {TOKEN}")]);
        assert_eq!(each.header("content-type"), ["application/json"]);
        let secret = secret(each);
        assert_eq!(
            (&secret["apiVersion"], &secret["kind"], &secret["type"]),
            (&"v1".into(), &"Secret".into(), &"Opaque".into())
        );
        assert_eq!(secret["metadata"]["labels"], json!({"app": "shop", "tier": "1"}));
    }
    let one = |index: usize, key: &str| {
        let mut data = data(&received[index]);
        assert_eq!(data.len(), 1, "{:?}", data.keys());
        data.remove(key).unwrap()
    };
    assert!(one(0, "signing-key.pem").starts_with("-----BEGIN PRIVATE KEY-----\n"));
    let (users, orders, admin) = (one(1, "internal.key"), one(2, "internal.key"), one(3, "password"));
    assert_ne!(users, orders, "each service has a key of its own");
    assert!(users.len() >= 32 && admin.len() >= 20 && !admin.ends_with('\n'), "{} {}", users.len(), admin.len());
}

#[test]
fn a_gateway_starts_with_the_signing_key_that_was_created() {
    let api = Api::answering("201 Created", "{}");
    assert_eq!(api.create(&["--signing-key", "signing"]).status.code(), Some(0));
    let folder = tempfile::tempdir().unwrap();
    let key = data(&api.received.lock().unwrap()[0]).remove("signing-key.pem").unwrap();
    fs::write(folder.path().join("signing-key.pem"), key).unwrap();
    fs::write(
        folder.path().join("g.yaml"),
        "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\ntokens: {issuer: i, audience: a, keys: .}\nupstreams: {}\nroutes: []\n",
    )
    .unwrap();
    let output = crate::commands::gateway(folder.path(), &["token", "g.yaml", "--as", "sub=1"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn the_api_may_have_an_ipv6_address() {
    // Some containers have no IPv6 at all.
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let api = Api::serve(listener, "::1", |_| answer("201 Created", "{}"));
    let output = api.create(&["--password", "admin"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(api.received.lock().unwrap()[0].header("host"), [api.addr.to_string()]);
}

#[test]
fn what_the_api_refuses_is_reported_with_its_reason() {
    let message = "secrets is forbidden: User \"system:serviceaccount:shop:keys\" cannot create resource \"secrets\"";
    let said = Api::answering("403 Forbidden", &status("Forbidden", message)).refused();
    assert_eq!(said, format!("gateway: Secret signing: the API answered 403: {message}\n"));
    // A conflict with something else than a Secret of that name.
    let message =
        "Operation cannot be fulfilled on resourcequotas \"quota\": please apply your changes to the latest version";
    let said = Api::answering("409 Conflict", &status("Conflict", message)).refused();
    assert_eq!(said, format!("gateway: Secret signing: the API answered 409: {message}\n"));
    for (code, body) in [("500 Internal Server Error", "<html>"), ("200 OK", "{}"), ("409 Conflict", "")] {
        let said = Api::answering(code, body).refused();
        assert_eq!(said, format!("gateway: Secret signing: the API answered {}: it gives no reason\n", &code[..3]));
    }
    // It may have taken the Secret for a name that it then quotes, at length.
    let said = Api::answering("422 Unprocessable Entity", &status("Invalid", &"x".repeat(10_000))).refused();
    assert!(said.len() < 600, "{said}");
}

#[test]
fn an_api_that_does_not_answer_as_it_should_is_reported() {
    for (answer, expected) in [
        (&b""[..], "did not answer in 500ms"),
        (b"garbage\r\n\r\n", "cannot be asked"),
        (b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n", "did not answer in 500ms"),
    ] {
        let answer = answer.to_vec();
        let api = Api::start("127.0.0.1", move |_| answer.clone());
        let said = api.refused();
        assert!(said.contains(&format!("the API at {} {expected}", api.addr)), "{said}");
    }
    let large = Api::answering("201 Created", &" ".repeat(100_000)).refused();
    assert!(large.contains("cannot be asked"), "{large}");
    let api = Api::answering("201 Created", "{}");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = Api { addr: port, ..api };
    assert!(closed.refused().contains(&format!("the API at {port} cannot be asked")));
}

#[test]
fn no_key_is_sent_to_a_server_that_is_not_the_api() {
    let other = Authority::new();
    let api = Api::answering("201 Created", "{}");
    other.file(api.service_account.path(), "ca.crt");
    assert!(api.refused().contains("cannot be asked"));
    assert!(api.received.lock().unwrap().is_empty());
    let named_otherwise = Api::start("127.0.0.2", |_| answer("201 Created", "{}"));
    assert!(named_otherwise.refused().contains("cannot be asked"));
    assert!(named_otherwise.received.lock().unwrap().is_empty());
}

#[test]
fn outside_of_a_cluster_the_missing_part_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str], environment: &[(&str, &str)]| {
        let output = crate::commands::gateway(folder.path(), &[&["keys", "kubernetes"], args].concat(), environment);
        (output.status.code(), stderr(&output))
    };
    let (code, said) = run(&["--signing-key", "s"], &[]);
    assert_eq!((code, said.contains("KUBERNETES_SERVICE_HOST is not set")), (Some(1), true), "{said}");
    let api = [("KUBERNETES_SERVICE_HOST", "127.0.0.1"), ("KUBERNETES_SERVICE_PORT", "1")];
    let (code, said) = run(&["--signing-key", "s", "--service-account", "absent"], &api);
    assert_eq!((code, said.contains("cannot read absent/ca.crt")), (Some(1), true), "{said}");
    for (args, expected) in [
        (&[][..], "--signing-key <SECRET>"),
        (&["--signing-key", "s", "--label", "x"], "--label: `x` is not NAME=VALUE"),
        (&["--signing-key", "s", "--timeout", "soon"], "`soon` is not a duration"),
    ] {
        let (code, said) = run(args, &api);
        assert_eq!((code, said.contains(expected)), (Some(64), true), "{said}");
    }
}
