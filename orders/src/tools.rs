//! The commands for the database: migrate, check, rehearse, backup, restore. They print what they have done, and need no key.

use std::{
    fmt::Display,
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use chassis::{
    config::StartError,
    store::{
        folder,
        new_file::{at, complete, create_new, with_suffix},
    },
};
use clap::Subcommand;

use crate::store::{self, DatabaseLocation, ServerLocation, maintenance};

/// Number of bytes that a restore copies at a time.
const COPY_BYTES: usize = 1024 * 1024;
/// The copy of a rehearsal.
const REHEARSAL_FILE: &str = "rehearsal.db";
/// Interval at which a backup looks how far it is.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// What to do instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Bring the schema of the database up to date, as the service does when it starts
    Migrate {
        /// Move all orders of this SQLite database (`sqlite:///absolute/path`) into the PostgreSQL database, which must be empty.
        /// No service may use either
        #[arg(long)]
        from: Option<String>,
    },
    /// Check the whole database, also while the service runs; the exit code is 1 if anything is wrong
    Check,
    /// Migrate and check a copy of the database, as the next start would, also while the service runs. Checks all settings too
    Rehearse {
        /// A folder for the copy, which is deleted afterwards
        folder: PathBuf,
    },
    /// Copy the database into a new file, also while the service runs
    Backup {
        /// A file that does not exist yet
        file: PathBuf,
    },
    /// Put a backup in the place of the database, where there is none
    Restore {
        /// What `backup` has written
        file: PathBuf,
    },
}

impl Command {
    /// Whether all settings of the service must be valid, and not only the database.
    #[must_use]
    pub const fn checks_settings(&self) -> bool {
        matches!(self, Self::Rehearse { .. })
    }

    /// Does it.
    ///
    /// # Errors
    /// What failed. No file was made, and the database is as it was.
    pub fn run(&self, location: &DatabaseLocation) -> Result<(), StartError> {
        match location {
            DatabaseLocation::File(database) => self.run_on_file(database),
            DatabaseLocation::Server(server) => self.run_on_server(server),
            DatabaseLocation::Memory => {
                Err(StartError::failed("a database in memory has no file; set ORDERS_DATABASE_URL to one that has"))
            }
        }
    }

    fn run_on_file(&self, database: &Path) -> Result<(), StartError> {
        match self {
            Self::Migrate { from: Some(_) } => {
                Err(StartError::failed("orders can be moved to PostgreSQL only; set ORDERS_DATABASE_URL"))
            }
            Self::Migrate { from: None } => {
                maintenance::migrate(database).map(|applied| migrated(&applied, &database.display()))
            }
            Self::Check => check(database).map(|contents| say(&format!("ok: {contents}"))),
            Self::Rehearse { folder } => rehearse(database, folder),
            Self::Backup { file } => back_up(database, file),
            Self::Restore { file } => restore(file, database),
        }
    }

    fn run_on_server(&self, server: &ServerLocation) -> Result<(), StartError> {
        match self {
            Self::Migrate { from: Some(url) } => move_orders(url, server),
            Self::Migrate { from: None } => store::postgres::migrate(server).map(|applied| migrated(&applied, server)),
            Self::Rehearse { .. } => store::postgres::pending(server).map(|pending| rehearsed(&pending, server)),
            Self::Check | Self::Backup { .. } | Self::Restore { .. } => Err(StartError::failed(
                "this command is for SQLite; a PostgreSQL server has its own tools: pg_amcheck, pg_dump, pg_restore, pg_basebackup",
            )),
        }
    }
}

fn say(line: &str) {
    // If nobody reads the output, there is nowhere to print to.
    let _ = writeln!(io::stdout(), "{line}");
}

fn migrated(applied: &[String], database: &dyn Display) {
    applied.iter().for_each(|version| say(&format!("applied the migration {version}")));
    say(&format!("the schema of {database} is up to date"));
}

fn move_orders(from: &str, server: &ServerLocation) -> Result<(), StartError> {
    let location = from.parse().map_err(|error: String| StartError::Config(vec![format!("--from: {error}")]))?;
    let DatabaseLocation::File(database) = location else {
        return Err(StartError::Config(vec!["--from: names no SQLite file".to_owned()]));
    };
    exists(&database)?;
    // Before the check, so that what is checked is what is moved.
    let locked = maintenance::lock(&database).map_err(|fault| StartError::failed(fault.chain()))?;
    let contents = check(&database)?;
    // The keys are not counted; there are at most as many as orders.
    let total = u64::try_from(contents.orders.saturating_add(contents.events)).unwrap_or(0);
    let (mut progress, mut done) = (Progress::new("moving", total), 0);
    let moved = store::transfer(locked, server, |rows| {
        done += rows as u64;
        progress.reached(done);
    });
    progress.end();
    let moved = moved?;
    say(&format!(
        "{server} has {} orders, {} events and {} keys, compared with {}",
        moved.orders,
        moved.events,
        moved.keys,
        database.display()
    ));
    say("now set ORDERS_DATABASE_URL of the service to it, and keep the file until you have a backup of the server");
    Ok(())
}

/// A copy of a whole server is not made for a rehearsal: a migration that fails there leaves nothing behind.
fn rehearsed(pending: &[String], server: &ServerLocation) {
    pending.iter().for_each(|version| say(&format!("would apply the migration {version}")));
    say(&format!("ok: {server} can be used"));
}

fn check(database: &Path) -> Result<maintenance::Contents, StartError> {
    exists(database)?;
    maintenance::check(database).map_err(|findings| {
        StartError::failed(format!("{} is not in order:\n  {}", database.display(), findings.join("\n  ")))
    })
}

fn rehearse(database: &Path, folder: &Path) -> Result<(), StartError> {
    if !database.exists() {
        say(&format!("there is no database at {} yet; the service creates it", database.display()));
        return Ok(());
    }
    let copy = folder.join(REHEARSAL_FILE);
    create_new(&copy, "another rehearsal uses it, or one was interrupted; in that case delete it")?;
    let rehearsed = rehearse_with(database, &copy);
    for suffix in ["", "-wal", "-shm"] {
        // What cannot be deleted is reported by the next rehearsal.
        let _ = fs::remove_file(with_suffix(&copy, suffix));
    }
    rehearsed
}

fn rehearse_with(database: &Path, copy: &Path) -> Result<(), StartError> {
    maintenance::copy(database, copy).map_err(|fault| StartError::failed(fault.chain()))?;
    let began = Instant::now();
    let applied = maintenance::migrate(copy)?;
    let seconds = began.elapsed().as_secs_f64();
    applied.iter().for_each(|version| say(&format!("would apply the migration {version}")));
    if !applied.is_empty() {
        say(&format!("migrating a copy of {} took {seconds:.1} s", database.display()));
    }
    check(copy).map(|contents| say(&format!("ok: {contents}")))
}

/// SQLite would make an empty database where there is none.
fn exists(database: &Path) -> Result<(), StartError> {
    if database.is_file() {
        return Ok(());
    }
    Err(StartError::failed(format!("there is no database at {}", database.display())))
}

fn back_up(database: &Path, file: &Path) -> Result<(), StartError> {
    exists(database)?;
    let failed = |fault: chassis::store::StoreFault| StartError::failed(fault.chain());
    let total = u64::try_from(maintenance::size(database).map_err(failed)?).unwrap_or(0);
    let contents = complete(file, |partial| {
        let progress = Progress::new("backing up", total);
        let copied = watching(partial, progress, || maintenance::copy(database, partial));
        copied.map_err(failed)?;
        check(partial)
    })?;
    say(&format!("{} has {contents}", file.display()));
    Ok(())
}

/// Does something that makes a file longer, and shows how long it is meanwhile.
fn watching<T>(file: &Path, mut progress: Progress, act: impl FnOnce() -> T) -> T {
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while is_done.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                progress.reached(file.metadata().map_or(0, |metadata| metadata.len()));
            }
            progress.end();
        });
        let acted = act();
        drop(done);
        acted
    })
}

fn restore(file: &Path, database: &Path) -> Result<(), StartError> {
    exists(file)?;
    for suffix in ["", "-wal", "-shm"] {
        let path = with_suffix(database, suffix);
        // The log of another database would be applied to this one.
        if path.exists() {
            let path = path.display();
            return Err(StartError::failed(format!(
                "{path} exists; stop the service and move its database away first"
            )));
        }
    }
    folder::create(folder::parent(database), 0o700).map_err(at(folder::parent(database)))?;
    let contents = complete(database, |partial| {
        copy_bytes(file, partial).map_err(at(file))?;
        check(partial)
    })?;
    say(&format!("{} has {contents}", database.display()));
    Ok(())
}

fn copy_bytes(from: &Path, to: &Path) -> io::Result<()> {
    let (mut from, mut to) = (File::open(from)?, OpenOptions::new().write(true).open(to)?);
    let mut progress = Progress::new("restoring", from.metadata()?.len());
    let mut buffer = vec![0; COPY_BYTES];
    let mut copied = 0;
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            progress.end();
            return Ok(());
        }
        to.write_all(&buffer[..count])?;
        copied += count as u64;
        progress.reached(copied);
    }
}

/// How far something is: in a terminal one line that changes, elsewhere a line for each tenth.
struct Progress {
    what: &'static str,
    total: u64,
    in_terminal: bool,
    shown_percent: u64,
}

impl Progress {
    fn new(what: &'static str, total: u64) -> Self {
        Self { what, total, in_terminal: io::stderr().is_terminal(), shown_percent: 0 }
    }

    fn reached(&mut self, done: u64) {
        // A copy may be a little longer than what it was made of.
        let percent = (done.saturating_mul(100) / self.total.max(1)).min(100);
        if percent >= self.shown_percent + if self.in_terminal { 1 } else { 10 } {
            self.shown_percent = percent;
            let end = if self.in_terminal { "" } else { "\n" };
            let start = if self.in_terminal { "\r" } else { "" };
            let _ = write!(io::stderr(), "{start}{}: {percent} %{end}", self.what);
        }
    }

    fn end(&self) {
        if self.in_terminal && self.shown_percent > 0 {
            let _ = writeln!(io::stderr());
        }
    }
}
