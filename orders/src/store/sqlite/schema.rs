//! The tables as Diesel knows them, and the conversion between rows and orders. A test compares them with the
//! migrations.

use chassis::{identity::UserId, store::StoreFault, timestamp::Timestamp};
use diesel::prelude::*;

use crate::domain::{Address, Item, NewOrder, Order, OrderId, Status};

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
    }
}

diesel::joinable!(idempotency_keys -> orders (order_id));
diesel::joinable!(events -> orders (order_id));
diesel::allow_tables_to_appear_in_same_query!(events, idempotency_keys, orders);

/// A row of `orders`.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = orders, check_for_backend(diesel::sqlite::Sqlite))]
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
