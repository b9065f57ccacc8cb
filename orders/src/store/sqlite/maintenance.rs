//! What the tools do with a database, also while a service has it open: migrate, check and copy it.

use std::{fmt, path::Path, time::Duration};

use chassis::{config::StartError, store::StoreFault};
use diesel::{
    connection::SimpleConnection,
    prelude::*,
    sql_types::{BigInt, Text},
};

use super::{connection, fault, migrations, target::Target};
use crate::store::migration::Schema;

/// How long to wait for a lock. Readers wait for nobody but a process that has just begun to recover the log.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of findings of each kind that are named.
const FINDINGS_MAX: i64 = 10;

/// A database that was checked, and in which nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) orders: i64,
    pub(crate) events: i64,
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} orders, {} events", self.orders, self.events)
    }
}

#[derive(QueryableByName)]
struct Finding {
    #[diesel(sql_type = Text)]
    finding: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// What must not be in a database. The schema forbids some of it, for rows that are written; the rest only this program does.
const CHECKS: [&str; 4] = [
    "SELECT integrity_check AS finding FROM pragma_integrity_check
     WHERE integrity_check <> 'ok' LIMIT ?",
    "SELECT 'a row of ' || \"table\" || ' belongs to an order that does not exist' AS finding
     FROM pragma_foreign_key_check LIMIT ?",
    "SELECT 'order ' || id || ' is ' || orders.status || ', and has no event that says so' AS finding
     FROM orders LEFT JOIN events ON order_id = id AND events.version = orders.version
     WHERE events.status IS NOT orders.status LIMIT ?",
    "SELECT 'event ' || sequence || ' is of a version that order ' || order_id || ' does not have yet' AS finding
     FROM events JOIN orders ON order_id = id WHERE events.version > orders.version LIMIT ?",
];

/// Checks all pages, indexes and constraints of a database, and that its tables agree with each other.
///
/// # Errors
/// What is wrong with it, one line for each finding.
pub(crate) fn check(database: &Path) -> Result<Contents, Vec<String>> {
    let told = |fault: StoreFault| vec![fault.chain()];
    let mut connection = open(database).map_err(told)?;
    match migrations::schema_of(&mut connection).map_err(told)? {
        Schema::Current => {}
        Schema::Older => return Err(vec!["its schema is older than this program: run `orders migrate`".to_owned()]),
        Schema::Newer(what) => return Err(vec![what]),
    }
    let mut findings = Vec::new();
    for sql in CHECKS {
        let found = diesel::sql_query(sql).bind::<BigInt, _>(FINDINGS_MAX).load::<Finding>(&mut connection);
        let found = found.map_err(|error| told(fault::of_statement("check the database", error)))?;
        findings.extend(found.into_iter().map(|row| row.finding));
    }
    if findings.is_empty() { contents(&mut connection).map_err(told) } else { Err(findings) }
}

fn contents(connection: &mut SqliteConnection) -> Result<Contents, StoreFault> {
    let mut count = |table: &str| {
        let sql = format!("SELECT count(*) AS count FROM {table}");
        let counted = diesel::sql_query(sql).get_result::<Count>(connection);
        counted.map(|row| row.count).map_err(|error| fault::of_statement("count rows", error))
    };
    Ok(Contents { orders: count("orders")?, events: count("events")? })
}

/// Brings the schema of a database up to date, which is created if it is missing. Returns the migrations that were run.
///
/// # Errors
/// What is wrong with the database, in one line.
pub(crate) fn migrate(database: &Path) -> Result<Vec<String>, StartError> {
    migrations::open_and_migrate(&Target::prepare(Some(database))?).map(|(_, applied)| applied)
}

/// The size of a database in bytes, without its log.
///
/// # Errors
/// It is no database, or cannot be read.
pub(crate) fn size(database: &Path) -> Result<i64, StoreFault> {
    let sql = "SELECT page_count * page_size AS count FROM pragma_page_count, pragma_page_size";
    let size = diesel::sql_query(sql).get_result::<Count>(&mut open(database)?);
    size.map(|row| row.count).map_err(|error| fault::of_statement("read the database", error))
}

/// Copies a database as it is at this moment into an empty file, without what was deleted in it.
///
/// It is one read of the whole: others read and write meanwhile, and only the log of the database cannot be truncated. Why not
/// the backup interface of SQLite: it begins anew whenever another process has written, and would never end beside a busy
/// service.
///
/// # Errors
/// The file may have anything in it.
pub(crate) fn copy(database: &Path, file: &Path) -> Result<(), StoreFault> {
    let file = file.to_str().ok_or_else(|| StoreFault::failed("copy the database", "the path is not UTF-8"))?;
    let copied = diesel::sql_query("VACUUM INTO ?").bind::<Text, _>(file).execute(&mut open(database)?);
    copied.map(drop).map_err(|error| fault::of_statement("copy the database", error))
}

/// A database that nobody can write to.
pub(crate) struct Locked(SqliteConnection);

impl Locked {
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.0
    }
}

/// Opens a database and locks it against writing, for as long as the result exists.
///
/// # Errors
/// It cannot be read, or another process writes to it.
pub(crate) fn lock(database: &Path) -> Result<Locked, StoreFault> {
    let mut connection = open(database)?;
    connection.batch_execute("BEGIN IMMEDIATE").map_err(|error| fault::of_statement("lock the database", error))?;
    Ok(Locked(connection))
}

/// Opens a database with none of the settings of the service: it may be a copy, which stays as it is.
fn open(database: &Path) -> Result<SqliteConnection, StoreFault> {
    connection::open_as_it_is(database, BUSY_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;

    /// A database with an order that was confirmed, in which this SQL was run.
    fn database(sql: &str) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.db");
        migrate(&path).unwrap();
        let valid = "INSERT INTO orders VALUES (1, '1 Main Street', 'a book', 'confirmed', 7, 1, 2, 2);
                     INSERT INTO events VALUES (1, 1, 1, 'pending', 1, NULL), (2, 1, 2, 'confirmed', 2, NULL);";
        open(&path)
            .unwrap()
            .batch_execute(&format!("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; {valid} {sql}"))
            .unwrap();
        (folder, path)
    }

    #[test]
    fn a_check_finds_tables_that_do_not_agree() {
        for (sql, expected) in [
            ("", Ok(Contents { orders: 1, events: 2 })),
            ("DELETE FROM events", Err("order 1 is confirmed, and has no event that says so")),
            ("UPDATE orders SET status = 'shipped'", Err("order 1 is shipped, and has no event that says so")),
            (
                "INSERT INTO events VALUES (3, 1, 3, 'shipped', 3, NULL)",
                Err("event 3 is of a version that order 1 does not have yet"),
            ),
            (
                "INSERT INTO events VALUES (3, 9, 1, 'pending', 3, NULL)",
                Err("a row of events belongs to an order that does not exist"),
            ),
            ("UPDATE orders SET item = ''", Err("CHECK constraint failed in orders")),
            ("DELETE FROM __diesel_schema_migrations WHERE version > '20260101000000'", Err("its schema is older")),
            (
                "INSERT INTO __diesel_schema_migrations (version) VALUES ('20270101000000')",
                Err("it has the migration 20270101000000"),
            ),
        ] {
            let (_folder, path) = database(sql);
            match (check(&path), expected) {
                (Err(findings), Err(expected)) => {
                    assert!(findings.join("\n").contains(expected), "{sql}: {findings:?}")
                }
                (found, expected) => assert_eq!(found, expected.map_err(|text| vec![text.to_owned()]), "{sql}"),
            }
        }
    }
}
