//! The idempotency keys: which order a key has made, for as long as it is remembered.

use chassis::{identity::UserId, timestamp::Timestamp};
use diesel::{prelude::*, sql_types::BigInt};

use crate::{
    domain::{IdempotencyKey, OrderId},
    store::{
        database::{KEYS_DELETED_MAX, KEYS_KEPT_FOR},
        schema::{OrderRow, idempotency_keys, orders},
    },
};

/// The order that this key of a user has made.
pub(super) fn find(
    connection: &mut SqliteConnection,
    user: UserId,
    key: &IdempotencyKey,
) -> QueryResult<Option<OrderRow>> {
    idempotency_keys::table
        .find((user.0, key.as_str()))
        .inner_join(orders::table)
        .select(OrderRow::as_select())
        .first(connection)
        .optional()
}

/// Remembers that this key has made an order.
pub(super) fn remember(
    connection: &mut SqliteConnection,
    user: UserId,
    key: &IdempotencyKey,
    order: OrderId,
    now: Timestamp,
) -> QueryResult<()> {
    let row = (
        idempotency_keys::user_id.eq(user.0),
        idempotency_keys::key.eq(key.as_str()),
        idempotency_keys::order_id.eq(order.0),
        idempotency_keys::created_at.eq(now.unix_micros()),
    );
    diesel::insert_into(idempotency_keys::table).values(row).execute(connection).map(drop)
}

/// Deletes keys that are too old, at the beginning of each batch.
pub(super) fn forget_old(connection: &mut SqliteConnection, now: Timestamp) -> QueryResult<()> {
    let kept_micros = i64::try_from(KEYS_KEPT_FOR.as_micros()).unwrap_or(i64::MAX);
    diesel::sql_query(
        "DELETE FROM idempotency_keys WHERE (user_id, key) IN \
         (SELECT user_id, key FROM idempotency_keys WHERE created_at <= ? ORDER BY created_at LIMIT ?)",
    )
    .bind::<BigInt, _>(now.unix_micros().saturating_sub(kept_micros))
    .bind::<BigInt, _>(KEYS_DELETED_MAX)
    .execute(connection)
    .map(drop)
}
