//! The events: recorded with each change, read in their order.

use chassis::{timestamp::Timestamp, trace::TraceParent};
use diesel::prelude::*;

use super::fault;
use crate::{
    domain::{Event, EventId, Order},
    store::{
        error::StoreError,
        schema::{EventRow, NewEventRow, OrderRow, events, orders},
    },
};

/// Records that an order has come into this state. Called in the savepoint of the change.
pub(super) fn record(connection: &mut SqliteConnection, order: &Order, trace: Option<&TraceParent>) -> QueryResult<()> {
    diesel::insert_into(events::table).values(NewEventRow::new(order, trace)).execute(connection).map(drop)
}

/// When the last event happened.
pub(super) fn last_time(connection: &mut SqliteConnection) -> QueryResult<Option<Timestamp>> {
    let last: Option<i64> =
        events::table.select(events::created_at).order(events::sequence.desc()).first(connection).optional()?;
    Ok(last.and_then(Timestamp::from_unix_micros))
}

/// The events after this one, in their order.
pub(super) fn read(connection: &mut SqliteConnection, after: EventId, limit: usize) -> Result<Vec<Event>, StoreError> {
    let rows: Vec<(EventRow, OrderRow)> = events::table
        .inner_join(orders::table)
        .filter(events::sequence.gt(after.0))
        .order(events::sequence)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select((EventRow::as_select(), OrderRow::as_select()))
        .load(connection)
        .map_err(|error| fault::of_statement("read events", error))?;
    rows.into_iter().map(|(event, order)| Ok(event.parse(order)?)).collect()
}

/// The newest event.
pub(super) fn newest(connection: &mut SqliteConnection) -> Result<EventId, StoreError> {
    let newest = events::table.select(events::sequence).order(events::sequence.desc()).first(connection).optional();
    let newest: Option<i64> = newest.map_err(|error| fault::of_statement("read the newest event", error))?;
    Ok(newest.map_or(EventId::BEGINNING, EventId))
}
