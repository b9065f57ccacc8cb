//! `stack load`: real load on a real stack, and what it says of a system that fails.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use chassis::testing::{Process, get, until};
use serde_json::Value;

use crate::fixture::Stack;

/// `stack load` as an admin, with these arguments separated by spaces.
fn load(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stack"));
    command.env_clear().arg("load").args(arguments.split(' '));
    command.env("SMOKE_USERNAME", "admin").env("SMOKE_PASSWORD", "a");
    command
}

/// Runs it; returns its exit code and what it printed.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let (status, said) = Process::spawn(command).ended();
    (status.code(), said)
}

/// Runs it until something has happened, and interrupts it then.
fn run_until(arguments: &str, has_happened: impl FnMut() -> bool) -> (Option<i32>, String) {
    let process = Process::spawn(&mut load(&format!("{arguments} --duration 1h")));
    until("enough has happened", has_happened);
    process.signal("INT");
    let (status, said) = process.ended();
    (status.code(), said)
}

/// The columns of a row of the table after its name: requests, failed, p50, p90, p99, and the statuses.
fn columns<'a>(said: &'a str, row: &str) -> Vec<&'a str> {
    let line = said.lines().find_map(|line| line.strip_prefix(row)).unwrap_or_else(|| panic!("no row {row}: {said}"));
    line.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect()
}

/// A latency as the table shows it.
fn milliseconds(text: &str) -> f64 {
    let (number, unit) = text.split_once(' ').unwrap();
    number.parse::<f64>().unwrap() * if unit == "s" { 1000.0 } else { 1.0 }
}

/// How many requests of a row were answered with this status.
fn answered(said: &str, row: &str, status: u16) -> u64 {
    let statuses = columns(said, row).last().unwrap().split(", ");
    let count = statuses.filter_map(|part| part.strip_prefix(&format!("{status}: "))).next();
    count.map_or(0, |count| count.parse().unwrap())
}

/// All orders of the admin.
fn orders(stack: &Stack) -> Vec<Value> {
    let admin = stack.token("admin");
    stack.send(&get("/api/orders?limit=500").bearer(&admin)).json().as_array().unwrap().clone()
}

#[test]
fn customers_sign_in_browse_and_order_no_faster_than_asked_for_until_they_are_interrupted() {
    let (stack, _folder) = Stack::new();
    let cancelled = || orders(&stack).iter().filter(|order| order["status"] == "cancelled").count();
    let began = Instant::now();
    let (code, said) = run_until(&format!("http://{} --rate 60 --users 4", stack.gateway), || cancelled() >= 4);
    let seconds = began.elapsed().as_secs();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(answered(&said, "sign in", 201), 4, "{said}");
    for step in ["list users", "list orders", "read an order", "cancel an order"] {
        assert!(answered(&said, step, 200) > 0, "{step}: {said}");
    }
    let all: u64 = columns(&said, "all")[0].parse().unwrap();
    assert!(all <= 60 * (seconds + 1), "in {seconds} s: {said}");
    let placed = orders(&stack);
    assert_eq!(placed.len() as u64, answered(&said, "place an order", 201), "{said}");
    assert_eq!(cancelled() as u64, answered(&said, "cancel an order", 200), "{said}");
    let quantiles: Vec<f64> = columns(&said, "all")[2..5].iter().map(|text| milliseconds(text)).collect();
    assert!(quantiles[0] > 0.0 && quantiles.is_sorted(), "{said}");
    assert!(!said.contains('\r'), "a line that changes is for terminals: {said}");
}

/// A stack whose gateway has these changes of its YAML.
fn stack_with(folder: &Path, changes: &[(&str, &str)]) -> Stack {
    let yaml = changes.iter().fold(gateway::STACK_YAML.to_owned(), |yaml, (old, new)| {
        assert!(yaml.contains(old), "{old}");
        yaml.replacen(old, new, 1)
    });
    let file = folder.join("gateway.yaml");
    fs::write(&file, yaml).unwrap();
    Stack::start(folder, &[("GATEWAY_CONFIG", file.to_str().unwrap())])
}

/// An upstream that answers health checks and is dead otherwise: it closes the connection. Counts these requests.
fn dead_upstream() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut bytes = [0; 4096];
            let length = stream.read(&mut bytes).unwrap_or_default();
            if bytes[..length].starts_with(b"GET /health/ready ") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            } else {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (addr, count)
}

#[test]
fn a_dead_upstream_is_counted_and_makes_it_fail() {
    let folder = tempfile::tempdir().unwrap();
    let (orders, requests) = dead_upstream();
    let stack = stack_with(folder.path(), &[("${ORDERS_SERVICE_URL}", &format!("http://{orders}"))]);
    let enough = || requests.load(Ordering::SeqCst) >= 5;
    let (code, said) = run_until(&format!("http://{} --rate 40 --users 2", stack.gateway), enough);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(columns(&said, "sign in")[1], "0", "{said}");
    let failed: u64 = columns(&said, "all")[1].parse().unwrap();
    assert!(failed > 0 && said.contains(&format!("stack: {failed} request")), "{said}");
    assert!(said.contains("failed: list orders: 50") && said.contains("failed: place an order: 50"), "{said}");
}

#[test]
fn a_gateway_that_is_away_is_counted_too() {
    let (code, said) = run(&mut load("http://127.0.0.1:1 --duration 1s --rate 20 --users 2"));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("failed: sign in: cannot connect: Connection refused"), "{said}");
}

#[test]
fn who_comes_too_often_waits_as_told_which_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(folder.path(), &[("LOGIN_LIMIT", "1/s per ip")]);
    let (code, said) = run(&mut load(&format!("http://{} --duration 4s --rate 40 --users 3", stack.gateway)));
    assert_eq!(code, Some(0), "{said}");
    assert!(answered(&said, "sign in", 201) > 1, "{said}");
    assert!((1..10).contains(&answered(&said, "sign in", 429)), "{said}");
}

/// A network before the gateway that loses the answers to the first orders: as many as `losses` says.
fn lossy_network(gateway: SocketAddr, losses: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let left = Arc::new(AtomicUsize::new(losses));
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let left = Arc::clone(&left);
            thread::spawn(move || relay(client, gateway, &left));
        }
    });
    addr
}

/// Carries one request after the other; a request and its answer come in one piece each, or the client notices.
fn relay(mut client: TcpStream, gateway: SocketAddr, losses_left: &AtomicUsize) {
    let mut server = TcpStream::connect(gateway).unwrap();
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = client.read(&mut bytes) {
        let is_order = bytes.starts_with(b"POST /api/orders ");
        if server.write_all(&bytes[..length]).is_err() {
            break;
        }
        let Ok(length @ 1..) = server.read(&mut bytes) else { break };
        let one_less = |left: usize| left.checked_sub(1);
        if is_order && losses_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            break;
        }
        if client.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

#[test]
fn an_order_whose_answer_is_lost_is_sent_again_and_placed_once() {
    let (stack, _folder) = Stack::new();
    let network = lossy_network(stack.gateway, 3);
    let (code, said) = run_until(&format!("http://{network} --rate 60 --users 2"), || orders(&stack).len() >= 20);
    assert_eq!((code, columns(&said, "all")[1]), (Some(1), "3"), "{said}");
    assert!(said.contains("failed: place an order: no answer"), "{said}");
    assert_eq!(orders(&stack).len() as u64, answered(&said, "place an order", 201), "{said}");
}

#[test]
fn a_certificate_is_checked_against_the_authority_that_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = format!("tls: {{cert: {}, key: {}}}\naccess_log:", certificate.display(), key.display());
    let stack = stack_with(folder.path(), &[("access_log:", &tls)]);
    let arguments = format!("https://localhost:{} --duration 1s --rate 20 --users 2", stack.gateway.port());
    let (code, said) = run(load(&arguments).arg("--ca").arg(&certificate));
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&mut load(&arguments));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("UnknownIssuer"), "{said}");
}

#[test]
fn what_cannot_be_sent_is_said_at_once() {
    let nobody = run(load("http://127.0.0.1:1").env_remove("SMOKE_USERNAME").env_remove("SMOKE_PASSWORD"));
    assert_eq!(nobody.0, Some(64), "{}", nobody.1);
    assert!(nobody.1.contains("SMOKE_USERNAME: missing") && nobody.1.contains("SMOKE_PASSWORD_FILE"), "{}", nobody.1);
    for (arguments, message) in [
        ("127.0.0.1:8001", "is not a URL like http://127.0.0.1:8001"),
        ("http://127.0.0.1:1 --ca no-such-file", "cannot use no-such-file"),
        ("http://127.0.0.1:1 --rate 0", "0 is not in 1..="),
        ("http://127.0.0.1:1 --duration soon", "`soon` is not a duration"),
    ] {
        let (code, said) = run(&mut load(arguments));
        assert_eq!(code, Some(64), "{arguments}: {said}");
        assert!(said.contains(message), "{arguments}: {said}");
    }
}
