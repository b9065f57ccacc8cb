//! Opens connections to the server with their settings.

use std::{error::Error, io, time::Duration};

use chassis::{
    config::StartError,
    store::{StoreFault, fault::Cause},
};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use rustls::ClientConfig;
use tokio_postgres::{NoTls, error::SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::executor::{Executor, within};
use crate::{store::location::ServerLocation, tls};

/// How long opening a connection may take: connecting to several servers in turn, TLS, and signing in.
const OPEN_MAX: Duration = Duration::from_secs(15);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Writer,
    Reader,
}

impl Role {
    /// The settings of a session. With `synchronous_commit` a commit is on the disk of the server when it returns, whatever the
    /// server does by default. The timeouts end what a client left behind that has vanished without closing its connection:
    /// its transaction would hold the lock of all writers.
    const fn settings(self) -> &'static str {
        match self {
            Self::Writer => {
                "SET synchronous_commit = on; SET default_transaction_isolation = 'read committed'; \
                 SET statement_timeout = '10s'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '5s'"
            }
            Self::Reader => {
                "SET default_transaction_read_only = on; SET statement_timeout = '10s'; SET lock_timeout = '10s'"
            }
        }
    }
}

/// The server, and how to connect to it.
#[derive(Clone)]
pub(super) struct Server {
    location: ServerLocation,
    tls: Option<ClientConfig>,
    executor: Executor,
}

impl Server {
    /// Starts the thread for the connections, and reads the certificates. Connects to nothing.
    ///
    /// # Errors
    /// A file of certificates cannot be used.
    pub(super) fn new(location: &ServerLocation) -> Result<Self, StartError> {
        let tls = location.tls().map(tls::config).transpose().map_err(StartError::failed)?;
        let executor = Executor::start().map_err(StartError::failed)?;
        Ok(Self { location: location.clone(), tls, executor })
    }

    pub(super) const fn location(&self) -> &ServerLocation {
        &self.location
    }

    pub(super) const fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Opens a connection with all settings.
    ///
    /// # Errors
    /// Why it could not be opened.
    pub(super) async fn connect(&self, role: Role) -> Result<AsyncPgConnection, ConnectFault> {
        let opened = within(OPEN_MAX, async {
            let mut connection = self.open().await?;
            connection.batch_execute(role.settings()).await.map_err(|error| ConnectFault::Lost(Box::new(error)))?;
            Ok(connection)
        });
        opened.await.unwrap_or_else(|elapsed| Err(ConnectFault::Lost(Box::new(elapsed))))
    }

    async fn open(&self) -> Result<AsyncPgConnection, ConnectFault> {
        let config = self.location.config();
        let connection = match &self.tls {
            Some(tls) => {
                let (client, socket) = config.connect(MakeRustlsConnect::new(tls.clone())).await?;
                AsyncPgConnection::try_from_client_and_connection(client, socket).await
            }
            None => {
                let (client, socket) = config.connect(NoTls).await?;
                AsyncPgConnection::try_from_client_and_connection(client, socket).await
            }
        };
        connection.map_err(|error| ConnectFault::Lost(Box::new(error)))
    }
}

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectFault {
    /// The server refuses us, and will do so again: a wrong password, no such database, a certificate that is not trusted.
    #[error("the server cannot be used")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// There is no server, or it is starting, stopping or too slow.
    #[error("the server cannot be reached")]
    Lost(#[source] Box<dyn Error + Send + Sync>),
}

impl From<tokio_postgres::Error> for ConnectFault {
    fn from(error: tokio_postgres::Error) -> Self {
        const PASSING: [SqlState; 4] = [
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
        ];
        let is_passing = match error.code() {
            Some(code) => PASSING.contains(code),
            // A certificate that is not trusted is an I/O error, too, of another kind.
            None => io_error(&error).is_none_or(|io| io.kind() != io::ErrorKind::InvalidData),
        };
        if is_passing { Self::Lost(error.into()) } else { Self::Refused(error.into()) }
    }
}

fn io_error(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source()?.downcast_ref()
}

impl From<ConnectFault> for StoreFault {
    /// A caller can only try again later.
    fn from(fault: ConnectFault) -> Self {
        Self::Busy(Some(Cause::new(fault)))
    }
}
