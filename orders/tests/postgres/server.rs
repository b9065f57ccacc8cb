//! A real PostgreSQL server of a test: its own data, reached by a socket in its folder, and gone with the test.
//!
//! It does not run as root, which PostgreSQL refuses: where the tests do, it runs as `postgres`, the user of Debian's package.
//! The kernel kills it when the process of the test ends, however that ends (`setpriv --pdeathsig`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use chassis::testing::until;

/// The user of the databases.
pub(crate) const USER: &str = "orders";
/// The user of the operating system that the server runs as where the tests run as root.
const SYSTEM_USER: &str = "postgres";

/// A server. It is stopped by the end of the process.
pub(crate) struct Server {
    folder: PathBuf,
    options: Vec<String>,
    process: Mutex<u32>,
}

impl Server {
    /// The server that the tests of this process share, each with a database of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// Starts a server with these further options.
    pub(crate) fn start(options: &[&str]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = folder_of_tests().join(format!("{}-{number}", process::id()));
        run(Command::new("cp").arg("-a").arg(template()).arg(&folder));
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let server = Self { folder, options, process: Mutex::new(0) };
        server.run();
        server
    }

    /// The folder with its data and its socket.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The socket that it listens on.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join(format!(".s.PGSQL.{}", self.port()))
    }

    fn port(&self) -> &str {
        self.options.iter().find_map(|option| option.strip_prefix("port=")).unwrap_or("5432")
    }

    /// A program of PostgreSQL that connects to this server.
    fn client(&self, name: &str) -> Command {
        let mut command = program(name);
        command.arg("-h").arg(&self.folder).args(["-p", self.port()]);
        command
    }

    /// Starts it again.
    pub(crate) fn run(&self) {
        let mut command = as_system_user("postgres");
        command.arg("-D").arg(&self.folder).arg("-k").arg(&self.folder).args(["-c", "listen_addresses="]);
        command.args(self.options.iter().flat_map(|option| ["-c", option]));
        let log = fs::File::create(self.folder.join("server.log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let (started, child) = mpsc::channel();
        // The signal comes when the thread that has started it ends, so that it is one that never does.
        thread::spawn(move || {
            let mut child = command.spawn().expect("PostgreSQL is installed");
            started.send(child.id()).unwrap();
            child.wait()
        });
        *self.process.lock().unwrap() = child.recv().unwrap();
        until("PostgreSQL serves", || {
            let log = || fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
            assert!(self.is_running(), "PostgreSQL has ended: {}", log());
            self.client("pg_isready").arg("-q").status().is_ok_and(|status| status.success())
        });
    }

    /// Kills all processes of the server at once, as if the machine were reset, and starts it again.
    pub(crate) fn crash(&self) {
        self.stop();
        self.run();
    }

    /// Kills all processes of the server at once.
    pub(crate) fn stop(&self) {
        // Stopped first, so that it starts no process after its others have been listed.
        run(Command::new("kill").arg("-STOP").arg(self.process.lock().unwrap().to_string()));
        self.signal("KILL");
        until("the server is gone", || {
            let asked = self.client("pg_isready").arg("-q").status();
            asked.is_ok_and(|status| !status.success()) && !self.is_running()
        });
        // Left behind by a server that could not remove them; another process may have its number by now.
        let _ = fs::remove_file(self.folder.join("postmaster.pid"));
        let _ = fs::remove_file(self.socket().with_extension(format!("{}.lock", self.port())));
    }

    fn is_running(&self) -> bool {
        Path::new(&format!("/proc/{}", *self.process.lock().unwrap())).exists()
    }

    /// Sends a signal to all processes of the server.
    pub(crate) fn signal(&self, name: &str) {
        let parent = self.process.lock().unwrap().to_string();
        let children = Command::new("pgrep").args(["--parent", &parent]).output().expect("`pgrep` can be run").stdout;
        let children = String::from_utf8(children).unwrap();
        // One of the others may have ended meanwhile.
        let sent = Command::new("kill").arg(format!("-{name}")).arg(&parent).args(children.split_whitespace()).output();
        sent.expect("`kill` can be run");
    }

    /// Makes an empty database.
    pub(crate) fn create(&self, database: &str) {
        self.run_sql("postgres", &format!("CREATE DATABASE {database}"));
    }

    /// Runs statements, and returns what they print.
    pub(crate) fn run_sql(&self, database: &str, sql: &str) -> String {
        let mut psql = self.client("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]);
        psql.args(["-U", USER, "-d", database, "-c", sql]);
        run(&mut psql).trim().to_owned()
    }

    /// The URL of a database, over the socket.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@{}/{database}", self.folder.display().to_string().replace('/', "%2F"))
    }
}

/// Runs a command that must succeed, and returns what it has printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A program of PostgreSQL: of Debian's newest package, or wherever they are found.
fn program(name: &str) -> Command {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists()).max();
    Command::new(newest.unwrap_or_else(|| name.into()))
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u")).trim() == "0"
}

/// A program of PostgreSQL that may not run as root, and ends with the thread that starts it.
fn as_system_user(name: &str) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid", SYSTEM_USER, "--regid", SYSTEM_USER, "--clear-groups"]);
    }
    command.args(["--pdeathsig", "KILL", "--"]).arg(program(name).get_program());
    command
}

/// Where the data of all servers of tests is. What processes that have ended left there is removed.
fn folder_of_tests() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("orders-postgres-{}", run(Command::new("id").arg("-u")).trim()));
    fs::create_dir_all(&folder).unwrap();
    if is_root() {
        run(Command::new("chown").arg(SYSTEM_USER).arg(&folder));
    }
    for entry in fs::read_dir(&folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let process = name.split('-').next().and_then(|process| process.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            // Another test may be removing it, too.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    folder
}

/// The data of a new server, made once: `initdb` takes more than a second.
fn template() -> PathBuf {
    let version = run(program("postgres").arg("--version"));
    let version: String = version.chars().filter(char::is_ascii_digit).collect();
    let template = folder_of_tests().join(format!("new{version}"));
    if !template.exists() {
        let making = folder_of_tests().join(format!("{}-making", process::id()));
        run(as_system_user("initdb").arg("-D").arg(&making).args([
            "-U",
            USER,
            "-A",
            "trust",
            "--no-sync",
            "--locale=C.UTF-8",
        ]));
        // Of several tests that make it at once, one is first.
        let _ = fs::rename(&making, &template);
    }
    template
}
