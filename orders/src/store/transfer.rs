//! Moves all orders from an SQLite file into an empty PostgreSQL database, with the keys and the events.
//!
//! Nothing is committed before all of it is there and has been compared: it is one transaction of the server. So a move that was
//! interrupted leaves nothing behind, and is simply run again. Meanwhile the file is locked, so that no service can write into it
//! what would not be moved.

use std::hash::{DefaultHasher, Hash, Hasher};

use chassis::{config::StartError, store::StoreFault};
use diesel::{connection::DefaultLoadingMode, prelude::*};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::TryStreamExt;

use super::{
    location::ServerLocation,
    postgres,
    schema::{EventRecord, KeyRecord, OrderRow, events, idempotency_keys, orders},
    sqlite::maintenance::Locked,
};

/// Number of rows that are inserted by one statement: eight values each, of at most 65,535.
const ROWS_AT_A_TIME: usize = 1000;

/// What a table contains, in whatever order it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Digest {
    rows: u64,
    /// The sum of the hashes of all rows, which wraps.
    sum: u64,
}

impl Digest {
    fn add(&mut self, row: &impl Hash) {
        let mut hasher = DefaultHasher::new();
        row.hash(&mut hasher);
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}

/// Moves one table: reads it from the file, inserts it into the database, reads that, and compares both.
macro_rules! move_table {
    ($table:ident, $row:ty, $from:expr, $to:expr, $moved:expr) => {{
        let (mut source, mut rows) = (Digest::default(), Vec::with_capacity(ROWS_AT_A_TIME));
        let read = diesel::RunQueryDsl::load_iter::<$row, DefaultLoadingMode>(
            $table::table.select(<$row>::as_select()),
            $from,
        );
        let mut unread = read.map_err(cannot_read)?;
        loop {
            let row = unread.next().transpose().map_err(cannot_read)?;
            let is_last = row.is_none();
            if let Some(row) = row {
                source.add(&row);
                rows.push(row);
            }
            if rows.len() == ROWS_AT_A_TIME || (is_last && !rows.is_empty()) {
                $moved(rows.len());
                let insert = diesel::insert_into($table::table).values(std::mem::take(&mut rows));
                insert.execute($to).await.map_err(cannot_write)?;
            }
            if is_last {
                break;
            }
        }
        let mut target = Digest::default();
        let read = $table::table.select(<$row>::as_select()).load_stream::<$row>($to).await.map_err(cannot_write)?;
        let compare = read.try_for_each(|row| {
            target.add(&row);
            std::future::ready(Ok(()))
        });
        compare.await.map_err(cannot_write)?;
        if source != target {
            let what = format!("{} differs after it was moved: {source:?}, {target:?}", stringify!($table));
            return Err(StoreFault::failed("move the orders", what));
        }
        source.rows
    }};
}

/// How many rows were moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    pub(crate) orders: u64,
    pub(crate) events: u64,
    pub(crate) keys: u64,
}

/// Moves everything. `progress` is called with the number of further rows.
///
/// # Errors
/// What is wrong with the file or with the database, in which nothing was changed.
pub(crate) fn transfer(
    mut from: Locked,
    to: &ServerLocation,
    mut progress: impl FnMut(usize),
) -> Result<Moved, StartError> {
    postgres::run(to, async |connection| {
        begin(connection).await?;
        let source = from.connection();
        let moved = Moved {
            orders: move_table!(orders, OrderRow, source, connection, progress),
            events: move_table!(events, EventRecord, source, connection, progress),
            keys: move_table!(idempotency_keys, KeyRecord, source, connection, progress),
        };
        // New rows get higher numbers.
        let sequences =
            "SELECT setval(pg_get_serial_sequence('orders', 'id'), max(id)) FROM orders HAVING count(*) > 0;
             SELECT setval(pg_get_serial_sequence('events', 'sequence'), max(sequence)) FROM events HAVING count(*) > 0;
             COMMIT";
        connection.batch_execute(sequences).await.map_err(cannot_write)?;
        Ok(moved)
    })
}

/// Begins the transaction, in which nobody else can write, and checks that there is nothing yet.
async fn begin(connection: &mut AsyncPgConnection) -> Result<(), StoreFault> {
    let begin = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; BEGIN;
         LOCK TABLE orders, events, idempotency_keys IN ACCESS EXCLUSIVE MODE";
    connection.batch_execute(begin).await.map_err(cannot_write)?;
    let found: Option<i64> =
        orders::table.select(orders::id).first(connection).await.optional().map_err(cannot_write)?;
    match found {
        None => Ok(()),
        Some(_) => {
            Err(StoreFault::failed("move the orders", "there are orders in the database already; it must be empty"))
        }
    }
}

fn cannot_read(error: diesel::result::Error) -> StoreFault {
    StoreFault::failed("read the file", error)
}

fn cannot_write(error: diesel::result::Error) -> StoreFault {
    StoreFault::failed("write to the database", error)
}
