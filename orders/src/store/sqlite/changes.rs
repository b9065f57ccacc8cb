//! What each change does to the tables. Knows no transaction but its own savepoint.

use chassis::{store::StoreFault, timestamp::Timestamp};
use diesel::{prelude::*, result::Error as DieselError};

use super::{events, fault, keys};
use crate::{
    domain::{Change, IdempotencyKey, NewOrder, Order, Refusal, StatusChange, Written},
    store::{
        database::Outcome,
        error::StoreError,
        schema::{NewOrderRow, OrderRow, orders},
    },
};

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
    let applied = connection.transaction(|connection| {
        let written = match change {
            Change::Create { order, key, .. } => create(connection, order, key.as_ref(), now)?,
            Change::SetStatus(change) => set_status(connection, change, now).map(Written::now)?,
        };
        if !written.is_replay {
            events::record(connection, &written.order, change.trace().as_ref())?;
        }
        Ok(written)
    });
    match applied {
        Ok(written) => Ok(Ok(written)),
        Err(Undo::Change(error)) => Ok(Err(error)),
        Err(Undo::Database(error)) if fault::is_of_the_change(&error) => {
            Ok(Err(StoreFault::failed("change an order", error).into()))
        }
        Err(Undo::Database(error)) => Err(error),
    }
}

/// Creates an order. Requests with the same key that arrive at the same time come one after another here, so that none of
/// them has to be told that another is in flight.
fn create(
    connection: &mut SqliteConnection,
    order: &NewOrder,
    key: Option<&IdempotencyKey>,
    now: Timestamp,
) -> Result<Written, Undo> {
    if let Some(key) = key
        && let Some(earlier) = keys::find(connection, order.created_by, key)?
    {
        let earlier = earlier.parse().map_err(Refused)?;
        if !earlier.was_requested_by(order) {
            return Err(Refused(Refusal::KeyReused).into());
        }
        return Ok(Written { order: earlier.when_created(), is_replay: true });
    }
    let row: OrderRow = diesel::insert_into(orders::table)
        .values(NewOrderRow::new(order, now))
        .returning(OrderRow::as_returning())
        .get_result(connection)?;
    let created = row.parse().map_err(Refused)?;
    if let Some(key) = key {
        keys::remember(connection, created.created_by, key, created.id, now)?;
    }
    Ok(Written::now(created))
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
