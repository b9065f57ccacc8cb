//! The real program as a process: started, killed, ended, and its last words read.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::fixture::{DEADLINE, Folder, KEY};

/// The real program.
pub(crate) struct Program {
    child: Child,
    addr: SocketAddr,
    log: thread::JoinHandle<Vec<String>>,
}

impl Program {
    pub(crate) fn command(folder: &Folder) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orders"));
        command
            .env_clear()
            .env("ORDERS_LISTEN", "127.0.0.1:0")
            .env("ORDERS_DATABASE_URL", format!("sqlite://{}", folder.database().display()))
            .env("INTERNAL_KEY", KEY)
            .env("LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// Starts the program and waits until it listens.
    pub(crate) fn start(folder: &Folder) -> Self {
        Self::spawn(&mut Self::command(folder)).listening()
    }

    pub(crate) fn spawn(command: &mut Command) -> Starting {
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (told, addr) = mpsc::channel();
        let log = thread::spawn(move || {
            let mut lines = Vec::new();
            for line in stderr.lines().map_while(Result::ok) {
                let json: Value = serde_json::from_str(&line).unwrap_or_default();
                if json["message"] == "listening" {
                    let _ = told.send(json["addr"].as_str().unwrap().parse().unwrap());
                }
                lines.push(line);
            }
            lines
        });
        Starting { child, addr, log }
    }

    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
    }

    /// Waits for the end: how, and with which last words.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = wait_for_exit(&mut self.child);
        (status, self.log.join().unwrap().join("\n"))
    }

    /// Ends the program as an operator does; it must succeed.
    pub(crate) fn stop(self) {
        self.terminate();
        let (status, log) = self.wait();
        assert_eq!(status.code(), Some(0), "signal {:?}: {log}", status.signal());
    }
}

/// The program before it listens.
pub(crate) struct Starting {
    child: Child,
    addr: mpsc::Receiver<SocketAddr>,
    log: thread::JoinHandle<Vec<String>>,
}

impl Starting {
    pub(crate) fn listening(self) -> Program {
        match self.addr.recv_timeout(DEADLINE) {
            Ok(addr) => Program { child: self.child, addr, log: self.log },
            Err(error) => {
                let (status, log) = self.wait();
                panic!("it does not listen ({error}, {status}): {log}");
            }
        }
    }

    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = wait_for_exit(&mut self.child);
        (status, self.log.join().unwrap().join("\n"))
    }
}

fn wait_for_exit(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > DEADLINE {
            child.kill().unwrap();
            panic!("the program does not end");
        }
        thread::sleep(Duration::from_millis(5));
    }
}
