//! The events: recorded with each change, read in their order.

use chassis::{store::StoreFault, timestamp::Timestamp};
use diesel::prelude::*;

use super::{
    fault,
    schema::{OrderRow, events, orders},
};
use crate::{
    domain::{Event, EventId, Order, Status},
    store::error::StoreError,
};

/// Records that an order has come into this state. Called in the savepoint of the change.
pub(super) fn record(connection: &mut SqliteConnection, order: &Order) -> QueryResult<()> {
    let row = (
        events::order_id.eq(order.id.0),
        events::version.eq(i64::try_from(order.version).unwrap_or(i64::MAX)),
        events::status.eq(order.status.name()),
        events::created_at.eq(order.updated_at.unix_micros()),
    );
    diesel::insert_into(events::table).values(row).execute(connection).map(drop)
}

/// When the last event happened.
pub(super) fn last_time(connection: &mut SqliteConnection) -> QueryResult<Option<Timestamp>> {
    let last: Option<i64> =
        events::table.select(events::created_at).order(events::sequence.desc()).first(connection).optional()?;
    Ok(last.and_then(Timestamp::from_unix_micros))
}

/// The events after this one, in their order.
pub(super) fn read(connection: &mut SqliteConnection, after: EventId, limit: usize) -> Result<Vec<Event>, StoreError> {
    let rows: Vec<(i64, i64, String, i64, OrderRow)> = events::table
        .inner_join(orders::table)
        .filter(events::sequence.gt(after.0))
        .order(events::sequence)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select((events::sequence, events::version, events::status, events::created_at, OrderRow::as_select()))
        .load(connection)
        .map_err(|error| fault::of_statement("read events", error))?;
    rows.into_iter().map(|(id, version, status, at, order)| parse(id, version, &status, at, order)).collect()
}

fn parse(id: i64, version: i64, status: &str, at: i64, order: OrderRow) -> Result<Event, StoreError> {
    let invalid = || StoreFault::failed("read events", format!("the row of event {id} is not valid"));
    let order = Order {
        status: Status::from_name(status).ok_or_else(invalid)?,
        updated_at: Timestamp::from_unix_micros(at).ok_or_else(invalid)?,
        version: u64::try_from(version).map_err(|_| invalid())?,
        ..order.parse()?
    };
    Ok(Event { id: EventId(id), order })
}
