//! The orders in a PostgreSQL database, which several processes may write to at the same time.
//!
//! In the order to read: [`connection`] (how the server is reached), [`migrations`], [`batch`] (one transaction for
//! many changes: [`draft`] works out in memory what they lead to, [`statements`] reads and writes) and [`reads`]. [`executor`] is
//! how the blocking actors of the store wait for asynchronous connections. [`fault`] classifies the errors.

mod batch;
mod connection;
mod draft;
mod executor;
mod fault;
mod migrations;
mod reads;
mod statements;

use std::{
    error::Error,
    iter,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use chassis::{config::StartError, problem::error_chain, store::StoreFault};
use diesel_async::AsyncPgConnection;

use self::{
    batch::Connection,
    connection::{ConnectFault, Role, Server},
    reads::ReadConnection,
};
use super::{
    database::{Database, Reads},
    location::ServerLocation,
};

/// How long a start waits for a server that cannot be reached, as when both start at the same time.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Pause between two attempts to reach it.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Connects to the server, brings the schema up to date, and prepares `readers` connections for reading.
///
/// # Errors
/// Names the database and what is wrong with it.
pub(super) fn open(location: &ServerLocation, readers: NonZeroUsize) -> Result<Database, StartError> {
    let server = Server::new(location)?;
    migrate_with(&server)?;
    let committer = server.executor().block_on(async {
        let connection = wait_for(&server).await?;
        Connection::register(server.clone(), connection).await.map_err(|error| cannot_use(&server, &error))
    })?;
    let reading = || -> Box<dyn Reads> { Box::new(ReadConnection::new(server.clone())) };
    Ok(Database {
        committer: Box::new(committer),
        readers: iter::repeat_with(reading).take(readers.get()).collect(),
        probe: reading(),
    })
}

/// Brings the schema up to date, as [`open`] does. Returns the migrations that were run.
///
/// # Errors
/// Names the database and what is wrong with it.
pub(crate) fn migrate(location: &ServerLocation) -> Result<Vec<String>, StartError> {
    let server = Server::new(location)?;
    migrate_with(&server)
}

fn migrate_with(server: &Server) -> Result<Vec<String>, StartError> {
    let connection = server.executor().block_on(wait_for(server))?;
    migrations::run(connection).map_err(|error| cannot_use(server, &*error))
}

/// The migrations that [`migrate`] would run.
///
/// # Errors
/// Names the database and what is wrong with it.
pub(crate) fn pending(location: &ServerLocation) -> Result<Vec<String>, StartError> {
    let server = Server::new(location)?;
    let connection = server.executor().block_on(wait_for(&server))?;
    migrations::pending(connection).map_err(|error| cannot_use(&server, &*error))
}

/// Migrates the database and does something with a connection to it, which is closed afterwards.
///
/// # Errors
/// Names the database and what is wrong with it.
pub(crate) fn run<T>(
    location: &ServerLocation,
    act: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, StoreFault>,
) -> Result<T, StartError> {
    let server = Server::new(location)?;
    migrate_with(&server)?;
    server.executor().block_on(async {
        let mut connection = wait_for(&server).await?;
        act(&mut connection).await.map_err(|fault| cannot_use(&server, &fault))
    })
}

/// Connects for writing, and waits for a server that cannot be reached yet.
async fn wait_for(server: &Server) -> Result<AsyncPgConnection, StartError> {
    let give_up_at = Instant::now() + WAIT_MAX;
    loop {
        match server.connect(Role::Writer).await {
            Ok(connection) => return Ok(connection),
            Err(fault @ ConnectFault::Refused(_)) => return Err(cannot_use(server, &fault)),
            Err(fault) if Instant::now() >= give_up_at => return Err(cannot_use(server, &fault)),
            Err(fault) => log::warn!("waiting for the database {}: {}", server.location(), error_chain(&fault)),
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

fn cannot_use(server: &Server, error: &dyn Error) -> StartError {
    StartError::failed(format!("cannot use the database {}: {}", server.location(), error_chain(error)))
}
