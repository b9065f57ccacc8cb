//! Who has a password hashed, and in which order: bcrypt occupies a core for a quarter of a second.

use std::{fs, net::IpAddr, thread};

use chassis::{
    identity::Assertion,
    testing::{Call, Connection, post, until},
};
use serde_json::json;

use crate::fixture::{GATEWAY, PASSWORD, Users, new_user};

/// A wrong login. Each one is to another name, so that none is refused because others failed.
fn guess_from(address: &str, number: usize) -> Call {
    login_from(address, &format!("nobody{number}"), "guess")
}

/// A login as the gateway passes it on for a client at this address.
pub(crate) fn login_from(address: &str, username: &str, password: &str) -> Call {
    let client_ip: IpAddr = address.parse().unwrap();
    let assertion = GATEWAY.sign(&Assertion { client_ip: Some(client_ip), ..Assertion::default() });
    post("/api/login", &json!({"username": username, "password": password})).header("gateway-assertion", &assertion)
}

/// More than the line has room for on any machine that runs tests: 32 for each core.
fn flood() -> usize {
    40 * thread::available_parallelism().map_or(4, usize::from)
}

#[test]
fn an_address_that_signs_in_without_pause_keeps_nobody_waiting() {
    let users = Users::demo();
    let addr = users.addr();
    let (flood, cores) = (flood(), thread::available_parallelism().map_or(4, usize::from));
    thread::scope(|scope| {
        let attackers: Vec<_> = (0..flood)
            .map(|number| scope.spawn(move || guess_from("198.51.100.7", number).send(addr).status))
            .collect();
        let waiting_max = users.metric("users_bcrypt_waiting_max");
        until("the line is full", || users.metric("users_bcrypt_waiting") >= waiting_max - 1.0);
        let computed = || users.metric("users_bcrypt_wait_seconds_count");
        let before = computed();
        for _ in 0..3 {
            assert_eq!(login_from("203.0.113.9", "admin", "a").send(addr).status, 200);
        }
        // Each waits for the hashes that are being computed, and for one of the other address.
        let others = computed() - before - 3.0;
        assert!(others <= (3 * 2 * cores + 3) as f64, "{others} of the others came first");
        let answers: Vec<u16> = attackers.into_iter().map(|attacker| attacker.join().unwrap()).collect();
        // With many cores some are refused because too many from this address have failed.
        assert!(answers.iter().all(|status| [401, 429, 503].contains(status)), "{answers:?}");
        assert!(answers.contains(&503), "the line is bounded");
    });
}

#[test]
fn a_login_whose_client_has_gone_is_not_computed() {
    let users = Users::demo();
    let waiting = || users.metric("users_bcrypt_waiting");
    let clients: Vec<Connection> =
        (0..30).map(|number| guess_from("198.51.100.7", number).begin(users.addr())).collect();
    until("they wait", || waiting() > 20.0);
    let computed = || users.metric("users_bcrypt_wait_seconds_count");
    let before = computed();
    drop(clients);
    until("they have left", || waiting() == 0.0);
    let cores = thread::available_parallelism().map_or(4, usize::from) as f64;
    assert!(computed() - before <= 3.0 * cores, "{} were computed for nobody", computed() - before);
    assert_eq!(users.login("admin", "a").status, 200);
}

/// The niceness of the threads of this process that have this name (`man 5 proc`: field 19 of `stat`).
fn niceness_of_threads(name: &str) -> Vec<String> {
    let stats = fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
        // The thread may have ended meanwhile.
        fs::read_to_string(task.ok()?.path().join("stat")).ok()
    });
    let fields = stats.filter_map(|stat| stat.split_once(&format!("({name}) ")).map(|(_, fields)| fields.to_owned()));
    // The third field is the first one after the name.
    fields.filter_map(|fields| fields.split(' ').nth(19 - 3).map(str::to_owned)).collect()
}

#[test]
fn a_hash_is_computed_at_a_low_priority() {
    let users = Users::demo();
    let clients: Vec<Connection> =
        (0..8).map(|number| guess_from("198.51.100.7", number).begin(users.addr())).collect();
    until("one is computed, and at a low priority", || niceness_of_threads("bcrypt-0").contains(&"10".to_owned()));
    drop(clients);
    let others = niceness_of_threads("actix-rt|system");
    assert!(
        !others.is_empty() && others.iter().all(|niceness| niceness == "0"),
        "those that serve have the usual one: {others:?}"
    );
}

#[test]
fn what_can_be_refused_is_refused_before_the_password_is_hashed() {
    let users = Users::demo();
    let create = |username: &str, email: &str, user_type: &str| {
        let body = json!({"username": username, "password": PASSWORD, "email": email, "user_type": user_type});
        users.admin(post("/api/users", &body))
    };
    assert_eq!(create("ann", "ann@example.com", "default").status, 201);
    let rounds = users.metric("users_bcrypt_rounds_total");
    for (username, email, user_type, status, code) in [
        ("ann", "other@example.com", "default", 409, "username_taken"),
        (" ＡNN ", "other@example.com", "default", 409, "username_taken"),
        ("admin", "other@example.com", "default", 409, "username_taken"),
        ("bob", "Ann@Example.com", "default", 409, "email_taken"),
        ("", "bob@example.com", "default", 422, "validation_failed"),
        ("two\nlines", "bob@example.com", "default", 422, "validation_failed"),
        ("bob", "nowhere", "default", 422, "validation_failed"),
        ("bob", "bob@example.com", "root", 422, "validation_failed"),
    ] {
        let refused = create(username, email, user_type);
        assert_eq!((refused.status, refused.problem().as_str()), (status, code), "{username:?} {email}");
        assert_eq!(users.metric("users_bcrypt_rounds_total"), rounds, "{username:?} {email}: no hash was computed");
    }
    assert_eq!(users.admin(post("/api/users", &new_user("bob", "default"))).status, 201, "the name was not reserved");
    assert!(users.metric("users_bcrypt_rounds_total") > rounds);
}
