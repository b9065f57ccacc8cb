//! The real process: started with an environment, asked, killed; and a client that bears it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::fixture::{KEY, assertion};

/// Longer than anything here takes; a test that hangs fails with this instead.
const DEADLINE: Duration = Duration::from_secs(60);

/// The service as a command that has not run yet.
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
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Runs a service that must not start; its exit code and what it said.
pub(crate) fn refused(command: &mut Command) -> (i32, String) {
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code().unwrap(), said)
}

/// A running process, which dies with the test.
pub(crate) struct Process {
    child: Child,
    addr: SocketAddr,
    log: mpsc::Receiver<String>,
    /// What it has logged so far.
    pub(crate) logged: Vec<String>,
}

impl Process {
    /// Starts the service and waits until it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (lines, log) = mpsc::channel();
        thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| lines.send(line))
        });
        let mut process = Self { child, addr: ([127, 0, 0, 1], 0).into(), log, logged: Vec::new() };
        let listening = process.wait_for_log("users is listening");
        let line: Value = serde_json::from_str(&listening).unwrap();
        process.addr = line["addr"].as_str().unwrap().parse().unwrap();
        process
    }

    pub(crate) fn wait_for_log(&mut self, what: &str) -> String {
        loop {
            let line = self.log.recv_timeout(DEADLINE);
            let line = line.unwrap_or_else(|_| panic!("`{what}` was not logged: {:#?}", self.logged));
            self.logged.push(line.clone());
            if line.contains(what) {
                return line;
            }
        }
    }

    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        assert_eq!(self.child.wait().unwrap().signal(), Some(9));
    }

    /// Asks it to end, as an orchestrator does.
    pub(crate) fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "the process does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn admin(&self, method: &str, target: &str, body: &Value) -> Option<(u16, Value)> {
        admin(self.addr, method, target, body)
    }

    /// The full name of a user.
    pub(crate) fn full_name(&self, id: i64) -> String {
        let (status, user) = self.admin("GET", &format!("/api/users/{id}"), &Value::Null).unwrap();
        assert_eq!(status, 200, "{user}");
        user["full_name"].as_str().unwrap_or_default().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a call of the first admin. Nothing where the answer did not come, or not whole: the process has died.
pub(crate) fn admin(addr: SocketAddr, method: &str, target: &str, body: &Value) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(addr).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(admin_request(method, target, body).as_bytes()).ok()?;
    read_answer(&mut stream)
}

pub(crate) fn admin_request(method: &str, target: &str, body: &Value) -> String {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    format!(
        "{method} {target} HTTP/1.1\r\nHost: users\r\nConnection: close\r\nContent-Type: application/json\r\n\
         gateway-assertion: {}\r\nContent-Length: {}\r\n\r\n{body}",
        assertion(Some((1, "admin"))),
        body.len(),
    )
}

/// The status and the JSON of an answer, `null` for an empty one.
pub(crate) fn read_answer(stream: &mut TcpStream) -> Option<(u16, Value)> {
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    if body.is_empty() {
        return Some((status, Value::Null));
    }
    Some((status, serde_json::from_str(body).ok()?))
}
