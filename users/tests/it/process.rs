//! The real program as a process, and calls of the first admin to it.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use chassis::testing::{Answer, Call, Process, call, get, post};
use serde_json::{Value, json};

use crate::fixture::{KEY, as_admin, new_user};

/// The program as a command that has not run yet.
pub(crate) fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_users"));
    command
        .env_clear()
        .env("USERS_LISTEN", "127.0.0.1:0")
        .env("USERS_DATA_DIR", data_dir)
        .env("USERS_BCRYPT_COST", "10")
        .env("USERS_DEMO", "true")
        .env("INTERNAL_KEY", KEY)
        .env("LOG_FORMAT", "json")
        .stdin(Stdio::null());
    command
}

/// Runs a program that must not start: its exit code and what it said.
pub(crate) fn refused(command: &mut Command) -> (i32, String) {
    let (status, said) = Process::spawn(command).ended();
    (status.code().unwrap(), said)
}

/// The request that gives a user another full name.
pub(crate) fn renaming(id: i64, name: &str) -> Call {
    as_admin(call("PATCH", &format!("/api/users/{id}")).json(&json!({"full_name": name})))
}

/// The request that makes a user.
pub(crate) fn creating(name: &str) -> Call {
    as_admin(post("/api/users", &new_user(name, "default")))
}

pub(crate) fn rename(process: &Process, id: i64, name: &str) -> Answer {
    renaming(id, name).send(process.addr())
}

/// Makes a user that must be made.
pub(crate) fn create(process: &Process, name: &str) -> Value {
    let answer = creating(name).send(process.addr());
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// What the first admin reads.
pub(crate) fn read(process: &Process, target: &str) -> Value {
    let answer = as_admin(get(target)).send(process.addr());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The full name of a user.
pub(crate) fn full_name(process: &Process, id: i64) -> String {
    let user = read(process, &format!("/api/users/{id}"));
    user["full_name"].as_str().unwrap_or_default().to_owned()
}
