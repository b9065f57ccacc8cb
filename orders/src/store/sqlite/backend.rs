//! Opens the database, and returns the parts that the handle works with. They know the settings of SQLite; the handle and
//! the writer above them do not.

use std::num::NonZeroUsize;

use actix::Addr;
use chassis::config::StartError;

use super::{
    batch::Committer,
    connection, migrations,
    probe::Probe,
    readers::{self, Reader},
    target::Target,
    wal::WriteAheadLog,
};
use crate::store::{location::DatabaseLocation, metrics::StoreMetrics};

/// The parts of an open database.
pub(crate) struct Backend {
    /// Commits batches of changes; owned by the writer.
    pub(crate) committer: Committer,
    /// The actors that read.
    pub(crate) readers: Addr<Reader>,
    /// Checks whether the database can be read.
    pub(crate) probe: Probe,
}

impl Backend {
    /// Opens the database, brings its schema up to date and starts `readers` threads that read.
    ///
    /// # Errors
    /// Names the database and what is wrong with it, or with the place where it should be.
    pub(crate) fn open(
        location: &DatabaseLocation,
        readers: NonZeroUsize,
        metrics: &StoreMetrics,
    ) -> Result<Self, StartError> {
        let target = Target::prepare(location)?;
        let connection = migrations::open(&target)?;
        let pool = connection::reader_pool(&target, readers)?;
        let probe = Probe::open(&target).map_err(|fault| StartError::failed(fault.chain()))?;
        let readers = readers::start(&pool, readers, metrics);
        let log = WriteAheadLog::new(target.clone(), metrics.log.clone());
        Ok(Self { committer: Committer::new(target, connection, log), readers, probe })
    }
}
