//! The stack as a process of its own, on free ports, with a folder of its own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use chassis::testing::{Answer, Call, Process, post};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A running stack; killed when dropped.
pub(crate) struct Stack {
    process: Process,
    pub(crate) gateway: SocketAddr,
    pub(crate) users: SocketAddr,
    pub(crate) orders: SocketAddr,
}

impl Stack {
    /// Starts the stack on a new folder, which lives as long as the second value.
    pub(crate) fn new() -> (Self, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Self::start(folder.path(), &[]), folder)
    }

    /// Starts the stack on a folder.
    pub(crate) fn start(folder: &Path, environment: &[(&str, &str)]) -> Self {
        Self::of(Process::spawn(command(folder).envs(environment.iter().copied())))
    }

    /// Waits for the addresses of a stack, which it prints once they are bound.
    pub(crate) fn of(process: Process) -> Self {
        // `  Gateway  http://…` and `  users  http://…  orders  http://…`.
        let addr = |name: &str| -> SocketAddr {
            let start =
                |line: &Value| Some(line.as_str()?.strip_prefix("  ")?.split_once(name)?.1.trim_start().to_owned());
            let line = process.logged(name, |line| start(line).is_some_and(|rest| rest.starts_with("http://")));
            let addr = start(&line).and_then(|rest| rest.strip_prefix("http://")?.split(' ').next()?.parse().ok());
            addr.unwrap_or_else(|| panic!("no address: {line}"))
        };
        let (gateway, users, orders) = (addr("Gateway"), addr("users"), addr("orders"));
        Self { process, gateway, users, orders }
    }

    /// Sends a request to the gateway.
    pub(crate) fn send(&self, call: &Call) -> Answer {
        call.send(self.gateway)
    }

    /// The answer to a login.
    pub(crate) fn login(&self, username: &str, password: &str) -> Answer {
        self.send(&post("/api/login", &json!({"username": username, "password": password})))
    }

    /// A token of one of the demo users, or of one made with the password [`PASSWORD`].
    pub(crate) fn token(&self, username: &str) -> String {
        let password = match username {
            "admin" => "a",
            "demo" => "b",
            "test" => "test",
            _ => PASSWORD,
        };
        let answer = self.login(username, password);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Creates a user with the password [`PASSWORD`].
    pub(crate) fn create(&self, admin: &str, username: &str) -> Answer {
        let user = json!({"username": username, "password": PASSWORD, "user_type": "default"});
        self.send(&post("/api/users", &user).bearer(admin))
    }

    /// Ends the process at once, as a power cut would; returns all that it wrote.
    pub(crate) fn kill(self) -> String {
        self.process.kill()
    }

    /// Ends the process as an operator does; it must succeed.
    pub(crate) fn terminate(self) {
        self.process.terminate();
    }
}

/// The password of users that tests make.
pub(crate) const PASSWORD: &str = "a long enough password";

/// The binary with free ports and the cheapest hashes.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stack"));
    command
        .env_clear()
        .env("DATA_DIR", folder.join("data"))
        .env("USERS_BCRYPT_COST", "10")
        .env("GATEWAY_WORKERS", "2")
        .env("USERS_WORKERS", "1")
        .env("ORDERS_WORKERS", "1")
        .stdin(Stdio::null());
    for listen in ["GATEWAY_LISTEN", "GATEWAY_ADMIN_LISTEN", "USERS_LISTEN", "ORDERS_LISTEN"] {
        command.env(listen, "127.0.0.1:0");
    }
    command
}

/// The file of the users.
pub(crate) fn users_file(folder: &Path) -> PathBuf {
    folder.join("data/users/users.json")
}

/// A value without the members that differ from run to run.
pub(crate) fn without(mut value: Value, members: &[&str]) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.retain(|name, _| !members.contains(&name.as_str()));
    }
    value
}
