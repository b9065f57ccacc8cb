//! What each change does to the tables. Knows no transaction but its own savepoint.

use chassis::{store::StoreFault, timestamp::Timestamp};
use diesel::{prelude::*, result::Error as DieselError};

use super::{
    fault,
    schema::{NewOrderRow, OrderRow, orders},
};
use crate::{
    domain::{Change, NewOrder, Order, Refusal, StatusChange},
    store::error::StoreError,
};

/// The outcome of one change in a batch that was committed: the order as it is now.
pub(super) type Outcome = Result<Order, StoreError>;

/// Why a savepoint is undone.
enum Undo {
    /// Only this change fails.
    Change(StoreError),
    Database(DieselError),
}

impl From<DieselError> for Undo {
    fn from(error: DieselError) -> Self {
        Self::Database(error)
    }
}

impl<E: Into<StoreError>> From<Refused<E>> for Undo {
    fn from(Refused(error): Refused<E>) -> Self {
        Self::Change(error.into())
    }
}

/// An error of one change. A type of its own, because `?` could not tell it from an error of the database otherwise.
struct Refused<E>(E);

/// Applies one change within a savepoint, so that it leaves nothing behind if it fails.
///
/// # Errors
/// An error that is not the fault of the change, and so ends the transaction.
pub(super) fn apply(
    connection: &mut SqliteConnection,
    change: &Change,
    now: Timestamp,
) -> Result<Outcome, DieselError> {
    let applied = connection.transaction(|connection| match change {
        Change::Create(order) => create(connection, order, now),
        Change::SetStatus(change) => set_status(connection, change, now),
    });
    match applied {
        Ok(order) => Ok(Ok(order)),
        Err(Undo::Change(error)) => Ok(Err(error)),
        Err(Undo::Database(error)) if fault::is_of_the_change(&error) => {
            Ok(Err(StoreFault::failed("change an order", error).into()))
        }
        Err(Undo::Database(error)) => Err(error),
    }
}

fn create(connection: &mut SqliteConnection, order: &NewOrder, now: Timestamp) -> Result<Order, Undo> {
    let row: OrderRow = diesel::insert_into(orders::table)
        .values(NewOrderRow::new(order, now))
        .returning(OrderRow::as_returning())
        .get_result(connection)?;
    Ok(row.parse().map_err(Refused)?)
}

/// Nothing changes between reading and writing, because the transaction holds the write lock.
fn set_status(connection: &mut SqliteConnection, change: &StatusChange, now: Timestamp) -> Result<Order, Undo> {
    let found: Option<OrderRow> =
        orders::table.find(change.id.0).select(OrderRow::as_select()).first(connection).optional()?;
    let order = found.ok_or(Refused(Refusal::NotFound))?.parse().map_err(Refused)?;
    let order = change.apply_to(order, now).map_err(Refused)?;
    let state = (
        orders::status.eq(order.status.name()),
        orders::updated_at.eq(order.updated_at.unix_micros()),
        orders::version.eq(orders::version + 1),
    );
    diesel::update(orders::table.find(order.id.0)).set(state).execute(connection)?;
    Ok(order)
}
