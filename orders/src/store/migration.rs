//! Compares the schema of a database with that of this program, for every database.

use std::{collections::HashSet, error::Error};

use diesel::{
    backend::Backend,
    migration::{Migration, MigrationSource},
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};

type MigrationError = Box<dyn Error + Send + Sync>;

/// The schema of a database, as this program sees it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Schema {
    Current,
    Older,
    /// Says what to do.
    Newer(String),
}

/// Compares the schema of a database with the migrations that this program has for it.
///
/// # Errors
/// The database cannot be read.
pub(super) fn compare<DB: Backend>(
    connection: &mut impl MigrationHarness<DB>,
    migrations: &EmbeddedMigrations,
) -> Result<Schema, MigrationError>
where
    EmbeddedMigrations: MigrationSource<DB>,
{
    let own: Vec<Box<dyn Migration<DB>>> = migrations.migrations()?;
    let known: HashSet<String> = own.iter().map(|migration| migration.name().version().to_string()).collect();
    let applied = connection.applied_migrations()?;
    Ok(match applied.iter().find(|version| !known.contains(&version.to_string())) {
        None if applied.len() == known.len() => Schema::Current,
        None => Schema::Older,
        Some(unknown) => Schema::Newer(format!(
            "it has the migration {unknown}, which this program does not know: a newer version has written it; \
             start that version again, or restore a backup from before it (nothing was changed)"
        )),
    })
}

/// Runs the migrations that the database lacks, in a transaction that the caller has begun. Returns those that were run.
///
/// # Errors
/// The schema is newer than this program, or a migration failed.
pub(super) fn run_pending<DB: Backend>(
    connection: &mut impl MigrationHarness<DB>,
    migrations: EmbeddedMigrations,
) -> Result<Vec<String>, MigrationError>
where
    EmbeddedMigrations: MigrationSource<DB>,
{
    if let Schema::Newer(why) = compare(connection, &migrations)? {
        return Err(why.into());
    }
    let applied = connection.run_pending_migrations(migrations)?;
    for version in &applied {
        log::info!(version:% = version; "the schema of the database was migrated");
    }
    Ok(applied.iter().map(ToString::to_string).collect())
}
