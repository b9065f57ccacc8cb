//! The actors that read: a pool of threads with a connection each, which cannot write (`query_only`).

use std::{num::NonZeroUsize, thread, time::Instant};

use actix::{Actor, Addr, Handler, Message, SyncArbiter, SyncContext};
use chassis::store::{AbortOnPanic, Admitted, StoreFault};
use diesel::{
    dsl::{AsSelect, IntoBoxed, Select},
    prelude::*,
    r2d2::ConnectionManager,
    sqlite::Sqlite,
};
use r2d2::PooledConnection;

use super::{
    connection::ReaderPool,
    events, fault,
    schema::{OrderRow, orders},
};
use crate::{
    domain::{Event, EventId, Filter, Order, OrderId, OrderPage, PageRequest, Refusal},
    store::{error::StoreError, metrics::StoreMetrics},
};

/// Starts one actor for each connection of the pool.
pub(crate) fn start(pool: &ReaderPool, count: NonZeroUsize, metrics: &StoreMetrics) -> Addr<Reader> {
    let (pool, metrics) = (pool.clone(), metrics.clone());
    let thread = || thread::Builder::new().name("orders-reader".to_owned());
    SyncArbiter::start_with_thread_builder(count.get(), thread, move || Reader {
        pool: pool.clone(),
        metrics: metrics.clone(),
        _abort_on_panic: AbortOnPanic("orders reader"),
    })
}

/// Reads orders.
pub(crate) struct Reader {
    pool: ReaderPool,
    metrics: StoreMetrics,
    _abort_on_panic: AbortOnPanic,
}

impl Actor for Reader {
    type Context = SyncContext<Self>;
}

impl Reader {
    /// A connection. There are as many connections as actors, so that none has to wait here.
    fn connection(&self) -> Result<PooledConnection<ConnectionManager<SqliteConnection>>, StoreFault> {
        self.pool.get().map_err(|error| StoreFault::failed("get a connection", error))
    }

    /// Reads, and records how long the message has waited since `queued_at` and how long the read takes.
    pub(crate) fn read<T>(
        &self,
        queued_at: Instant,
        read: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let start = Instant::now();
        self.metrics.read_wait_seconds.observe((start - queued_at).as_secs_f64());
        let found = read(&mut *self.connection()?);
        self.metrics.read_seconds.observe(start.elapsed().as_secs_f64());
        found
    }
}

/// Reads a page of a list.
#[derive(Message)]
#[rtype(result = "Result<OrderPage, StoreError>")]
pub(crate) struct List {
    pub(crate) filter: Filter,
    pub(crate) page: PageRequest,
}

impl Handler<Admitted<List>> for Reader {
    type Result = Result<OrderPage, StoreError>;

    fn handle(&mut self, admitted: Admitted<List>, _: &mut Self::Context) -> Self::Result {
        let List { filter, page } = admitted.message;
        self.read(admitted.queued_at, |connection| list(connection, filter, page))
    }
}

/// Reads one order.
#[derive(Message)]
#[rtype(result = "Result<Order, StoreError>")]
pub(crate) struct Get {
    pub(crate) id: OrderId,
}

impl Handler<Admitted<Get>> for Reader {
    type Result = Result<Order, StoreError>;

    fn handle(&mut self, admitted: Admitted<Get>, _: &mut Self::Context) -> Self::Result {
        self.read(admitted.queued_at, |connection| get(connection, admitted.message.id))
    }
}

/// Reads the events after one of them.
#[derive(Message)]
#[rtype(result = "Result<Vec<Event>, StoreError>")]
pub(crate) struct Events {
    pub(crate) after: EventId,
    pub(crate) limit: usize,
}

impl Handler<Admitted<Events>> for Reader {
    type Result = Result<Vec<Event>, StoreError>;

    fn handle(&mut self, admitted: Admitted<Events>, _: &mut Self::Context) -> Self::Result {
        let Events { after, limit } = admitted.message;
        self.read(admitted.queued_at, |connection| events::read(connection, after, limit))
    }
}

fn list(connection: &mut SqliteConnection, filter: Filter, page: PageRequest) -> Result<OrderPage, StoreError> {
    // One more than asked for tells whether there is a next page.
    let rows: Vec<OrderRow> =
        listing(filter, page).load(connection).map_err(|error| fault::of_statement("list orders", error))?;
    let has_more = rows.len() > page.limit;
    let orders = rows.into_iter().take(page.limit).map(OrderRow::parse).collect::<Result<_, _>>()?;
    Ok(OrderPage { orders, has_more })
}

type Listing = IntoBoxed<'static, Select<orders::table, AsSelect<OrderRow, Sqlite>>, Sqlite>;

/// The query of a page: a range of the index `orders_by_owner`, or with a status of `orders_by_owner_and_status`, read in
/// its order.
///
/// Why not `(created_at, id) < (?, ?)`: Diesel has no row values. `created_at <= ?` bounds the range nevertheless, and
/// the other condition skips at most the orders that were created at the same time.
fn listing(filter: Filter, page: PageRequest) -> Listing {
    let newest_first = (orders::created_at.desc(), orders::id.desc());
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX).saturating_add(1);
    let all = orders::table.select(OrderRow::as_select()).into_boxed();
    let mut listing = all.filter(orders::created_by.eq(filter.owner.0)).order(newest_first).limit(limit);
    if let Some(status) = filter.status {
        listing = listing.filter(orders::status.eq(status.name()));
    }
    if let Some(time) = filter.created_after {
        listing = listing.filter(orders::created_at.gt(time.unix_micros()));
    }
    if let Some(time) = filter.created_before {
        listing = listing.filter(orders::created_at.lt(time.unix_micros()));
    }
    if let Some(after) = page.after {
        let micros = after.created_at.unix_micros();
        listing = listing
            .filter(orders::created_at.le(micros))
            .filter(orders::created_at.lt(micros).or(orders::id.lt(after.id.0)));
    }
    listing
}

fn get(connection: &mut SqliteConnection, id: OrderId) -> Result<Order, StoreError> {
    let row = orders::table.find(id.0).select(OrderRow::as_select()).first(connection).optional();
    let row = row.map_err(|error| fault::of_statement("read an order", error))?;
    Ok(row.ok_or(Refusal::NotFound)?.parse()?)
}

#[cfg(test)]
mod tests {
    use chassis::{identity::UserId, timestamp::Timestamp};
    use diesel::sql_types::Text;

    use super::*;
    use crate::{
        domain::{Position, Status},
        store::{
            DatabaseLocation,
            sqlite::{migrations, target::Target},
        },
    };

    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    /// What SQLite would do for a page, step by step.
    fn plan(filter: Filter, page: PageRequest) -> Vec<String> {
        let target = Target::prepare(&DatabaseLocation::Memory).unwrap();
        let mut connection = migrations::open(&target).unwrap();
        let shown = diesel::debug_query::<Sqlite, _>(&listing(filter, page)).to_string();
        let sql = shown.split(" -- binds").next().unwrap();
        let steps: Vec<Step> = diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}")).load(&mut connection).unwrap();
        steps.into_iter().map(|step| step.detail).collect()
    }

    #[test]
    fn a_page_is_a_range_of_the_index_and_nothing_is_sorted() {
        let after = Some(Position { created_at: Timestamp::from_unix_micros(1).unwrap(), id: OrderId(1) });
        let all = Filter::of_owner(UserId(7));
        let pending = Filter { status: Some(Status::Pending), ..all };
        let since = Filter { created_after: Timestamp::from_unix_micros(1), ..all };
        for (filter, after, expected) in [
            (all, None, "orders_by_owner (created_by=?)"),
            (all, after, "orders_by_owner (created_by=? AND created_at<?)"),
            (since, None, "orders_by_owner (created_by=? AND created_at>?)"),
            (since, after, "orders_by_owner (created_by=? AND created_at>? AND created_at<?)"),
            (pending, None, "orders_by_owner_and_status (created_by=? AND status=?)"),
            (pending, after, "orders_by_owner_and_status (created_by=? AND status=? AND created_at<?)"),
        ] {
            let steps = plan(filter, PageRequest { after, limit: 10 });
            assert_eq!(steps, [format!("SEARCH orders USING INDEX {expected}")], "{filter}");
        }
    }
}
