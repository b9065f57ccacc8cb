//! The tables as Diesel knows them, the same in every database, and the conversion between rows and orders. A test compares them with the
//! migrations.

use chassis::{identity::UserId, store::StoreFault, timestamp::Timestamp, trace::TraceParent};
use diesel::prelude::*;

use crate::domain::{Address, Event, EventId, Item, NewOrder, Order, OrderId, OrderPage, Status};

diesel::table! {
    orders (id) {
        id -> BigInt,
        address -> Text,
        item -> Text,
        status -> Text,
        created_by -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        version -> BigInt,
    }
}

diesel::table! {
    idempotency_keys (user_id, key) {
        user_id -> BigInt,
        key -> Text,
        order_id -> BigInt,
        created_at -> BigInt,
    }
}

diesel::table! {
    events (sequence) {
        sequence -> BigInt,
        order_id -> BigInt,
        version -> BigInt,
        status -> Text,
        created_at -> BigInt,
        traceparent -> Nullable<Text>,
    }
}

diesel::joinable!(idempotency_keys -> orders (order_id));
diesel::joinable!(events -> orders (order_id));
diesel::allow_tables_to_appear_in_same_query!(events, idempotency_keys, orders);

/// A row of `orders`.
#[derive(Debug, Hash, Insertable, Queryable, Selectable)]
#[diesel(table_name = orders, check_for_backend(diesel::sqlite::Sqlite, diesel::pg::Pg))]
pub(super) struct OrderRow {
    id: i64,
    address: String,
    item: String,
    status: String,
    created_by: i64,
    created_at: i64,
    updated_at: i64,
    version: i64,
}

impl OrderRow {
    /// The order in this row.
    ///
    /// # Errors
    /// A row that this program would not have written.
    pub(super) fn parse(self) -> Result<Order, StoreFault> {
        let id = self.id;
        self.parsed().ok_or_else(|| StoreFault::failed("read an order", format!("the row of order {id} is not valid")))
    }

    fn parsed(self) -> Option<Order> {
        Some(Order {
            id: OrderId(self.id),
            address: Address::parse(&self.address).ok()?,
            item: Item::parse(&self.item).ok()?,
            status: Status::from_name(&self.status)?,
            created_by: UserId(self.created_by),
            created_at: Timestamp::from_unix_micros(self.created_at)?,
            updated_at: Timestamp::from_unix_micros(self.updated_at)?,
            version: u64::try_from(self.version).ok()?,
        })
    }
}

/// The page that these rows are, if they are what a query for one order more than `limit` has found.
///
/// # Errors
/// A row that this program would not have written.
pub(super) fn page_of(rows: Vec<OrderRow>, limit: usize) -> Result<OrderPage, StoreFault> {
    let has_more = rows.len() > limit;
    let orders = rows.into_iter().take(limit).map(OrderRow::parse).collect::<Result<_, _>>()?;
    Ok(OrderPage { orders, has_more })
}

/// A row to be inserted; the database assigns the id and the version.
#[derive(Debug, Insertable)]
#[diesel(table_name = orders)]
pub(super) struct NewOrderRow<'a> {
    address: &'a str,
    item: &'a str,
    status: &'static str,
    created_by: i64,
    created_at: i64,
    updated_at: i64,
}

impl<'a> NewOrderRow<'a> {
    /// The row of an order that is created `now`.
    pub(super) fn new(order: &'a NewOrder, now: Timestamp) -> Self {
        Self {
            address: order.address.as_str(),
            item: order.item.as_str(),
            status: Status::Pending.name(),
            created_by: order.created_by.0,
            created_at: now.unix_micros(),
            updated_at: now.unix_micros(),
        }
    }
}

/// A row of `events`.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = events, check_for_backend(diesel::sqlite::Sqlite, diesel::pg::Pg))]
pub(super) struct EventRow {
    sequence: i64,
    version: i64,
    status: String,
    created_at: i64,
    traceparent: Option<String>,
}

impl EventRow {
    /// The event in this row, which is about this order.
    ///
    /// # Errors
    /// A row that this program would not have written.
    pub(super) fn parse(self, order: OrderRow) -> Result<Event, StoreFault> {
        let invalid = || StoreFault::failed("read events", format!("the row of event {} is not valid", self.sequence));
        let order = Order {
            status: Status::from_name(&self.status).ok_or_else(invalid)?,
            updated_at: Timestamp::from_unix_micros(self.created_at).ok_or_else(invalid)?,
            version: u64::try_from(self.version).map_err(|_| invalid())?,
            ..order.parse()?
        };
        let trace = self.traceparent.as_deref().and_then(TraceParent::parse);
        Ok(Event { id: EventId(self.sequence), order, trace })
    }
}

/// A row to be inserted: an order has come into the state that it has. The database assigns the sequence.
#[derive(Debug, Insertable)]
#[diesel(table_name = events)]
pub(super) struct NewEventRow<'a> {
    order_id: i64,
    version: i64,
    status: &'static str,
    created_at: i64,
    traceparent: Option<&'a str>,
}

impl<'a> NewEventRow<'a> {
    pub(super) fn new(order: &Order, trace: Option<&'a TraceParent>) -> Self {
        Self {
            order_id: order.id.0,
            version: i64::try_from(order.version).unwrap_or(i64::MAX),
            status: order.status.name(),
            created_at: order.updated_at.unix_micros(),
            traceparent: trace.map(TraceParent::as_str),
        }
    }
}

/// A row of `events` with all its columns, to be moved to another database.
#[derive(Debug, Hash, Insertable, Queryable, Selectable)]
#[diesel(table_name = events, check_for_backend(diesel::sqlite::Sqlite, diesel::pg::Pg))]
pub(super) struct EventRecord {
    sequence: i64,
    order_id: i64,
    version: i64,
    status: String,
    created_at: i64,
    traceparent: Option<String>,
}

/// A row of `idempotency_keys`, to be moved to another database.
#[derive(Debug, Hash, Insertable, Queryable, Selectable)]
#[diesel(table_name = idempotency_keys, check_for_backend(diesel::sqlite::Sqlite, diesel::pg::Pg))]
pub(super) struct KeyRecord {
    user_id: i64,
    key: String,
    order_id: i64,
    created_at: i64,
}
