//! Brings the schema up to date at the start, under a lock, and refuses a schema that is newer than this program.

use std::error::Error;

use chassis::{config::StartError, store::StoreFault};
use diesel::sqlite::SqliteConnection;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use super::{
    connection::{self, Checkpoint, Role},
    target::Target,
};
use crate::store::migration::{Schema, compare, run_pending};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations/orders/sqlite");

/// Opens the database for writing, with the schema of this program.
///
/// # Errors
/// What is wrong with the database, in one line.
pub(crate) fn open(target: &Target) -> Result<SqliteConnection, StartError> {
    open_and_migrate(target).map(|(connection, _)| connection)
}

/// As [`open`]. Returns the migrations that were run, too.
pub(super) fn open_and_migrate(target: &Target) -> Result<(SqliteConnection, Vec<String>), StartError> {
    let opened = connection::open_for_start(target).and_then(|mut connection| {
        let applied =
            migrate(&mut connection).map_err(|error| StoreFault::failed("bring the schema up to date", error))?;
        // On the same connection: a database in memory is deleted with its last connection.
        connection::set_up(&mut connection, target, Role::Writer)?;
        rewrite_log(&mut connection)?;
        Ok((connection, applied))
    });
    opened.map_err(|fault| StartError::failed(format!("cannot use the database {target}: {}", fault.chain())))
}

/// Copies the log into the database. The log may have a commit whose fsync failed before the last process ended: it is in
/// the page cache, but perhaps not on the disk. Copying writes it again, before any reader sees it.
fn rewrite_log(connection: &mut SqliteConnection) -> Result<(), StoreFault> {
    match connection::checkpoint(connection, Checkpoint::Truncate) {
        // Without space the service still starts and reads.
        Err(fault @ (StoreFault::StorageFull(_) | StoreFault::Busy(_))) => {
            log::warn!("the log of the database could not be copied into it and will be later: {}", fault.chain());
            Ok(())
        }
        done => done.map(drop),
    }
}

/// Runs all migrations in one exclusive transaction: of two processes that start at once, the second waits and finds
/// nothing left to do. A failed migration leaves nothing behind, not even the ones before it. Returns those that were run.
fn migrate(connection: &mut SqliteConnection) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    connection.exclusive_transaction(|connection| run_pending(connection, MIGRATIONS))
}

/// Compares the schema of a database with that of this program.
///
/// # Errors
/// The database cannot be read.
pub(super) fn schema_of(connection: &mut SqliteConnection) -> Result<Schema, StoreFault> {
    compare(connection, &MIGRATIONS).map_err(|error| StoreFault::failed("read the schema of the database", error))
}

#[cfg(test)]
mod tests {
    use diesel::{prelude::*, sql_types::Text, sqlite::Sqlite};
    use diesel_migrations::MigrationHarness;

    use super::*;
    use crate::store::schema::{events, idempotency_keys, orders};

    #[derive(QueryableByName, Debug, PartialEq)]
    struct Named {
        #[diesel(sql_type = Text)]
        name: String,
    }

    fn names(connection: &mut SqliteConnection, sql: &str) -> Vec<String> {
        let rows: Vec<Named> = diesel::sql_query(sql).load(connection).unwrap();
        rows.into_iter().map(|row| row.name).collect()
    }

    #[test]
    fn the_tables_of_the_program_are_those_of_the_migrations() {
        let target = Target::prepare(None).unwrap();
        let mut connection = open(&target).unwrap();
        let orders = orders::table.select(orders::all_columns);
        let events = events::table.select(events::all_columns);
        let keys = idempotency_keys::table.select(idempotency_keys::all_columns);
        for (table, sql) in [
            ("orders", diesel::debug_query::<Sqlite, _>(&orders).to_string()),
            ("events", diesel::debug_query::<Sqlite, _>(&events).to_string()),
            ("idempotency_keys", diesel::debug_query::<Sqlite, _>(&keys).to_string()),
        ] {
            let migrated = names(&mut connection, &format!("SELECT name FROM pragma_table_info('{table}')"));
            let expected: Vec<String> = migrated.iter().map(|name| format!("`{table}`.`{name}`")).collect();
            assert!(sql.starts_with(&format!("SELECT {} FROM", expected.join(", "))), "{sql}");
            let strict = format!("SELECT name FROM pragma_table_list WHERE name = '{table}' AND strict");
            assert_eq!(names(&mut connection, &strict), [table]);
        }
    }

    #[test]
    fn an_order_from_before_there_were_events_has_one_afterwards() {
        let target = Target::prepare(None).unwrap();
        let mut connection = open(&target).unwrap();
        connection.revert_last_migration(MIGRATIONS).unwrap();
        connection.revert_last_migration(MIGRATIONS).unwrap();
        let insert = "INSERT INTO orders (address, item, status, created_by, created_at, updated_at)
                      VALUES ('1 Main Street', 'a book', 'pending', 7, 1, 1), ('1 Main Street', 'a pen', 'pending', 7, 2, 2)";
        diesel::sql_query(insert).execute(&mut connection).unwrap();
        assert_eq!(schema_of(&mut connection).unwrap(), Schema::Older);
        migrate(&mut connection).unwrap();
        let shown = "SELECT sequence || ' ' || order_id || ' ' || version || ' ' || status || ' ' || created_at AS name
                     FROM events ORDER BY sequence";
        assert_eq!(names(&mut connection, shown), ["1 1 1 pending 1", "2 2 1 pending 2"]);
    }

    #[test]
    fn every_migration_can_be_undone_and_done_again() {
        let target = Target::prepare(None).unwrap();
        let mut connection = open(&target).unwrap();
        connection.revert_all_migrations(MIGRATIONS).unwrap();
        let left = "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' AND name NOT LIKE '__diesel%'";
        assert_eq!(names(&mut connection, left), Vec::<String>::new());
        migrate(&mut connection).unwrap();
        let all = [
            "events",
            "idempotency_keys",
            "idempotency_keys_by_age",
            "orders",
            "orders_by_owner",
            "orders_by_owner_and_status",
        ];
        assert_eq!(names(&mut connection, &format!("{left} ORDER BY name")), all);
    }
}
