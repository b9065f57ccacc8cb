//! Reload and restart: what changes, what stays, and that no request is lost over it.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::symlink,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use chassis::testing::{get, until};

use crate::fixture::{Client, File, Mode, Process, Target, Upstream};

fn yaml(upstream: &Upstream, routes: &str) -> String {
    format!(
        "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\n\
         upstreams: {{u: {{targets: [\"http://{}\"]}}}}\nroutes:\n  - {{route: GET /x, to: u, auth: public}}\n{routes}",
        upstream.addr
    )
}

const MORE: &str = "  - {route: GET /more, to: u, auth: public}\n";

#[test]
fn a_changed_file_is_in_force_without_a_restart() {
    let upstream = Upstream::echo();
    let file = File::new(&yaml(&upstream, ""));
    let gateway = Process::start(&file);
    assert_eq!(get("/more").send(gateway.addr).status, 404);
    let hash = gateway.admin("/config").json()["reload"]["config_hash"].clone();
    file.replace(&yaml(&upstream, MORE));
    until("the new route is in force", || get("/more").send(gateway.addr).status == 200);
    assert_eq!(gateway.metric("config_reloads_total{result=\"success\"}"), 1.0);
    assert_ne!(gateway.admin("/config").json()["reload"]["config_hash"], hash);
}

#[test]
fn a_folder_that_is_swapped_by_its_link_is_noticed() {
    let upstream = Upstream::echo();
    let file = File::new("");
    let folder = file.path.parent().unwrap();
    for (name, routes) in [("one", ""), ("two", MORE)] {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("gateway.yaml"), yaml(&upstream, routes)).unwrap();
    }
    // As Kubernetes mounts a ConfigMap: the file is a link through `..data`, which is what is swapped.
    fs::remove_file(&file.path).unwrap();
    symlink("one", folder.join("..data")).unwrap();
    symlink("..data/gateway.yaml", &file.path).unwrap();
    let gateway = Process::start(&file);
    symlink("two", folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    until("the new route is in force", || get("/more").send(gateway.addr).status == 200);
}

#[test]
fn a_bad_file_changes_nothing_and_says_so_everywhere() {
    let upstream = Upstream::echo();
    let file = File::new(&yaml(&upstream, ""));
    let gateway = Process::start(&file);
    assert_eq!(gateway.metric("config_reload_success"), 1.0);
    file.replace(&yaml(&upstream, MORE).replace("auth", "atuh").replace("version: 1", "version: 2"));
    let line = gateway.said("refused");
    let message = line["message"].as_str().unwrap();
    for part in ["has 3 mistakes:", "did you mean `auth`?", "reads version 1", "gateway.yaml:1:"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(gateway.metric("config_reload_success"), 0.0);
    assert_eq!(gateway.metric("config_reloads_total{result=\"refused\"}"), 1.0);
    assert_eq!(gateway.admin("/config").json()["reload"]["mistakes"].as_array().unwrap().len(), 3);
    assert_eq!(get("/x").send(gateway.addr).status, 200);
    assert_eq!(get("/more").send(gateway.addr).status, 404);

    file.replace(&yaml(&upstream, MORE));
    until("the new route is in force", || get("/more").send(gateway.addr).status == 200);
    until("the reload is counted", || gateway.metric("config_reload_success") == 1.0);
}

#[test]
fn what_cannot_be_reloaded_asks_for_a_restart() {
    let upstream = Upstream::echo();
    let file = File::new(&yaml(&upstream, ""));
    let gateway = Process::start(&file);
    file.replace(&yaml(&upstream, MORE).replace("listen: 127.0.0.1:0", "listen: 127.0.0.1:1"));
    gateway.signal("HUP");
    let line = gateway.said("refused");
    assert!(line["message"].as_str().unwrap().contains("127.0.0.1:1 needs a restart"), "{line}");
    assert_eq!(get("/more").send(gateway.addr).status, 404);
}

#[test]
fn counters_and_limits_of_what_did_not_change_are_kept() {
    let upstream = Upstream::echo();
    let limited = "  - {route: GET /limited, to: u, auth: public, limit: 2/h per ip}\n";
    let file = File::new(&yaml(&upstream, limited));
    let gateway = Process::start(&file);
    assert_eq!(get("/limited").send(gateway.addr).status, 200);
    assert_eq!(get("/limited").send(gateway.addr).status, 200);
    file.replace(&yaml(&upstream, &format!("{limited}{MORE}")));
    gateway.signal("HUP");
    until("the new route is in force", || get("/more").send(gateway.addr).status == 200);
    assert_eq!(get("/limited").send(gateway.addr).problem(), "rate_limited");
    let counted = "gateway_requests_total{route=\"GET /limited\",upstream=\"u\",status=\"200\"}";
    assert_eq!(gateway.metric(counted), 2.0);

    file.replace(&yaml(&upstream, &limited.replace("2/h", "3/h")));
    gateway.signal("HUP");
    until("the new limit is in force", || get("/limited").send(gateway.addr).status == 200);
}

#[test]
fn what_is_known_about_a_target_outlives_a_reload_that_adds_another() {
    let (broken, sick, well) = (Target::start("broken"), Target::start("sick"), Target::start("well"));
    broken.set(Mode::Break);
    sick.set_health(Mode::Status(503));
    let yaml = |targets: &[&Target], routes: &str| {
        let urls: Vec<String> = targets.iter().map(|target| target.url()).collect();
        format!(
            "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\n\
             upstreams: {{u: {{targets: [{}], breaker: {{failures: 2, open: 60m}}, max_in_flight: 2, \
             health: {{path: /health, interval: 500ms}}}}}}\n\
             routes:\n  - {{route: GET /x, to: u, auth: public}}\n{routes}",
            urls.join(", ")
        )
    };
    let file = File::new(&yaml(&[&broken, &sick, &well], ""));
    let gateway = Process::start(&file);
    let up =
        |target: &Target| gateway.metric(&format!("gateway_target_up{{upstream=\"u\",target=\"{}\"}}", target.addr));
    until("one target is left", || {
        get("/x").send(gateway.addr);
        up(&broken) == 0.0 && up(&sick) == 0.0
    });
    let seen = (broken.count(), sick.count());
    well.set(Mode::Hang);
    let addr = gateway.addr;
    let hanging: Vec<_> = (0..2).map(|_| thread::spawn(move || get("/x").send(addr).status)).collect();
    until("the upstream is full", || well.in_flight() == 2);

    let new = Target::start("new");
    file.replace(&yaml(&[&broken, &sick, &well, &new], MORE));
    gateway.signal("HUP");
    until("the new route is in force", || get("/more").send(gateway.addr).status != 404);
    assert_eq!((up(&broken), up(&sick), up(&new)), (0.0, 0.0, 1.0));
    assert_eq!(get("/more").send(gateway.addr).problem(), "overloaded", "the requests from before count");
    well.set(Mode::Healthy);
    assert!(hanging.into_iter().all(|hanging| hanging.join().unwrap() == 200));
    until("there is room", || get("/more").send(gateway.addr).status == 200);
    assert!((0..20).all(|_| get("/x").send(gateway.addr).status == 200));
    assert_eq!((broken.count(), sick.count()), seen, "nothing was tried again");
}

/// A gateway with a request in flight whose route and upstream a reload has removed.
struct Reloaded {
    gateway: Process,
    client: JoinHandle<Result<(u16, Vec<u8>), String>>,
    /// Lets the upstream answer.
    release: Arc<AtomicBool>,
    _file: File,
}

impl Reloaded {
    fn with_a_request_in_flight() -> Self {
        let release = Arc::new(AtomicBool::new(false));
        let released = Arc::clone(&release);
        let slow = Upstream::start(move |_| {
            until("the upstream may answer", || released.load(Ordering::Acquire));
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()
        });
        let file = File::new(&yaml(&slow, ""));
        let gateway = Process::start(&file);
        let addr = gateway.addr;
        let client = thread::spawn(move || Client::new(addr, true).get("/x"));
        let in_flight = "gateway_in_flight{route=\"GET /x\",upstream=\"u\"}";
        until("the request is in flight", || gateway.metric(in_flight) == 1.0);
        file.replace(&yaml(&Upstream::echo(), "").replace("GET /x", "GET /y"));
        gateway.signal("HUP");
        until("the new route is in force", || get("/y").send(gateway.addr).status == 200);
        Self { gateway, client, release, _file: file }
    }

    /// Lets the upstream answer, and returns the gateway once the client has got its answer whole.
    fn answered(self) -> Process {
        self.release.store(true, Ordering::Release);
        assert_eq!(self.client.join().unwrap(), Ok((200, b"ok".to_vec())));
        self.gateway
    }
}

#[test]
fn an_answer_that_is_under_way_goes_on_through_a_reload() {
    Reloaded::with_a_request_in_flight().answered();
}

#[test]
fn a_drain_waits_for_requests_that_began_before_a_reload() {
    let reloaded = Reloaded::with_a_request_in_flight();
    reloaded.gateway.signal("TERM");
    reloaded.gateway.said("SIGTERM: draining");
    // Longer than the gateway takes to find that only idle connections are left.
    let patience = Instant::now() + Duration::from_secs(4);
    until("the gateway has had time to end too early", || reloaded.client.is_finished() || Instant::now() > patience);
    reloaded.answered().ended_well();
}

#[test]
fn a_client_that_keeps_its_connection_for_later_does_not_hold_up_the_end() {
    let upstream = Upstream::answering(ANSWER);
    let gateway = Process::start(&File::new(&yaml(&upstream, "")));
    let mut idle = Client::new(gateway.addr, true);
    assert_eq!(idle.get("/x").unwrap().0, 200);
    gateway.signal("TERM");
    gateway.said("drained; idle connections are closed");
    gateway.ended_well();
}

#[test]
fn every_answer_closes_its_connection_while_the_gateway_drains() {
    let upstream = Upstream::answering(ANSWER);
    let gateway = Process::start(&File::new(&yaml(&upstream, "")));
    let (mut kept, mut other) = (Client::new(gateway.addr, true), Client::new(gateway.addr, true));
    assert!(kept.get("/x").is_ok() && other.get("/x").is_ok());
    assert!(kept.is_open());
    gateway.signal("TERM");
    gateway.said("SIGTERM: draining");
    until("the client is told to close", || {
        // The connection is there until an answer closes it; then the client opens another.
        assert_eq!(kept.get("/x").unwrap().0, 200);
        !kept.is_open()
    });
    gateway.ended_well();
}

#[test]
fn a_gateway_that_drains_says_on_both_listeners_that_it_is_not_ready_and_still_serves() {
    let upstream = Upstream::answering(ANSWER);
    let file = File::new(&yaml(&upstream, "builtin: {health: /health}\n"));
    let gateway = Process::start_draining_slowly(&file, "3s");
    let ready = || [gateway.addr, gateway.admin].map(|addr| get("/health/ready").send(addr).status);
    assert_eq!(ready(), [200, 200]);
    gateway.signal("TERM");
    gateway.said("SIGTERM: draining");
    until("it is not ready", || ready() == [503, 503]);
    assert_eq!(get("/health/ready").send(gateway.addr).problem(), "not_ready");
    assert_eq!(get("/health/live").send(gateway.addr).status, 200);
    let answer = get("/x").send(gateway.addr);
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    gateway.ended_well();
}

/// Number of requests: enough to see a failure that happens once in ten thousand.
const REQUESTS: u32 = 50_000;

/// Sends [`REQUESTS`] through several clients, keeping their connections or not, while `meanwhile` runs again and again;
/// its argument is the number that is left.
fn under_load(addr: std::net::SocketAddr, mut meanwhile: impl FnMut(&AtomicU32)) {
    let (left, failures) = (AtomicU32::new(REQUESTS), std::sync::Mutex::new(Vec::new()));
    let client = |keeps: bool| {
        let mut client = Client::new(addr, keeps);
        while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            match client.get("/x") {
                Ok((200, _)) => {}
                other => failures.lock().unwrap().push(other),
            }
        }
    };
    thread::scope(|scope| {
        let clients: Vec<_> = [true, true, true, true, true, true, false, false]
            .into_iter()
            .map(|keeps| scope.spawn(move || client(keeps)))
            .collect();
        while !clients.iter().all(thread::ScopedJoinHandle::is_finished) {
            meanwhile(&left);
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {REQUESTS} failed, as {:?}",
        failures.len(),
        &failures[..failures.len().min(5)]
    );
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn no_request_fails_while_the_configuration_is_reloaded() {
    let upstream = Upstream::answering(ANSWER);
    let other = Upstream::answering(ANSWER);
    let file = File::new(&yaml(&upstream, ""));
    let gateway = Process::start(&file);
    let files = [yaml(&other, MORE), yaml(&upstream, "nonsense"), yaml(&upstream, ""), yaml(&other, "")];
    let mut next = files.iter().cycle();
    under_load(gateway.addr, |_| {
        file.replace(next.next().unwrap());
        gateway.signal("HUP");
        thread::sleep(Duration::from_millis(20));
    });
    let reloads = gateway.metric("config_reloads_total{result=\"success\"}");
    assert!(reloads >= 10.0, "{reloads} reloads only");
    assert!(gateway.metric("config_reloads_total{result=\"refused\"}") >= 3.0);
    assert!(!other.received().is_empty() && !upstream.received().is_empty());
}

#[test]
fn no_request_fails_while_one_gateway_takes_over_from_another() {
    let upstream = Upstream::answering(ANSWER);
    let file = File::new(&yaml(&upstream, ""));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut running = Process::start_on(&listener, &file);
    let mut restarts = 0;
    under_load(listener.local_addr().unwrap(), |_| {
        let successor = Process::start_on(&listener, &file);
        std::mem::replace(&mut running, successor).terminate();
        restarts += 1;
    });
    assert!(restarts >= 2, "{restarts} restarts only");
}

#[test]
fn no_request_fails_while_a_gateway_is_restarted_on_a_socket_that_outlives_it() {
    let upstream = Upstream::answering(ANSWER);
    let file = File::new(&yaml(&upstream, ""));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut running = Some(Process::start_on(&listener, &file));
    let mut restarts = 0;
    under_load(listener.local_addr().unwrap(), |left| {
        let goal = left.load(Ordering::Relaxed).saturating_sub(REQUESTS / 5);
        until("a fifth of the requests is done", || left.load(Ordering::Relaxed) <= goal);
        running.take().unwrap().terminate();
        running = Some(Process::start_on(&listener, &file));
        restarts += 1;
    });
    assert!(restarts >= 2, "{restarts} restarts only");
}
