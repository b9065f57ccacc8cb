//! The thread that drives the connections to PostgreSQL, and how other threads wait for what comes out.
//!
//! The actors of a store block their threads while they work, as with SQLite. A connection of tokio-postgres consists of a
//! client and of a task that reads and writes the socket. The tasks of all connections run on one thread here; whoever sends a
//! query waits on its own.
//!
//! The tricky part is that the writer is called inside a task of the runtime of its arbiter. There tokio forbids to wait
//! (`Runtime::block_on` panics); an executor that knows no runtime may, because the work is done on the other thread. And there
//! a task may do only so much before it has to yield (tokio's cooperative budget): the rest would be postponed until the
//! arbiter is idle, for which it would wait for ever. What waits here is exempt from that ([`unconstrained`]).

use std::{future::Future, io, thread, time::Duration};

use diesel_async::async_connection_wrapper::BlockOn;
use tokio::{
    runtime::{Builder, Handle},
    task::unconstrained,
};

/// A handle to the thread. A clone is another handle to it.
#[derive(Clone, Debug)]
pub(super) struct Executor(Handle);

impl Executor {
    /// Starts the thread, which ends with the process.
    ///
    /// # Errors
    /// The system has no more threads or files.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        thread::Builder::new()
            .name("orders-postgres".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(Self(handle))
    }

    /// Waits for the future on this thread. What it spawns runs on the other one.
    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let _entered = self.0.enter();
        futures_executor::block_on(unconstrained(future))
    }
}

/// Waits for futures of connections that exist already, for the migrations, which Diesel runs on blocking connections.
pub(super) struct Waiting;

impl BlockOn for Waiting {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        futures_executor::block_on(unconstrained(future))
    }

    fn get_runtime() -> Self {
        Self
    }
}

/// Runs a future for at most this long.
///
/// # Errors
/// It took longer, and was dropped.
pub(super) async fn within<T>(
    limit: Duration,
    future: impl Future<Output = T>,
) -> Result<T, tokio::time::error::Elapsed> {
    tokio::time::timeout(limit, future).await
}
