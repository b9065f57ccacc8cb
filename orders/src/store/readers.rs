//! The actors that read: a pool of threads, a connection each. They cannot write (`query_only`).

use std::{num::NonZeroUsize, thread, time::Instant};

use actix::{Actor, Addr, Handler, Message, SyncArbiter, SyncContext};
use chassis::identity::UserId;
use diesel::{
    dsl::{AsSelect, IntoBoxed, Select},
    prelude::*,
    r2d2::ConnectionManager,
    sqlite::Sqlite,
};
use r2d2::PooledConnection;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    StoreError,
    connection::ReaderPool,
    fail_stop::AbortOnPanic,
    metrics::StoreMetrics,
    schema::{OrderRow, orders},
};
use crate::domain::{Listed, Order, OrderId, Page};

/// Starts one actor for each connection of the pool.
pub(super) fn start(pool: &ReaderPool, count: NonZeroUsize, metrics: &StoreMetrics) -> Addr<Reader> {
    let (pool, metrics) = (pool.clone(), metrics.clone());
    let thread = || thread::Builder::new().name("orders-reader".to_owned());
    SyncArbiter::start_with_thread_builder(count.get(), thread, move || Reader {
        pool: pool.clone(),
        metrics: metrics.clone(),
        _fail_stop: AbortOnPanic("reader"),
    })
}

/// Reads orders.
pub(super) struct Reader {
    pool: ReaderPool,
    metrics: StoreMetrics,
    _fail_stop: AbortOnPanic,
}

impl Actor for Reader {
    type Context = SyncContext<Self>;
}

impl Reader {
    /// There are as many connections as actors, so that nobody waits here.
    fn connection(&self) -> Result<PooledConnection<ConnectionManager<SqliteConnection>>, StoreError> {
        self.pool.get().map_err(|error| StoreError::failed("take a connection", error))
    }

    /// Reads, and measures how long the message has waited `since` it was sent and how long the reading takes.
    fn measured<T>(
        &self,
        since: Instant,
        read: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let start = Instant::now();
        self.metrics.read_wait_seconds.observe((start - since).as_secs_f64());
        let found = read(&mut *self.connection()?);
        self.metrics.read_seconds.observe(start.elapsed().as_secs_f64());
        found
    }
}

/// Asks for a page of a user's orders.
pub(super) struct List {
    pub(super) owner: UserId,
    pub(super) page: Page,
    pub(super) since: Instant,
    pub(super) permit: OwnedSemaphorePermit,
}

impl Message for List {
    type Result = Result<Listed, StoreError>;
}

impl Handler<List> for Reader {
    type Result = Result<Listed, StoreError>;

    fn handle(&mut self, message: List, _: &mut Self::Context) -> Self::Result {
        let listed = self.measured(message.since, |connection| list(connection, message.owner, message.page));
        drop(message.permit);
        listed
    }
}

/// Asks for one order.
pub(super) struct Get {
    pub(super) id: OrderId,
    pub(super) since: Instant,
    pub(super) permit: OwnedSemaphorePermit,
}

impl Message for Get {
    type Result = Result<Order, StoreError>;
}

impl Handler<Get> for Reader {
    type Result = Result<Order, StoreError>;

    fn handle(&mut self, message: Get, _: &mut Self::Context) -> Self::Result {
        let order = self.measured(message.since, |connection| get(connection, message.id));
        drop(message.permit);
        order
    }
}

/// Asks whether reading works.
pub(super) struct Ping {
    pub(super) permit: OwnedSemaphorePermit,
}

impl Message for Ping {
    type Result = Result<(), StoreError>;
}

impl Handler<Ping> for Reader {
    type Result = Result<(), StoreError>;

    fn handle(&mut self, message: Ping, _: &mut Self::Context) -> Self::Result {
        let found = orders::table.select(orders::id).first::<i64>(&mut *self.connection()?).optional();
        drop(message.permit);
        found.map(|_| ()).map_err(|error| StoreError::of_statement("read the database", error))
    }
}

fn list(connection: &mut SqliteConnection, owner: UserId, page: Page) -> Result<Listed, StoreError> {
    // One more than asked for tells whether there is a next page.
    let rows: Vec<OrderRow> =
        listing(owner, page).load(connection).map_err(|error| StoreError::of_statement("list orders", error))?;
    let has_more = rows.len() > page.limit;
    let orders = rows.into_iter().take(page.limit).map(OrderRow::parse).collect::<Result<_, _>>()?;
    Ok(Listed { orders, has_more })
}

type Listing = IntoBoxed<'static, Select<orders::table, AsSelect<OrderRow, Sqlite>>, Sqlite>;

/// A range of the index `orders_by_owner`, read in its order.
///
/// Why not `(created_at, id) < (?, ?)`: Diesel has no row values. `created_at <= ?` bounds the range all the same, and
/// the rest passes over at most the orders of one moment.
fn listing(owner: UserId, page: Page) -> Listing {
    let newest_first = (orders::created_at.desc(), orders::id.desc());
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX).saturating_add(1);
    let all = orders::table.select(OrderRow::as_select()).into_boxed();
    let own = all.filter(orders::created_by.eq(owner.0)).order(newest_first).limit(limit);
    match page.after {
        None => own,
        Some(after) => {
            let micros = after.created_at.unix_micros();
            own.filter(orders::created_at.le(micros))
                .filter(orders::created_at.lt(micros).or(orders::id.lt(after.id.0)))
        }
    }
}

fn get(connection: &mut SqliteConnection, id: OrderId) -> Result<Order, StoreError> {
    orders::table
        .find(id.0)
        .select(OrderRow::as_select())
        .first(connection)
        .map_err(|error| StoreError::of_statement("read an order", error))
        .and_then(OrderRow::parse)
}

#[cfg(test)]
mod tests {
    use chassis::timestamp::Timestamp;
    use diesel::sql_types::Text;

    use super::*;
    use crate::{
        domain::Position,
        store::{DatabaseLocation, migrations, target::Target},
    };

    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    /// What SQLite would do for a page, step by step.
    fn plan(page: Page) -> Vec<String> {
        let target = Target::prepare(&DatabaseLocation::Memory).unwrap();
        let mut connection = migrations::open(&target).unwrap();
        let shown = diesel::debug_query::<Sqlite, _>(&listing(UserId(7), page)).to_string();
        let sql = shown.split(" -- binds").next().unwrap();
        let steps: Vec<Step> = diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}")).load(&mut connection).unwrap();
        steps.into_iter().map(|step| step.detail).collect()
    }

    #[test]
    fn a_page_is_a_range_of_the_index_and_nothing_is_sorted() {
        let after = Some(Position { created_at: Timestamp::of_unix_micros(1).unwrap(), id: OrderId(1) });
        let first = plan(Page { after: None, limit: 10 });
        assert_eq!(first, ["SEARCH orders USING INDEX orders_by_owner (created_by=?)"]);
        let later = plan(Page { after, limit: 10 });
        assert_eq!(later, ["SEARCH orders USING INDEX orders_by_owner (created_by=? AND created_at<?)"]);
    }
}
