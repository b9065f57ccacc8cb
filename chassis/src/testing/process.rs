//! A program in a process of its own: reads its log while it runs, sends it signals, kills it.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use serde_json::Value;

use super::wait::{until, until_some};

/// The number of `SIGKILL`.
const SIGKILL: i32 = 9;

/// A running process. It is killed when dropped.
pub struct Process {
    child: Child,
    log: Arc<Mutex<Log>>,
}

/// What a process has written, to stdout and stderr.
struct Log {
    lines: Vec<Line>,
    /// Number of its streams that have not ended.
    open: usize,
}

struct Line {
    text: String,
    /// The line as JSON; a line that is none is a string.
    json: Value,
}

impl Process {
    /// Starts a program and reads what it writes.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn spawn(command: &mut Command) -> Self {
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let log = Arc::new(Mutex::new(Log { lines: Vec::new(), open: 2 }));
        read(child.stdout.take().expect("stdout is piped"), Arc::clone(&log));
        read(child.stderr.take().expect("stderr is piped"), Arc::clone(&log));
        Self { child, log }
    }

    /// Starts a service and waits until it listens.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn serve(command: &mut Command) -> Self {
        let process = Self::spawn(command);
        process.addr();
        process
    }

    /// Returns where the service listens, from the field `addr` of its log. Waits until it is logged.
    ///
    /// # Panics
    /// Where the process ends before.
    pub fn addr(&self) -> SocketAddr {
        let line = self.logged("where it listens", |line| line["addr"].is_string());
        line["addr"].as_str().and_then(|addr| addr.parse().ok()).unwrap_or_else(|| panic!("no address: {line}"))
    }

    /// Waits until the service listens, and returns whether it does: it may end instead.
    pub fn has_started(&self) -> bool {
        until_some("it listens or ends", || {
            let log = lock(&self.log);
            let listens = log.lines.iter().any(|line| line.json["addr"].is_string());
            (listens || log.open == 0).then_some(listens)
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the first line of the log that is wanted. A line that is not JSON is a string.
    ///
    /// # Panics
    /// Where the process ends without it.
    pub fn logged(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until_some(what, || {
            let log = lock(&self.log);
            let found = log.lines.iter().find(|line| wanted(&line.json)).map(|line| line.json.clone());
            assert!(found.is_some() || log.open > 0, "the process has ended, and not logged {what}: {}", log.text());
            found
        })
    }

    /// Waits for the first line of the log whose message has this part.
    ///
    /// # Panics
    /// Where the process ends without it.
    pub fn said(&self, part: &str) -> Value {
        self.logged(part, |line| {
            let message = line.as_str().or_else(|| line["message"].as_str());
            message.is_some_and(|message| message.contains(part))
        })
    }

    /// The log so far.
    pub fn log(&self) -> Vec<Value> {
        lock(&self.log).lines.iter().map(|line| line.json.clone()).collect()
    }

    /// The log so far, as it was written.
    pub fn log_text(&self) -> String {
        lock(&self.log).text()
    }

    /// Sends a signal by its name: `TERM`, `HUP`.
    ///
    /// # Panics
    /// Where it has ended already.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(sent.expect("`kill` can be run").success(), "no process to signal: {}", self.log_text());
    }

    /// Sends a signal to a process that may have ended already.
    pub fn try_signal(&self, name: &str) {
        // A process that has ended keeps its id until it is waited for, so that no other one gets the signal.
        let mut kill = Command::new("kill");
        let _ = kill.args([&format!("-{name}"), &self.id().to_string()]).stderr(Stdio::null()).status();
    }

    /// Whether it has ended: everything that it wrote has been read to the end.
    pub fn has_ended(&self) -> bool {
        lock(&self.log).open == 0
    }

    /// Kills the process, as `kill -9` does, and returns all that it wrote.
    ///
    /// # Panics
    /// Where it has ended already.
    pub fn kill(mut self) -> String {
        self.child.kill().expect("a process that can be killed");
        let (status, log) = self.ended();
        assert_eq!(status.signal(), Some(SIGKILL), "it had ended before: {log}");
        log
    }

    /// Waits for the end of the process; returns how it ended and all that it wrote.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let status =
            until_some("the process ends", || self.child.try_wait().expect("a process that can be waited for"));
        until("all that it wrote is read", || lock(&self.log).open == 0);
        (status, self.log_text())
    }

    /// Waits until the process has ended by itself, and that without an error.
    ///
    /// # Panics
    /// Where it ended otherwise.
    pub fn ended_well(self) {
        let (status, log) = self.ended();
        assert!(status.success(), "{status}: {log}");
    }

    /// Asks the process to end, as an orchestrator does, and waits until it has, without an error.
    ///
    /// # Panics
    /// Where it ended otherwise.
    pub fn terminate(self) {
        self.signal("TERM");
        self.ended_well();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Log {
    fn text(&self) -> String {
        self.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
    }
}

/// Reads a stream to its end, so that the process never blocks on a full pipe.
fn read(stream: impl Read + Send + 'static, log: Arc<Mutex<Log>>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&line).into_owned();
            let json = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.clone()));
            lock(&log).lines.push(Line { text, json });
        }
        lock(&log).open -= 1;
    });
}

/// A test that panicked while it looked at the log has changed nothing in it.
fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
