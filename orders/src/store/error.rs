//! What can go wrong in the store, told apart by what a caller can do about it. Knows no HTTP.

use std::{error::Error, fmt, sync::Arc};

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// Why the store could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// No such order.
    #[error("no such order")]
    NotFound,
    /// Too much is waiting, or another process holds the database for too long. Nothing was changed.
    #[error("the store has too much to do")]
    Busy,
    /// The store is shutting down. Nothing was changed.
    #[error("the store is closed")]
    Closed,
    /// No space is left. Nothing was changed.
    #[error("the storage is full")]
    Full,
    /// The change may or may not survive.
    #[error("the outcome of a commit is unknown")]
    OutcomeUnknown(#[source] Cause),
    /// Anything else. Nothing was changed.
    #[error("cannot {operation}")]
    Failed {
        operation: &'static str,
        #[source]
        cause: Cause,
    },
}

/// The reason for the log, shared by all orders of a batch that failed as one.
#[derive(Clone, Debug)]
pub(crate) struct Cause(Arc<dyn Error + Send + Sync>);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl StoreError {
    /// A failure of `operation`, which names what was tried: "insert an order".
    pub(super) fn failed(operation: &'static str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed { operation, cause: Cause(Arc::from(cause.into())) }
    }

    /// The error of a statement that did not commit anything.
    pub(super) fn of_statement(operation: &'static str, error: DieselError) -> Self {
        match Trouble::of(&error) {
            Trouble::Locked => Self::Busy,
            Trouble::Full => Self::Full,
            Trouble::Other if matches!(error, DieselError::NotFound) => Self::NotFound,
            Trouble::Other => Self::failed(operation, error),
        }
    }

    /// The error of COMMIT.
    pub(super) fn of_commit(error: DieselError) -> Self {
        match Trouble::of(&error) {
            // A database in memory cannot commit while others read; it was rolled back.
            Trouble::Locked => Self::Busy,
            // The last frame of a transaction marks it as committed, and it did not fit into the log, so that the next
            // reader of the log ignores the frames before it: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
            Trouble::Full => Self::Full,
            // The frames may be in the log already, and fsync has failed: who knows.
            Trouble::Other => Self::OutcomeUnknown(Cause(Arc::new(error))),
        }
    }
}

#[cfg(test)]
impl StoreError {
    pub(crate) fn unknown_for_tests() -> Self {
        Self::of_commit(DieselError::QueryBuilderError("secret".into()))
    }

    pub(crate) fn failed_for_tests() -> Self {
        Self::failed("insert an order", "secret")
    }
}

/// Whether an order itself is to blame for an error, so that the others of its batch need not fail with it.
pub(super) fn is_fault_of_the_order(error: &DieselError) -> bool {
    use DatabaseErrorKind::{CheckViolation, ForeignKeyViolation, NotNullViolation, UniqueViolation};
    matches!(
        error,
        DieselError::SerializationError(_)
            | DieselError::DatabaseError(CheckViolation | NotNullViolation | UniqueViolation | ForeignKeyViolation, _)
    )
}

#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    Locked,
    Full,
    Other,
}

impl Trouble {
    /// Diesel keeps the message of SQLite and not its code. The texts are those of `sqlite3ErrStr`, which have not
    /// changed in twenty years; the bundled SQLite is the only one that we run on, and tests meet each of them.
    fn of(error: &DieselError) -> Self {
        if let DieselError::RollbackErrorOnCommit { commit_error, .. } = error {
            return Self::of(commit_error);
        }
        let DieselError::DatabaseError(_, information) = error else { return Self::Other };
        match information.message() {
            "database is locked" | "database table is locked" => Self::Locked,
            "database or disk is full" => Self::Full,
            _ => Self::Other,
        }
    }
}
