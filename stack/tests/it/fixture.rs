//! The stack as a process of its own, on free ports, with a folder of its own.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use chassis::testing::{Answer, Call, post};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A running stack; killed when dropped.
pub(crate) struct Stack {
    process: Child,
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

    /// Starts the stack on a folder and waits until it has told its addresses, which it does once it is bound.
    pub(crate) fn start(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut process = command(folder).envs(environment.iter().copied()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut addrs: Vec<SocketAddr> = Vec::new();
        while addrs.len() < 3 {
            let Some(line) = lines.next() else { panic!("the stack ended: {:?}", process.wait()) };
            addrs.extend(
                line.split("http://")
                    .skip(1)
                    .filter_map(|rest| rest.split([' ', '/']).next()?.parse::<SocketAddr>().ok()),
            );
            // The gateway's address stands twice in its line.
            addrs.dedup();
        }
        let [gateway, users, orders] = addrs.try_into().unwrap();
        // Read to the end, or the stack would block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
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

    /// Ends the process at once, as a power cut would.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks the process to end, and waits for its exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
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
        .stderr(Stdio::null());
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
