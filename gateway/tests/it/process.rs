//! A gateway as a process, with a file that a test can change, and clients that keep asking. For tests of reload and
//! restart: signals go to processes.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use chassis::testing::{Answer, get};
use serde_json::Value;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// A YAML file in a folder of its own.
pub(crate) struct File {
    _folder: tempfile::TempDir,
    pub path: PathBuf,
}

impl File {
    pub(crate) fn new(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        fs::write(&path, yaml).unwrap();
        Self { _folder: folder, path }
    }

    /// Replaces it in one step, as editors and configuration management do.
    pub(crate) fn replace(&self, yaml: &str) {
        let beside = self.path.with_extension("new");
        fs::write(&beside, yaml).unwrap();
        fs::rename(&beside, &self.path).unwrap();
    }
}

/// A running process. It is killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub addr: SocketAddr,
    pub admin: SocketAddr,
    log: Arc<Mutex<Vec<Value>>>,
}

impl Process {
    /// The memory that it has (`RssAnon`: without the pages of the program itself, which come and go).
    pub(crate) fn resident_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    pub(crate) fn start(file: &File) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.arg("--config").arg(&file.path).stdin(Stdio::null());
        Self::spawn(command)
    }

    /// A gateway that goes on accepting for a while when it is asked to end.
    pub(crate) fn start_draining_slowly(file: &File, delay: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.arg("--config").arg(&file.path).stdin(Stdio::null()).env("DRAIN_DELAY", delay);
        Self::spawn(command)
    }

    /// A gateway on a socket that is open already, passed as systemd passes it.
    pub(crate) fn start_on(listener: &TcpListener, file: &File) -> Self {
        let mut command = Command::new("sh");
        // `exec` keeps the process id, which LISTEN_PID has to be.
        command.args(["-c", "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" --config \"$1\" 3<&0 </dev/null"]);
        command.arg(env!("CARGO_BIN_EXE_gateway")).arg(&file.path);
        command.stdin(OwnedFd::from(listener.try_clone().unwrap())).env("DRAIN_DELAY", "500ms");
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        command.envs([
            ("LOG_FORMAT", "json"),
            ("GATEWAY_WORKERS", "2"),
            ("GATEWAY_JWT_SECRET", crate::fixture::SECRET),
        ]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, stderr) = (Arc::clone(&log), BufReader::new(child.stderr.take().unwrap()));
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                lines.lock().unwrap().push(line);
            }
        });
        let ready = || find(&log, |line| line["message"] == "gateway ready");
        let line = until(|| ready().or_else(|| child.try_wait().unwrap().map(|_| Value::Null)));
        let addr = |name: &str| line[name].as_str().unwrap_or_else(|| panic!("{:?}", log.lock())).parse().unwrap();
        Self { addr: addr("listen"), admin: addr("admin"), child, log }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Asks the process to end, and waits until it has.
    pub(crate) fn terminate(self) {
        self.signal("TERM");
        self.ended_well();
    }

    /// Waits until the process has ended, and that without an error.
    pub(crate) fn ended_well(mut self) {
        let status = until(|| self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }

    /// The first line of its log that is looked for, once it is there.
    pub(crate) fn logged(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        until(|| find(&self.log, &wanted))
    }

    /// All lines of its log so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// An answer of the admin listener.
    pub(crate) fn admin(&self, path: &str) -> Answer {
        get(path).send(self.admin)
    }

    /// The value of one line of its metrics; 0 where it is not there.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.admin("/metrics").text();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find(log: &Mutex<Vec<Value>>, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
    log.lock().unwrap().iter().find(|line| wanted(line)).cloned()
}

/// Asks again and again until there is an answer.
pub(crate) fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "it did not happen in time");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A client with one connection, which it keeps for as long as the server lets it. A connection that breaks is a failure,
/// not a reason to try again: this is how a request is lost.
pub(crate) struct Client {
    addr: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
    keeps: bool,
}

impl Client {
    /// `keeps`: many requests on a connection; else one.
    pub(crate) const fn new(addr: SocketAddr, keeps: bool) -> Self {
        Self { addr, connection: None, keeps }
    }

    /// Whether the server will take another request on the same connection.
    pub(crate) const fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    /// The status and the body of the answer to `GET path`.
    pub(crate) fn get(&mut self, path: &str) -> Result<(u16, Vec<u8>), String> {
        let describe = |error: std::io::Error| error.to_string();
        let mut reader = match self.connection.take() {
            Some(reader) => reader,
            None => {
                let stream = TcpStream::connect(self.addr).map_err(describe)?;
                stream.set_nodelay(true).map_err(describe)?;
                stream.set_read_timeout(Some(DEADLINE)).map_err(describe)?;
                BufReader::new(stream)
            }
        };
        let close = if self.keeps { "" } else { "Connection: close\r\n" };
        let request = format!("GET {path} HTTP/1.1\r\nHost: gateway\r\n{close}\r\n");
        reader.get_mut().write_all(request.as_bytes()).map_err(describe)?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head).map_err(describe)? == 0 {
                return Err(format!("the connection ended after {:?}", String::from_utf8_lossy(&head)));
            }
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let field =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
        let mut body = vec![0; field("content-length:").ok_or("no length")?.parse().map_err(|_| "no length")?];
        std::io::Read::read_exact(&mut reader, &mut body).map_err(describe)?;
        if field("connection:").as_deref() != Some("close") {
            self.connection = Some(reader);
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
        Ok((status, body))
    }
}
