//! Turns errors of SQLite into faults, distinguished by what a caller can do about them.

use chassis::store::{StoreFault, fault::Cause};
use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// The fault of a statement that did not commit anything. `operation` names what was tried: "insert an order".
pub(super) fn of_statement(operation: &'static str, error: DieselError) -> StoreFault {
    match Kind::of(&error) {
        Kind::Locked => StoreFault::Busy(Some(Cause::new(error))),
        Kind::Full => StoreFault::StorageFull(Cause::new(error)),
        Kind::Other => StoreFault::failed(operation, error),
    }
}

/// The fault of a COMMIT.
pub(super) fn of_commit(error: DieselError) -> StoreFault {
    match Kind::of(&error) {
        // A database in memory cannot commit while others read; the transaction was rolled back.
        Kind::Locked => StoreFault::Busy(Some(Cause::new(error))),
        // The last frame of a transaction marks it as committed, and it did not fit into the log, so that the next
        // reader of the log ignores the frames before it: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
        Kind::Full => StoreFault::StorageFull(Cause::new(error)),
        // The fsync failed, and the frames may be in the log already.
        Kind::Other => StoreFault::OutcomeUnknown(Cause::new(error)),
    }
}

/// Whether the error is the fault of the change itself, so that the others of its batch need not fail with it.
pub(super) fn is_of_the_change(error: &DieselError) -> bool {
    use DatabaseErrorKind::{CheckViolation, ForeignKeyViolation, NotNullViolation, UniqueViolation};
    matches!(
        error,
        DieselError::SerializationError(_)
            | DieselError::DatabaseError(CheckViolation | NotNullViolation | UniqueViolation | ForeignKeyViolation, _)
    )
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Locked,
    Full,
    Other,
}

impl Kind {
    /// Diesel keeps the message of SQLite and not its code. The texts are those of `sqlite3ErrStr`, which have not
    /// changed in twenty years; only the bundled SQLite is used, and tests cause each of them.
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
