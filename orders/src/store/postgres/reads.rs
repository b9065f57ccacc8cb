//! Reads orders and events, on a connection that cannot write. A connection that was lost is opened again.

use std::time::Duration;

use chassis::store::{StoreFault, fault::Cause};
use diesel::{pg::Pg, prelude::*};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{
    connection::{Role, Server},
    executor::within,
    fault,
};
use crate::{
    domain::{Event, EventId, Filter, Order, OrderId, OrderPage, PageRequest, Refusal},
    store::{
        database::Reads,
        error::StoreError,
        listing::listing_for,
        schema::{EventRow, OrderRow, events, orders, page_of},
    },
};

/// How long a read may take, with the time that the server needs to notice that it has taken too long.
const READ_MAX: Duration = Duration::from_secs(12);

/// A connection for reading.
pub(super) struct ReadConnection {
    server: Server,
    /// `None` before the first read, and after an error.
    connection: Option<AsyncPgConnection>,
}

impl ReadConnection {
    /// A connection that is opened with the first read.
    pub(super) const fn new(server: Server) -> Self {
        Self { server, connection: None }
    }

    /// Reads, once more with a new connection if this one was open before: it may have been lost since.
    fn read<T>(
        &mut self,
        operation: &'static str,
        query: &impl AsyncFn(&mut AsyncPgConnection) -> QueryResult<T>,
    ) -> Result<T, StoreFault> {
        let server = self.server.clone();
        server.executor().block_on(async {
            let was_open = self.connection.is_some();
            match self.attempt(operation, query).await {
                Err(StoreFault::Busy(_)) if was_open => self.attempt(operation, query).await,
                read => read,
            }
        })
    }

    async fn attempt<T>(
        &mut self,
        operation: &'static str,
        query: &impl AsyncFn(&mut AsyncPgConnection) -> QueryResult<T>,
    ) -> Result<T, StoreFault> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.server.connect(Role::Reader).await?,
        };
        let read = within(READ_MAX, query(&mut connection)).await;
        let read = read.map_err(|elapsed| StoreFault::Busy(Some(Cause::new(elapsed))))?;
        let read = read.map_err(|error| fault::of_statement(operation, error))?;
        self.connection = Some(connection);
        Ok(read)
    }
}

impl Reads for ReadConnection {
    fn list(&mut self, filter: Filter, page: PageRequest) -> Result<OrderPage, StoreError> {
        let rows = self.read("list orders", &async |connection| listing(filter, page).load(connection).await)?;
        Ok(page_of(rows, page.limit)?)
    }

    fn get(&mut self, id: OrderId) -> Result<Order, StoreError> {
        let row: Option<OrderRow> = self.read("read an order", &async |connection| {
            orders::table.find(id.0).select(OrderRow::as_select()).first(connection).await.optional()
        })?;
        Ok(row.ok_or(Refusal::NotFound)?.parse()?)
    }

    fn events(&mut self, after: EventId, limit: usize) -> Result<Vec<Event>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Vec<(EventRow, OrderRow)> = self.read("read events", &async |connection| {
            events::table
                .inner_join(orders::table)
                .filter(events::sequence.gt(after.0))
                .order(events::sequence)
                .limit(limit)
                .select((EventRow::as_select(), OrderRow::as_select()))
                .load(connection)
                .await
        })?;
        rows.into_iter().map(|(event, order)| Ok(event.parse(order)?)).collect()
    }

    fn newest_event(&mut self) -> Result<EventId, StoreError> {
        let newest_first = events::table.select(events::sequence).order(events::sequence.desc());
        let newest: Option<i64> =
            self.read("read the newest event", &async |connection| newest_first.first(connection).await.optional())?;
        Ok(newest.map_or(EventId::BEGINNING, EventId))
    }

    fn check(&mut self) -> Result<(), StoreFault> {
        let first = orders::table.select(orders::id);
        self.read("read the database", &async |connection| first.first::<i64>(connection).await.optional()).map(drop)
    }
}

listing_for!(Pg);
