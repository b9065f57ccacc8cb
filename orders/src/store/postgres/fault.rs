//! Turns errors of PostgreSQL into faults, distinguished by what a caller can do about them.

use chassis::store::{StoreFault, fault::Cause};
use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// The fault of a read, or of a transaction that was not committed. `operation` names what was tried: "list orders".
///
/// What the server or the connection reports passes: the server stops, has become read-only in a failover, is overloaded, or
/// cannot be reached. Diesel hides the code that would tell more, and the texts are in the language of the server.
pub(super) fn of_statement(operation: &'static str, error: DieselError) -> StoreFault {
    let DieselError::DatabaseError(_, information) = &error else { return StoreFault::failed(operation, error) };
    // The text is that of its operating system. In another language than English, the fault counts as one that passes.
    if information.message().contains("No space left on device") {
        return StoreFault::StorageFull(Cause::new(error));
    }
    StoreFault::Busy(Some(Cause::new(error)))
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
