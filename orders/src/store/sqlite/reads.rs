//! Reads orders and events, on a connection that cannot write (`query_only`).

use chassis::store::StoreFault;
use diesel::{prelude::*, sqlite::Sqlite};

use super::{
    connection::{self, Role},
    events, fault,
    target::Target,
};
use crate::{
    domain::{Event, EventId, Filter, Order, OrderId, OrderPage, PageRequest, Refusal},
    store::{
        database::Reads,
        error::StoreError,
        listing::listing_for,
        schema::{OrderRow, orders, page_of},
    },
};

/// A connection for reading. It does not grow stale, and opening one costs its cache and its prepared statements, so that it
/// is kept as long as the service runs.
pub(super) struct ReadConnection {
    target: Target,
    connection: SqliteConnection,
}

impl ReadConnection {
    /// Opens the connection.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub(super) fn open(target: &Target) -> Result<Self, StoreFault> {
        let connection = connection::open(target, Role::Reader)?;
        Ok(Self { target: target.clone(), connection })
    }
}

impl Reads for ReadConnection {
    fn list(&mut self, filter: Filter, page: PageRequest) -> Result<OrderPage, StoreError> {
        list(&mut self.connection, filter, page)
    }

    fn get(&mut self, id: OrderId) -> Result<Order, StoreError> {
        get(&mut self.connection, id)
    }

    fn events(&mut self, after: EventId, limit: usize) -> Result<Vec<Event>, StoreError> {
        events::read(&mut self.connection, after, limit)
    }

    fn newest_event(&mut self) -> Result<EventId, StoreError> {
        events::newest(&mut self.connection)
    }

    fn check(&mut self) -> Result<(), StoreFault> {
        self.target.check_in_place()?;
        let found = orders::table.select(orders::id).first::<i64>(&mut self.connection).optional();
        found.map(drop).map_err(|error| fault::of_statement("read the database", error))
    }
}

fn list(connection: &mut SqliteConnection, filter: Filter, page: PageRequest) -> Result<OrderPage, StoreError> {
    let rows = listing(filter, page).load(connection).map_err(|error| fault::of_statement("list orders", error))?;
    Ok(page_of(rows, page.limit)?)
}

listing_for!(Sqlite);

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
        store::sqlite::{migrations, target::Target},
    };

    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    /// What SQLite would do for a page, step by step.
    fn plan(filter: Filter, page: PageRequest) -> Vec<String> {
        let target = Target::prepare(None).unwrap();
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
