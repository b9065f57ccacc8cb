//! Crashes: what was acknowledged is there after a kill.

use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use chassis::testing::{get, post, until};
use serde_json::{Value, json};

use crate::fixture::{PASSWORD, Stack, users_file};

/// Sends creations from many threads until the process is killed in the midst of them; returns what was acknowledged.
fn burst(stack: Stack, path: &str, admin: &str, body: impl Fn(usize, usize) -> Value + Sync) -> Vec<i64> {
    const ENOUGH: usize = 12;
    let (acknowledged, dead) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let addr = stack.gateway;
    let mut stack = Some(stack);
    thread::scope(|scope| {
        for creator in 0..8 {
            let (acknowledged, dead, body) = (&acknowledged, &dead, &body);
            scope.spawn(move || {
                for n in 0.. {
                    if dead.load(Ordering::SeqCst) {
                        return;
                    }
                    if let Some(id) = create(addr, path, admin, &body(creator, n)) {
                        acknowledged.lock().unwrap().push(id);
                    }
                }
            });
        }
        until("enough is acknowledged", || acknowledged.lock().unwrap().len() >= ENOUGH);
        stack.take().unwrap().kill();
        dead.store(true, Ordering::SeqCst);
    });
    acknowledged.into_inner().unwrap()
}

/// The id of what was created, or nothing where the process died before it answered.
fn create(addr: std::net::SocketAddr, path: &str, admin: &str, body: &Value) -> Option<i64> {
    let answer = post(path, body).bearer(admin).try_send(addr)?;
    (answer.status == 201).then(|| answer.json()["id"].as_i64().unwrap())
}

#[test]
fn every_acknowledged_user_and_order_survives_a_kill_in_the_midst_of_writing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut users, mut orders) = (Vec::new(), Vec::new());
    for round in 0..4 {
        let stack = Stack::start(folder.path(), &[]);
        let admin = stack.token("admin");
        let user = |creator: usize, n: usize| json!({"username": format!("u-{round}-{creator}-{n}"), "password": PASSWORD, "user_type": "default"});
        users.extend(burst(stack, "/api/users", &admin, user));
        let stack = Stack::start(folder.path(), &[]);
        // The start has moved the log of changes into the file.
        let kept: Vec<Value> = serde_json::from_slice(&fs::read(users_file(folder.path())).unwrap()).unwrap();
        assert!(users.iter().all(|id| kept.iter().any(|user| user["id"] == *id)), "round {round}");
        let admin = stack.token("admin");
        orders.extend(burst(
            stack,
            "/api/orders",
            &admin,
            |creator, n| json!({"address": "a", "item": format!("{round}-{creator}-{n}")}),
        ));
    }
    let stack = Stack::start(folder.path(), &[]);
    let admin = stack.token("admin");
    for (path, ids) in [("/api/users", users), ("/api/orders", orders)] {
        assert!(ids.len() >= 48, "{ids:?}");
        for id in ids {
            assert_eq!(stack.send(&get(&format!("{path}/{id}")).bearer(&admin)).status, 200, "{path}/{id}");
        }
    }
}

#[test]
fn a_second_start_keeps_the_data_and_the_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(folder.path(), &[]);
    let admin = stack.token("admin");
    let user = stack.create(&admin, "eve").json();
    let order = stack.send(&post("/api/orders", &json!({"address": "a", "item": "b"})).bearer(&admin)).json();
    stack.terminate();
    let stack = Stack::start(folder.path(), &[]);
    let read = |path: String| stack.send(&get(&path).bearer(&admin)).json();
    assert_eq!(read(format!("/api/users/{}", user["id"])), user);
    assert_eq!(read(format!("/api/orders/{}", order["id"])), order);
}
