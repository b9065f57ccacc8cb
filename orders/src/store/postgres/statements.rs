//! The statements of a batch: what it reads before its changes are applied, and what it writes afterwards.

use std::collections::HashMap;

use chassis::{identity::UserId, timestamp::Timestamp};
use diesel::{
    prelude::*,
    result::Error as DieselError,
    sql_types::{Array, BigInt, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::draft::{Draft, Known, Needs};
use crate::{
    domain::Order,
    store::{
        database::{KEYS_DELETED_MAX, KEYS_KEPT_FOR},
        schema::{NewEventRow, OrderRow, events, idempotency_keys, orders},
    },
};

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = BigInt)]
    order_id: i64,
}

/// When the last event happened.
pub(super) async fn last_time(connection: &mut AsyncPgConnection) -> QueryResult<Option<Timestamp>> {
    let newest_first = events::table.select(events::created_at).order(events::sequence.desc());
    let last: Option<i64> = newest_first.first(connection).await.optional()?;
    Ok(last.and_then(Timestamp::from_unix_micros))
}

/// Deletes keys that are too old.
pub(super) async fn forget_old_keys(connection: &mut AsyncPgConnection, now: Timestamp) -> QueryResult<()> {
    let kept_micros = i64::try_from(KEYS_KEPT_FOR.as_micros()).unwrap_or(i64::MAX);
    diesel::sql_query(
        "DELETE FROM idempotency_keys WHERE (user_id, key) IN \
         (SELECT user_id, key FROM idempotency_keys WHERE created_at <= $1 ORDER BY created_at LIMIT $2)",
    )
    .bind::<BigInt, _>(now.unix_micros().saturating_sub(kept_micros))
    .bind::<BigInt, _>(KEYS_DELETED_MAX)
    .execute(connection)
    .await
    .map(drop)
}

/// Reads what a batch needs to know.
pub(super) async fn read(connection: &mut AsyncPgConnection, needs: &Needs) -> QueryResult<Known> {
    let keys = keys(connection, needs.keys()).await?;
    let mut ids: Vec<i64> = keys.iter().map(|key| key.order_id).collect();
    ids.extend(needs.orders.iter().map(|id| id.0));
    let orders = orders_with(connection, &ids).await?;
    let by_id: HashMap<i64, &Order> = orders.iter().map(|order| (order.id.0, order)).collect();
    let order_of = |row: KeyRow| Some((row.key, (*by_id.get(&row.order_id)?).clone()));
    let keys: Vec<_> = keys.into_iter().filter_map(order_of).collect();
    Ok(Known { ids: new_ids(connection, needs.new_orders(&keys)).await?, keys, orders })
}

async fn keys(
    connection: &mut AsyncPgConnection,
    keys: impl Iterator<Item = &(UserId, String)>,
) -> QueryResult<Vec<KeyRow>> {
    let (users, keys): (Vec<i64>, Vec<&str>) = keys.map(|(user, key)| (user.0, key.as_str())).unzip();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    diesel::sql_query(
        "SELECT DISTINCT key, order_id FROM idempotency_keys \
         JOIN unnest($1, $2) AS asked (by_user, with_key) ON user_id = by_user AND key = with_key",
    )
    .bind::<Array<BigInt>, _>(users)
    .bind::<Array<Text>, _>(keys)
    .load(connection)
    .await
}

async fn orders_with(connection: &mut AsyncPgConnection, ids: &[i64]) -> QueryResult<Vec<Order>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = orders::table.filter(orders::id.eq_any(ids)).select(OrderRow::as_select()).load(connection).await?;
    // An order that is not valid is a fault of the whole batch: nobody but this program writes them.
    rows.into_iter()
        .map(OrderRow::parse)
        .collect::<Result<_, _>>()
        .map_err(|fault| DieselError::DeserializationError(Box::new(fault)))
}

/// Draws ids, which nobody else gets.
async fn new_ids(connection: &mut AsyncPgConnection, count: usize) -> QueryResult<Vec<i64>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let drawn =
        diesel::sql_query("SELECT nextval(pg_get_serial_sequence('orders', 'id')) AS id FROM generate_series(1, $1)")
            .bind::<BigInt, _>(i64::try_from(count).unwrap_or(i64::MAX))
            .load::<Id>(connection)
            .await?;
    Ok(drawn.into_iter().map(|row| row.id).collect())
}

/// An order to be inserted with the id that it has been given.
#[derive(Insertable)]
#[diesel(table_name = orders)]
struct CreatedRow<'a> {
    id: i64,
    address: &'a str,
    item: &'a str,
    status: &'static str,
    created_by: i64,
    created_at: i64,
    updated_at: i64,
}

impl<'a> From<&'a Order> for CreatedRow<'a> {
    fn from(order: &'a Order) -> Self {
        Self {
            id: order.id.0,
            address: order.address.as_str(),
            item: order.item.as_str(),
            status: order.status.name(),
            created_by: order.created_by.0,
            created_at: order.created_at.unix_micros(),
            updated_at: order.updated_at.unix_micros(),
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = idempotency_keys)]
struct CreatedKeyRow<'a> {
    user_id: i64,
    key: &'a str,
    order_id: i64,
    created_at: i64,
}

impl<'a> From<&'a (String, Order)> for CreatedKeyRow<'a> {
    fn from((key, order): &'a (String, Order)) -> Self {
        Self { user_id: order.created_by.0, key, order_id: order.id.0, created_at: order.created_at.unix_micros() }
    }
}

/// Writes what the changes of a batch have led to.
pub(super) async fn write(connection: &mut AsyncPgConnection, draft: &Draft) -> QueryResult<()> {
    if !draft.created.is_empty() {
        let rows: Vec<CreatedRow<'_>> = draft.created.iter().map(CreatedRow::from).collect();
        diesel::insert_into(orders::table).values(rows).execute(connection).await?;
    }
    if !draft.changed.is_empty() {
        update(connection, &draft.changed.values().collect::<Vec<_>>()).await?;
    }
    if !draft.events.is_empty() {
        let rows: Vec<NewEventRow<'_>> =
            draft.events.iter().map(|(order, trace)| NewEventRow::new(order, trace.as_ref())).collect();
        diesel::insert_into(events::table).values(rows).execute(connection).await?;
    }
    if !draft.created_keys.is_empty() {
        let rows: Vec<CreatedKeyRow<'_>> = draft.created_keys.iter().map(CreatedKeyRow::from).collect();
        diesel::insert_into(idempotency_keys::table).values(rows).execute(connection).await?;
    }
    Ok(())
}

async fn update(connection: &mut AsyncPgConnection, changed: &[&Order]) -> QueryResult<()> {
    let column = |of: fn(&Order) -> i64| changed.iter().map(|order| of(order)).collect::<Vec<_>>();
    let statuses: Vec<&str> = changed.iter().map(|order| order.status.name()).collect();
    diesel::sql_query(
        "UPDATE orders SET status = new.status, updated_at = new.updated_at, version = new.version \
         FROM unnest($1, $2, $3, $4) AS new (id, status, updated_at, version) WHERE orders.id = new.id",
    )
    .bind::<Array<BigInt>, _>(column(|order| order.id.0))
    .bind::<Array<Text>, _>(statuses)
    .bind::<Array<BigInt>, _>(column(|order| order.updated_at.unix_micros()))
    .bind::<Array<BigInt>, _>(column(|order| i64::try_from(order.version).unwrap_or(i64::MAX)))
    .execute(connection)
    .await
    .map(drop)
}
