//! Brings the schema up to date at the start, under a lock, and refuses a schema that is newer than this program.

use std::error::Error;

use diesel::{Connection, connection::SimpleConnection};
use diesel_async::{AsyncPgConnection, async_connection_wrapper::AsyncConnectionWrapper};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::executor::Waiting;
use crate::store::migration::{Schema, compare, run_pending};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations/orders/postgres");

/// Held by the process that migrates: "migr" in ASCII. Each database has its own locks.
const LOCK: i64 = 0x6d69_6772;

/// Runs all migrations in one transaction: of several processes that start at once, the others wait and find nothing left to
/// do. A failed migration leaves nothing behind, not even the ones before it. Returns those that were run.
///
/// # Errors
/// The schema is newer than this program, or a migration failed.
pub(super) fn run(connection: AsyncPgConnection) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    let mut connection = AsyncConnectionWrapper::<_, Waiting>::from(connection);
    // A migration may take longer than any statement of the service.
    connection.batch_execute("SET statement_timeout = 0; SET lock_timeout = '60s'")?;
    connection.transaction(|connection| {
        connection.batch_execute(&format!("SELECT pg_advisory_xact_lock({LOCK})"))?;
        run_pending(connection, MIGRATIONS)
    })
}

/// The migrations that [`run`] would run.
///
/// # Errors
/// The schema is newer than this program, or cannot be read.
pub(super) fn pending(connection: AsyncPgConnection) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    let mut connection = AsyncConnectionWrapper::<_, Waiting>::from(connection);
    if let Schema::Newer(why) = compare(&mut connection, &MIGRATIONS)? {
        return Err(why.into());
    }
    let pending = connection.pending_migrations(MIGRATIONS)?;
    Ok(pending.iter().map(|migration| migration.name().version().to_string()).collect())
}
