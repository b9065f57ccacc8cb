//! Events that are published to NATS: all of them, in order, and once in the stream, whatever fails.

use std::{
    fs,
    net::SocketAddr,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy};
use chassis::testing::{Process, call, get, until, until_some};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::{
    clients,
    fixture::{ADMIN, ANN, Folder, next_page},
    nats::{Nats, STREAM, message_ids},
    process::{command, refused},
};

/// A service that publishes to this server.
fn publishing(folder: &Folder, nats: &Nats) -> Process {
    Process::serve(command(folder).env("EVENTS_URL", nats.url()))
}

/// All events, from the service.
fn events(addr: SocketAddr) -> Vec<Value> {
    let mut events = Vec::new();
    let mut next = Some("/internal/events?limit=500".to_owned());
    while let Some(target) = next {
        let page = ADMIN.gets(addr, &target);
        events.extend(page.json().as_array().expect("an array").iter().cloned());
        next = next_page(&page);
    }
    events
}

/// Every event is in the stream, once and in order, and nothing else is.
pub(crate) fn assert_all_published(addr: SocketAddr, nats: &Nats) {
    let events = events(addr);
    let messages = nats.messages_when(events.len());
    let published: Vec<&Value> = messages.iter().map(|message| &message.event).collect();
    assert_eq!(published, events.iter().collect::<Vec<_>>());
}

fn health(addr: SocketAddr) -> String {
    let answer = get("/health/ready").send(addr);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["checks"]["events"].as_str().expect("a part of health").to_owned()
}

fn metric(addr: SocketAddr, name: &str) -> f64 {
    get("/metrics").send(addr).metric(&format!("orders_events_{name}")).expect("a metric")
}

#[test]
fn each_change_is_published_as_the_endpoint_shows_it() {
    let (folder, nats) = (Folder::new(), Nats::start());
    let program = publishing(&folder, &nats);
    let addr = program.addr();
    ANN.orders(addr, "a book");
    ANN.orders(addr, "a pen");
    assert_eq!(ANN.sends(addr, call("POST", "/api/orders/2/cancel")).status, 200);
    for status in ["confirmed", "shipped", "delivered"] {
        let change = call("PATCH", "/api/orders/1").json(&json!({"status": status}));
        assert_eq!(ADMIN.sends(addr, change).status, 200);
    }
    let messages = nats.messages_when(6);
    let shown: Vec<_> = messages.iter().map(|m| (m.subject.as_str(), m.message_id.as_str())).collect();
    let expected = [
        ("orders.created", "1"),
        ("orders.created", "2"),
        ("orders.cancelled", "3"),
        ("orders.confirmed", "4"),
        ("orders.shipped", "5"),
        ("orders.delivered", "6"),
    ];
    assert_eq!(shown, expected);
    assert!(messages.iter().all(|message| message.content_type == "application/cloudevents+json"));
    assert_all_published(addr, &nats);
    assert_eq!(health(addr), "ok");
    let metrics = ["waiting", "oldest_waiting_seconds", "publishing", "published_total"];
    until("the metrics say so", || metrics.map(|name| metric(addr, name)) == [0.0, 0.0, 1.0, 6.0]);
    program.terminate();
}

#[test]
fn the_stream_is_made_with_limits_and_an_existing_one_stays_as_it_is() {
    let nats = Nats::start();
    let folder = Folder::new();
    publishing(&folder, &nats).said("events are published");
    let config = |nats: &Nats| {
        nats.with(|context| async move { context.get_stream(STREAM).await.unwrap().cached_info().config.clone() })
    };
    let made = config(&nats);
    assert_eq!((made.max_bytes, made.discard, made.max_age), (1 << 30, DiscardPolicy::Old, Duration::ZERO));
    assert_eq!((made.retention, made.duplicate_window), (RetentionPolicy::Limits, Duration::from_secs(120)));

    let nats = Nats::start();
    nats.make_stream(Config { max_bytes: 1 << 20, description: Some("mine".to_owned()), ..Config::default() });
    publishing(&folder, &nats).said("events are published");
    let kept = config(&nats);
    assert_eq!((kept.max_bytes, kept.description.as_deref()), (1 << 20, Some("mine")));
}

#[test]
fn a_service_goes_on_where_the_stream_ends() {
    let (folder, nats) = (Folder::new(), Nats::start());
    // Before anything was published, and with more than one batch of it.
    let program = Process::serve(&mut command(&folder));
    (0..230).for_each(|n| drop(ANN.orders(program.addr(), &n.to_string())));
    assert_eq!(get("/health/ready").send(program.addr()).json()["checks"], json!({"store": "ok"}));
    program.terminate();
    for _ in 0..2 {
        let program = publishing(&folder, &nats);
        assert_all_published(program.addr(), &nats);
        ANN.orders(program.addr(), "another");
        assert_all_published(program.addr(), &nats);
        program.terminate();
    }
    // As after a power failure of the server, which loses what it has acknowledged.
    let program = publishing(&folder, &nats);
    nats.messages_when(232);
    drop(program.kill());
    nats.with(|context| async move {
        let stream = context.get_stream(STREAM).await.unwrap();
        for sequence in 231..=232 {
            stream.delete_message(sequence).await.unwrap();
        }
    });
    nats.kill();
    // The ids of what was there are kept for two minutes, in memory alone.
    nats.run();
    let program = publishing(&folder, &nats);
    assert_all_published(program.addr(), &nats);
    program.terminate();
}

#[test]
fn a_server_that_is_away_delays_events_and_nothing_else() {
    let (folder, nats) = (Folder::new(), Nats::planned(""));
    let program = publishing(&folder, &nats);
    let addr = program.addr();
    let log = program.said("events are not published, and will be later");
    assert!(log["message"].as_str().unwrap().contains("cannot connect to the server"), "{log}");
    ANN.orders(addr, "a book");
    until("it is seen to wait", || metric(addr, "waiting") >= 1.0 && metric(addr, "oldest_waiting_seconds") > 0.5);
    assert_eq!(metric(addr, "publishing"), 0.0);
    assert!(health(addr).starts_with("not published: cannot connect to the server"), "{}", health(addr));
    nats.run();
    assert_all_published(addr, &nats);
    until("the health says so", || health(addr) == "ok" && metric(addr, "waiting") == 0.0);

    // Gone while there is nothing to publish, which is noticed all the same.
    nats.kill();
    until("the health says so", || health(addr).starts_with("not published: "));
    nats.run();
    until("the health says so", || health(addr) == "ok");
    ANN.orders(addr, "a pen");
    assert_all_published(addr, &nats);
    // It says once that it fails, not with each attempt.
    let failures = program.log().iter().filter(|line| line.to_string().contains("events are not published")).count();
    assert!(failures <= 6, "{}", program.log_text());
    program.terminate();
}

#[test]
fn a_server_that_hangs_holds_up_no_request_and_no_shutdown() {
    let (folder, nats) = (Folder::new(), Nats::start());
    let program = publishing(&folder, &nats);
    let addr = program.addr();
    ANN.orders(addr, "before");
    nats.messages_when(1);
    nats.signal("STOP");
    let start = Instant::now();
    (0..150).for_each(|n| drop(ANN.orders(addr, &n.to_string())));
    until("the health says so", || health(addr).starts_with("not published: "));
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    nats.signal("CONT");
    assert_all_published(addr, &nats);
    nats.signal("STOP");
    ANN.orders(addr, "after");
    program.signal("TERM");
    let start = Instant::now();
    let (status, log) = program.ended();
    assert!(status.success() && start.elapsed() < Duration::from_secs(5), "{:?} {status}: {log}", start.elapsed());
    nats.signal("CONT");
    let program = publishing(&folder, &nats);
    assert_all_published(program.addr(), &nats);
    program.terminate();
}

#[test]
fn a_stream_that_is_full_takes_the_rest_once_it_has_room() {
    let (folder, nats) = (Folder::new(), Nats::start());
    let limited = |max_messages| Config { max_messages, discard: DiscardPolicy::New, ..Config::default() };
    nats.make_stream(limited(3));
    let program = publishing(&folder, &nats);
    let addr = program.addr();
    (0..10).for_each(|n| drop(ANN.orders(addr, &n.to_string())));
    until("the health says so", || health(addr).contains("maximum messages exceeded"));
    assert_eq!(message_ids(&nats.messages()), ["1", "2", "3"]);
    until("the rest is seen to wait", || metric(addr, "waiting") == 7.0);
    let subjects = vec!["orders.>".to_owned()];
    let config = Config { name: STREAM.to_owned(), subjects, ..limited(100) };
    nats.with(|context| async move { context.update_stream(config).await.unwrap() });
    assert_all_published(addr, &nats);
    program.terminate();
}

#[test]
fn a_stream_that_could_not_say_where_to_go_on_is_refused() {
    for (config, expected) in [
        (Config { max_age: Duration::from_secs(3600), ..Config::default() }, "by their age (max_age)"),
        (Config { retention: RetentionPolicy::WorkQueue, ..Config::default() }, "that were consumed (retention)"),
    ] {
        let (folder, nats) = (Folder::new(), Nats::start());
        nats.make_stream(config);
        let program = publishing(&folder, &nats);
        program.said(expected);
        ANN.orders(program.addr(), "a book");
        assert!(health(program.addr()).contains(expected));
        assert!(nats.messages().is_empty());
    }
    // The message of somebody else at the end, until it is removed.
    let (folder, nats) = (Folder::new(), Nats::start());
    nats.make_stream(Config::default());
    nats.with(|context| async move { context.publish("orders.test", "{}".into()).await.unwrap().await.unwrap() });
    let program = publishing(&folder, &nats);
    program.said("nats stream rmm ORDERS 1");
    nats.with(|context| async move {
        context.get_stream(STREAM).await.unwrap().delete_message(1).await.unwrap();
    });
    ANN.orders(program.addr(), "a book");
    assert_all_published(program.addr(), &nats);
}

#[test]
fn a_stream_that_is_ahead_of_the_database_gets_nothing_until_it_is_purged() {
    let (nats, newer, restored) = (Nats::start(), Folder::new(), Folder::new());
    nats.make_stream(Config { duplicate_window: Duration::from_secs(3), ..Config::default() });
    let program = publishing(&newer, &nats);
    (0..3).for_each(|n| drop(ANN.orders(program.addr(), &n.to_string())));
    nats.messages_when(3);
    program.terminate();
    let program = publishing(&restored, &nats);
    program.said("the stream has event 3, and the database none after 0");
    let order = ANN.orders(program.addr(), "after the backup");
    nats.with(|context| async move {
        context.get_stream(STREAM).await.unwrap().purge().await.unwrap();
    });
    // Until the server has forgotten the other event 1, it would take this one for it.
    until("it is published", || nats.messages().first().is_some_and(|first| first.event["data"] == order));
    program.terminate();
}

#[test]
fn what_others_append_is_no_reason_to_lose_or_to_repeat_an_event() {
    let (folder, nats) = (Folder::new(), Nats::start());
    let program = publishing(&folder, &nats);
    let addr = program.addr();
    ANN.orders(addr, "first");
    nats.messages_when(1);
    // As a replica that was faster: the event of an order that this service is about to publish.
    nats.with(|context| async move {
        let stream = context.get_stream(STREAM).await.unwrap();
        let mut config = stream.cached_info().config.clone();
        config.subjects.push("others.>".to_owned());
        context.update_stream(config).await.unwrap();
        for _ in 0..3 {
            context.publish("others.thing", "{}".into()).await.unwrap().await.unwrap();
        }
    });
    ANN.orders(addr, "second");
    let published = until_some("it is published", || {
        let messages = nats.messages();
        (messages.len() == 5).then_some(messages)
    });
    assert_eq!(message_ids(&published), ["1", "", "", "", "2"]);
    program.terminate();
}

/// Number of times that the service and the server are killed, where `ORDERS_TEST_KILLS` does not say otherwise.
const KILLS: usize = 6;

#[test]
fn no_crash_of_the_service_or_of_nats_loses_an_event_or_publishes_it_twice() {
    let kills = std::env::var("ORDERS_TEST_KILLS").map_or(KILLS, |text| text.parse().expect("a number of kills"));
    let (folder, nats) = (Folder::new(), Nats::start());
    let mut clients = clients::clients();
    for kill in 0..kills {
        let program = publishing(&folder, &nats);
        clients::work(&mut clients, program.addr(), |made| {
            let more = |count| {
                let before = made.load(Ordering::Relaxed);
                until("more orders are made", || made.load(Ordering::Relaxed) >= before + count);
            };
            more(5 + kill % 40);
            if kill % 2 == 0 {
                nats.kill();
                more(20);
                nats.run();
            }
            more(20);
            drop(program.kill());
        });
    }
    let program = publishing(&folder, &nats);
    clients::assert_exactly_once(&clients, program.addr());
    assert_all_published(program.addr(), &nats);
    program.terminate();
}

#[test]
fn a_password_is_used_and_never_shown() {
    let nats = Nats::planned("authorization { user: \"orders@shop\", password: \"hunter/2\" }");
    nats.run();
    let folder = Folder::new();
    let url = |password: &str| format!("nats://orders%40shop:{password}@127.0.0.1:{}", nats.port());
    let start =
        |url: &str| Process::serve(command(&folder).env("EVENTS_URL", url).env("RUST_LOG", "trace,async_nats=trace"));
    let program = start(&url("hunter%2F3"));
    program.said("the server does not accept the user");
    assert!(health(program.addr()).contains("the server does not accept the user"));
    let log = program.kill();
    assert!(!log.contains("hunter"), "{log}");

    let file = folder.path().join("url");
    fs::write(&file, url("hunter%2F2") + "\n").unwrap();
    let program =
        Process::serve(command(&folder).env("EVENTS_URL_FILE", file).env("RUST_LOG", "trace,async_nats=trace"));
    program.said("events are published");
    let log = program.kill();
    assert!(log.contains("nats://127.0.0.1") && !log.contains("hunter"), "{log}");
}

#[test]
fn the_certificate_of_the_server_is_verified() {
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (own, other, key) = (authority("own"), authority("other"), KeyPair::generate().unwrap());
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &own).unwrap();
    let nats = Nats::planned("tls { cert_file: \"server.pem\", key_file: \"server.key\" }");
    for (name, pem) in [
        ("server.pem", certificate.pem()),
        ("server.key", key.serialize_pem()),
        ("own.pem", own.pem()),
        ("other.pem", other.pem()),
    ] {
        fs::write(nats.folder().join(name), pem).unwrap();
    }
    nats.run();
    let folder = Folder::new();
    for (scheme, host, authority, expected) in [
        ("tls", "localhost", "own.pem", "events are published"),
        // The server demands it.
        ("nats", "localhost", "own.pem", "events are published"),
        ("tls", "localhost", "other.pem", "UnknownIssuer"),
        ("tls", "127.0.0.1", "own.pem", "certificate not valid for name"),
    ] {
        let mut command = command(&folder);
        command.env("EVENTS_URL", format!("{scheme}://{host}:{}", nats.port()));
        let program = Process::serve(command.env("EVENTS_CA_FILE", nats.folder().join(authority)));
        program.said(expected);
        program.terminate();
    }
    let plain = Nats::start();
    let url = format!("tls://127.0.0.1:{}", plain.port());
    let program = Process::serve(command(&folder).env("EVENTS_URL", url));
    program.said("cannot connect to the server");
    program.terminate();
}

#[test]
fn mistakes_in_the_settings_are_all_reported() {
    let folder = Folder::new();
    let missing = folder.path().join("missing.creds");
    for (url, credentials, expected) in [
        ("http://nats", None, "EVENTS_URL: not the URL of a NATS server"),
        ("nats://o:hunter2@nats", Some(&missing), "EVENTS_URL: has a user, and EVENTS_CREDENTIALS_FILE is set"),
        ("nats://nats", Some(&missing), "missing.creds: No such file"),
        ("", Some(&missing), "EVENTS_CREDENTIALS_FILE: is of no use without EVENTS_URL"),
    ] {
        let mut command = command(&folder);
        command.env("EVENTS_URL", url).env_remove("INTERNAL_KEY");
        if let Some(credentials) = credentials {
            command.env("EVENTS_CREDENTIALS_FILE", credentials);
        }
        let (code, said) = refused(&mut command);
        assert_eq!(code, Some(64), "{said}");
        assert!(said.contains(expected) && said.contains("INTERNAL_KEY: missing") && !said.contains("ter2"), "{said}");
    }
}
