//! Opens connections to SQLite with their settings, runs checkpoints, and checks the version of the library.

use std::{path::Path, time::Duration};

use chassis::store::StoreFault;
use diesel::{
    connection::SimpleConnection,
    prelude::*,
    sql_types::{Integer, Text},
};

use super::{fault, target::Target};

/// How long another process (a backup, a shell) may hold the write lock before a write is answered with `Busy`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long another process that starts at the same time may run the migrations.
const START_LOCK_TIMEOUT: Duration = Duration::from_secs(60);
/// The size of the log, in bytes, above which the writer pauses so that it can be truncated: twice what is written
/// between two checkpoints. A file that was longer is cut to this size (`journal_size_limit`).
pub(crate) const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Minimum version. SQLite before it may corrupt a database in WAL mode: <https://www.sqlite.org/wal.html#walresetbug>.
const VERSION_MIN: [u32; 3] = [3, 51, 3];
/// Withdrawn by its authors.
const VERSION_WITHDRAWN: [u32; 3] = [3, 52, 0];

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Writer,
    Reader,
}

/// Opens a connection before the schema has been checked: it changes nothing, and waits long for other processes that
/// start.
pub(super) fn open_for_start(target: &Target) -> Result<SqliteConnection, StoreFault> {
    let mut connection = establish(target)?;
    set_busy_timeout(&mut connection, START_LOCK_TIMEOUT)?;
    assert_version(&mut connection)?;
    Ok(connection)
}

/// Opens a connection with all settings, to a database whose schema is up to date.
pub(crate) fn open(target: &Target, role: Role) -> Result<SqliteConnection, StoreFault> {
    let mut connection = establish(target)?;
    set_up(&mut connection, target, role)?;
    Ok(connection)
}

/// Opens the database in a file without changing anything about it.
pub(super) fn open_as_it_is(file: &Path, busy_timeout: Duration) -> Result<SqliteConnection, StoreFault> {
    let url = file.to_str().ok_or_else(|| StoreFault::failed("open the database", "the path is not UTF-8"))?;
    // A name that begins with `file:` would be a URI.
    let url = if file.is_absolute() { url.to_owned() } else { format!("./{url}") };
    let opened = SqliteConnection::establish(&url).map_err(|error| StoreFault::failed("open the database", error));
    let mut connection = opened?;
    set_busy_timeout(&mut connection, busy_timeout)?;
    assert_version(&mut connection)?;
    Ok(connection)
}

fn establish(target: &Target) -> Result<SqliteConnection, StoreFault> {
    SqliteConnection::establish(target.url()).map_err(|error| StoreFault::failed("open the database", error))
}

/// Applies all settings that SQLite keeps per connection. The timeout comes first, because the others may have to wait.
pub(super) fn set_up(connection: &mut SqliteConnection, target: &Target, role: Role) -> Result<(), StoreFault> {
    set_busy_timeout(connection, BUSY_TIMEOUT)?;
    if target.is_file() {
        set_journal_mode(connection)?;
    }
    // FULL: a commit is on the disk when it returns. With NORMAL a power loss would lose the last ones.
    run(connection, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;")?;
    run(
        connection,
        match role {
            // The writer runs checkpoints itself, after the answers and where it sees an error: see `wal`.
            // The cache (16 MiB) holds any batch, so that only its COMMIT writes to the disk.
            Role::Writer => "PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -16384;",
            Role::Reader => "PRAGMA query_only = ON",
        },
    )?;
    run(connection, &format!("PRAGMA journal_size_limit = {LOG_BYTES_MAX}"))
}

/// How long a statement waits for locks that others hold.
fn set_busy_timeout(connection: &mut SqliteConnection, timeout: Duration) -> Result<(), StoreFault> {
    run(connection, &format!("PRAGMA busy_timeout = {}", timeout.as_millis()))
}

/// Sets WAL, with which readers and the writer do not wait for each other.
fn set_journal_mode(connection: &mut SqliteConnection) -> Result<(), StoreFault> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        journal_mode: String,
    }
    let row: Row = diesel::sql_query("PRAGMA journal_mode = WAL")
        .get_result(connection)
        .map_err(|error| fault::of_statement("set the journal mode", error))?;
    if row.journal_mode == "wal" {
        return Ok(());
    }
    let what = format!("the journal mode stays `{}`: is it on a network file system?", row.journal_mode);
    Err(StoreFault::failed("set the journal mode", what))
}

/// How far a checkpoint goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Checkpoint {
    /// As far as possible without waiting for readers or writers.
    Passive,
    /// To the end of the log, which is then emptied.
    Truncate,
}

/// Copies the log into the database. Returns how many bytes of the log are still in use: 0 in a database without a log.
///
/// # Errors
/// The log stays as it was.
pub(super) fn checkpoint(connection: &mut SqliteConnection, mode: Checkpoint) -> Result<u64, StoreFault> {
    /// <https://www.sqlite.org/pragma.html#pragma_wal_checkpoint>: `busy` is not 0 where others kept it from finishing.
    #[derive(QueryableByName)]
    struct Row {
        /// Number of pages in the log; -1 where there is no log.
        #[diesel(sql_type = Integer)]
        log: i32,
    }
    /// A page of 4 KiB, the default, and its head (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).
    const FRAME_BYTES: u64 = 4096 + 24;
    let mode = match mode {
        Checkpoint::Passive => "PASSIVE",
        Checkpoint::Truncate => "TRUNCATE",
    };
    let row: Row = diesel::sql_query(format!("PRAGMA wal_checkpoint({mode})"))
        .get_result(connection)
        .map_err(|error| fault::of_statement("copy the log into the database", error))?;
    Ok(u64::try_from(row.log).unwrap_or(0) * FRAME_BYTES)
}

/// Truncates the log, unless other processes read from it for longer than `timeout`. Returns how many bytes of it are
/// still in use.
///
/// # Errors
/// The log stays as it was.
pub(super) fn truncate_log_within(connection: &mut SqliteConnection, timeout: Duration) -> Result<u64, StoreFault> {
    set_busy_timeout(connection, timeout)?;
    let truncated = checkpoint(connection, Checkpoint::Truncate);
    set_busy_timeout(connection, BUSY_TIMEOUT)?;
    truncated
}

/// Lets SQLite update the statistics of its query planner, as its documentation recommends before a connection closes.
///
/// # Errors
/// The statistics stay as they were.
pub(super) fn optimize(connection: &mut SqliteConnection) -> Result<(), StoreFault> {
    run(connection, "PRAGMA optimize")
}

fn run(connection: &mut SqliteConnection, sql: &str) -> Result<(), StoreFault> {
    connection.batch_execute(sql).map_err(|error| fault::of_statement("set up a connection", error))
}

fn assert_version(connection: &mut SqliteConnection) -> Result<(), StoreFault> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        version: String,
    }
    let row: Row = diesel::sql_query("SELECT sqlite_version() AS version")
        .get_result(connection)
        .map_err(|error| fault::of_statement("ask for the version of SQLite", error))?;
    if is_good_version(&row.version) {
        return Ok(());
    }
    Err(StoreFault::failed(
        "use this SQLite",
        format!("version {} may damage a database; build with the bundled one", row.version),
    ))
}

fn is_good_version(version: &str) -> bool {
    let parts: Vec<u32> = version.split('.').filter_map(|part| part.parse().ok()).collect();
    parts.as_slice() >= VERSION_MIN.as_slice() && parts != VERSION_WITHDRAWN
}

#[cfg(test)]
mod tests {
    use diesel::sql_types::BigInt;

    use super::*;

    #[derive(QueryableByName)]
    struct Number {
        #[diesel(sql_type = BigInt)]
        value: i64,
    }

    fn pragma(connection: &mut SqliteConnection, name: &str) -> i64 {
        let sql = format!("SELECT {name} AS value FROM pragma_{name}");
        diesel::sql_query(sql).get_result::<Number>(connection).unwrap().value
    }

    fn assert_set_up(connection: &mut SqliteConnection, query_only: i64) {
        #[derive(QueryableByName)]
        struct Mode {
            #[diesel(sql_type = Text)]
            journal_mode: String,
        }
        let mode: Mode = diesel::sql_query("PRAGMA journal_mode").get_result(connection).unwrap();
        assert_eq!(mode.journal_mode, "wal");
        let timeout = diesel::sql_query("SELECT timeout AS value FROM pragma_busy_timeout");
        assert_eq!(timeout.get_result::<Number>(connection).unwrap().value, 5000);
        const FULL: i64 = 2;
        let limit = i64::try_from(LOG_BYTES_MAX).unwrap();
        for (name, value) in [
            ("synchronous", FULL),
            ("foreign_keys", 1),
            ("trusted_schema", 0),
            ("query_only", query_only),
            ("journal_size_limit", limit),
        ] {
            assert_eq!(pragma(connection, name), value, "{name}");
        }
    }

    #[test]
    fn every_pragma_holds_on_both_kinds_of_connections() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::prepare(Some(&folder.path().join("orders.db"))).unwrap();
        let mut writer = open(&target, Role::Writer).unwrap();
        assert_set_up(&mut writer, 0);
        assert_set_up(&mut open(&target, Role::Reader).unwrap(), 1);
    }

    #[test]
    fn a_reader_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::prepare(Some(&folder.path().join("orders.db"))).unwrap();
        let mut reader = open(&target, Role::Reader).unwrap();
        let refused = reader.batch_execute("CREATE TABLE t (a)").unwrap_err();
        assert!(refused.to_string().contains("readonly"), "{refused}");
    }

    #[test]
    fn versions_of_sqlite_with_known_faults_are_refused() {
        for (version, is_good) in
            [("3.51.3", true), ("3.53.2", true), ("4.0.0", true), ("3.52.0", false), ("3.51.2", false), ("", false)]
        {
            assert_eq!(is_good_version(version), is_good, "{version}");
        }
    }
}
