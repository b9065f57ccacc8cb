//! What is known of ended sessions outlives a reload, and a gateway that takes over knows it before its first answer.

use std::{net::TcpListener, thread};

use chassis::testing::{Connection, get, until};

use super::{
    feed::{Feed, Mode},
    sections, token,
};
use crate::fixture::{File, Process, Upstream};

fn yaml(feed: &Feed, upstream: &Upstream, unreachable: &str) -> String {
    let sections = sections(feed, upstream, unreachable).replace(", assertion: users", "");
    format!("version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\n{sections}")
}

fn status(gateway: &Process, sid: &str) -> u16 {
    get("/x").bearer(&token(sid)).send(gateway.addr).status
}

#[test]
fn a_reload_takes_nothing_back_and_asks_again_only_if_something_about_the_feed_changed() {
    let (feed, upstream) = (Feed::start(), Upstream::echo());
    feed.end("a");
    let before = yaml(&feed, &upstream, "unreachable: accept");
    let more = "  - {route: GET /more, to: u, auth: public}\n";
    let file = File::new(&before);
    let gateway = Process::start(&file);
    assert_eq!(status(&gateway, "a"), 401);
    let from_the_beginning = || feed.questions().iter().filter(|line| line.contains("GET /ended?wait=0")).count();

    file.replace(&format!("{before}{more}"));
    gateway.signal("HUP");
    until("the new route is in force", || get("/more").send(gateway.addr).status == 200);
    assert_eq!((status(&gateway, "a"), from_the_beginning()), (401, 1));

    feed.begin_again();
    file.replace(&format!("{}{more}", yaml(&feed, &upstream, "unreachable: accept, after: 20s")));
    gateway.signal("HUP");
    until("the feed is asked again", || from_the_beginning() > 1);
    assert_eq!(status(&gateway, "a"), 401, "although the feed does not say so any more");

    feed.set(Mode::Down);
    file.replace(&before.replace(", sessions: {from: s, path: /ended, unreachable: accept}", ""));
    gateway.signal("HUP");
    until("nothing is looked up any more", || status(&gateway, "a") == 200);
    file.replace(&yaml(&feed, &upstream, "unreachable: accept"));
    gateway.signal("HUP");
    until("it is looked up again", || status(&gateway, "a") == 401);
}

#[test]
fn a_gateway_that_takes_over_reads_the_feed_before_its_first_answer() {
    let (feed, upstream) = (Feed::start(), Upstream::echo());
    feed.end("a");
    feed.set(Mode::Silent);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let yaml = yaml(&feed, &upstream, "unreachable: accept").replace("admin: 127.0.0.1:0", &format!("admin: {admin}"));
    let file = File::new(&yaml);
    thread::scope(|scope| {
        let started = scope.spawn(|| Process::start_on(&listener, &file));
        let mut client = Connection::open(listener.local_addr().unwrap());
        let request = format!("GET /x HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {}\r\n\r\n", token("a"));
        client.send(request.as_bytes());
        until("the gateway says what it waits for", || {
            let ready = Connection::try_open(admin).is_ok().then(|| get("/health/ready").send(admin));
            ready.is_some_and(|ready| ready.status == 503 && ready.text().contains("ended sessions"))
        });
        feed.set(Mode::Well);
        assert_eq!(client.answer(false).unwrap().problem(), "session_ended");
        started.join().unwrap();
    });
}
